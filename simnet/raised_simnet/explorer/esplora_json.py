"""The JSON objects of Esplora (Blockstream/electrs). Source: docs/chain-api.md 4."""

from typing import Final

from raised.domain.bitcoin.script import is_p2wsh
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut, raw_from_hex
from raised_simnet.bitcoin.block_archive import StoredBlock
from raised_simnet.bitcoin.chain_view import ChainView
from raised_simnet.bitcoin.mempool import virtual_size
from raised_simnet.bitcoin.script_asm import asm, script_type, segwit_address

Json = dict[str, object]

_BIN_VSIZE: Final = 50_000


def status_json(view: ChainView, txid: str) -> Json:
    """Whether and where a transaction is confirmed. An unknown one reads as an unconfirmed one."""
    place = None if txid in view.hidden else view.place(txid)
    if place is None:
        return {"confirmed": False}
    stored = place.stored
    return {
        "confirmed": True,
        "block_height": stored.height,
        "block_hash": stored.hash,
        "block_time": stored.time,
    }


def tx_json(view: ChainView, tx: Tx) -> Json:
    """A transaction; keys that would be empty are missing, as in the original."""
    size = len(tx.serialize())
    return {
        "txid": tx.txid,
        "version": tx.version,
        "locktime": tx.locktime,
        "vin": [input_json(view, txin, coinbase=tx.is_coinbase) for txin in tx.inputs],
        "vout": [output_json(output) for output in tx.outputs],
        "size": size,
        "weight": tx.weight,
        "fee": view.chain.fee(tx),
        "status": status_json(view, tx.txid),
    }


def input_json(view: ChainView, txin: TxIn, *, coinbase: bool) -> Json:
    """An input with the output it spends."""
    prevout = None if coinbase else view.output(txin.outpoint)
    made: Json = {
        "txid": txin.outpoint.txid,
        "vout": txin.outpoint.vout,
        "prevout": output_json(prevout) if prevout else None,
        "scriptsig": txin.script_sig.hex(),
        "scriptsig_asm": asm(txin.script_sig),
    }
    if txin.witness:
        made["witness"] = [item.hex() for item in txin.witness]
    made["is_coinbase"] = coinbase
    made["sequence"] = txin.sequence
    if prevout and is_p2wsh(prevout.script_pubkey) and txin.witness:
        made["inner_witnessscript_asm"] = asm(txin.witness[-1])
    return made


def output_json(output: TxOut) -> Json:
    """An output or prevout."""
    made: Json = {
        "scriptpubkey": output.script_pubkey.hex(),
        "scriptpubkey_asm": asm(output.script_pubkey),
        "scriptpubkey_type": script_type(output.script_pubkey),
    }
    address = segwit_address(output.script_pubkey)
    if address is not None:
        made["scriptpubkey_address"] = address
    made["value"] = output.value
    return made


def block_json(stored: StoredBlock) -> Json:
    """A block's header fields and sizes."""
    header = stored.block.header
    bare = sum(len(tx.serialize(witness=False)) for tx in stored.txs)
    framing = len(stored.raw) - sum(len(tx.serialize()) for tx in stored.txs)
    return {
        "id": stored.hash,
        "height": stored.height,
        "version": header.version,
        "timestamp": header.time,
        "tx_count": len(stored.txs),
        "size": len(stored.raw),
        "weight": 3 * (bare + framing) + len(stored.raw),
        "merkle_root": header.merkle_root,
        "previousblockhash": header.prev_hash if stored.height else None,
        "mediantime": stored.median_time,
        "nonce": header.nonce,
        "bits": header.bits,
        "difficulty": _difficulty(header.bits),
    }


def _difficulty(bits: int) -> float:
    """How much harder than the easiest target of the main network."""
    return 0xFFFF / (bits & 0xFFFFFF) * 256.0 ** (29 - (bits >> 24))


def spend_json(view: ChainView, outpoint: OutPoint) -> Json:
    """Whether an output is spent, by which input, and how sure that is."""
    spender = view.spender(outpoint)
    if spender is None:
        return {"spent": False}
    status = status_json(view, spender.txid)
    return {"spent": True, "txid": spender.txid, "vin": spender.vin, "status": status}


def history(view: ChainView, script_pubkey: bytes) -> list[str]:
    """Confirmed transactions of a script: newest block first.

    Inside a block spends come before fundings, each by descending internal txid bytes: the order of
    electrs' index, not of the block.
    """
    rows = view.rows(script_pubkey)
    rows.sort(key=lambda row: (row.height, row.spends, raw_from_hex(row.txid)), reverse=True)
    return [row.txid for row in rows]


def stats_json(view: ChainView, script_pubkey: bytes, count_error: int = 0) -> Json:
    """The counts and sums of a script, on the chain and waiting; the count wrong by so many."""
    confirmed = [tx for txid in history(view, script_pubkey) if (tx := view.tx(txid))]
    waiting = view.waiting(script_pubkey)
    counted = {"tx_count": len(confirmed) + count_error}
    return {
        "chain_stats": {**_sums(view, confirmed, script_pubkey), **counted},
        "mempool_stats": _sums(view, waiting, script_pubkey),
    }


def _sums(view: ChainView, txs: list[Tx], script_pubkey: bytes) -> Json:
    outputs = [output for tx in txs for output in tx.outputs]
    spent = [view.output(txin.outpoint) for tx in txs for txin in tx.inputs]
    funded_values = [o.value for o in outputs if o.script_pubkey == script_pubkey]
    spent_values = [o.value for o in spent if o is not None and o.script_pubkey == script_pubkey]
    return {
        "funded_txo_count": len(funded_values),
        "funded_txo_sum": sum(funded_values),
        "spent_txo_count": len(spent_values),
        "spent_txo_sum": sum(spent_values),
        "tx_count": len(txs),
    }


def utxo_json(view: ChainView, script_pubkey: bytes) -> list[Json]:
    """The unspent outputs of a script."""
    confirmed = [tx for txid in history(view, script_pubkey) if (tx := view.tx(txid))]
    found: list[Json] = []
    for tx in [*reversed(confirmed), *view.waiting(script_pubkey)]:
        for vout, output in enumerate(tx.outputs):
            mine = output.script_pubkey == script_pubkey
            if mine and view.spender(OutPoint(tx.txid, vout)) is None:
                status = status_json(view, tx.txid)
                value = output.value
                found.append({"txid": tx.txid, "vout": vout, "status": status, "value": value})
    return found


def mempool_json(view: ChainView) -> Json:
    """The backlog: how much waits, and at which fee rates."""
    sizes = [(view.chain.fee(tx), virtual_size(tx)) for tx in view.mempool()]
    return {
        "count": len(sizes),
        "vsize": sum(vsize for _, vsize in sizes),
        "total_fee": sum(fee for fee, _ in sizes),
        "fee_histogram": _histogram(sizes),
    }


def _histogram(sizes: list[tuple[int, int]]) -> list[tuple[float, int]]:
    bins: list[tuple[float, int]] = []
    filled, rate = 0, 0.0
    for fee, vsize in sorted(sizes, key=lambda pair: pair[0] / pair[1], reverse=True):
        if filled > _BIN_VSIZE and fee / vsize != rate:
            bins.append((round(rate, 6), filled))
            filled = 0
        rate = fee / vsize
        filled += vsize
    return [*bins, (round(rate, 6), filled)] if filled else bins


def recent_json(view: ChainView) -> list[Json]:
    """The ten newest waiting transactions, newest first."""
    return [
        {
            "txid": tx.txid,
            "fee": view.chain.fee(tx),
            "vsize": virtual_size(tx),
            "value": sum(output.value for output in tx.outputs),
        }
        for tx in reversed(view.mempool()[-10:])
    ]
