"""The JSON of the mempool backend on an Electrum server (flavour C).

The same names as Esplora's with other habits: what is absent is an empty text or list.
Source: docs/chain-api.md 4.
"""

from typing import Final

from raised.domain.bitcoin.script import OP_RETURN
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut, raw_from_hex
from raised_simnet.bitcoin.chain_view import ChainView
from raised_simnet.bitcoin.mempool import virtual_size
from raised_simnet.bitcoin.script_asm import asm
from raised_simnet.bitcoin.sigops import revealed_script, sigops
from raised_simnet.explorer import esplora_json
from raised_simnet.explorer.esplora_json import Json

_FIRST_SEEN: Final = 1_700_000_000


def tx_json(view: ChainView, tx: Tx) -> Json:
    """A transaction as it stands in lists."""
    made: Json = {
        **esplora_json.tx_json(view, tx),
        "vin": [_input_json(view, txin, coinbase=tx.is_coinbase) for txin in tx.inputs],
        "vout": [_output_json(output) for output in tx.outputs],
    }
    return made if view.place(tx.txid) else {**made, **_rates(view, tx), "firstSeen": _FIRST_SEEN}


def single_tx_json(view: ChainView, tx: Tx) -> Json:
    """A transaction asked for alone: always with its fee rates."""
    return {**tx_json(view, tx), **_rates(view, tx)}


def _rates(view: ChainView, tx: Tx) -> Json:
    vsize = tx.weight / 4
    rate = view.chain.fee(tx) / vsize
    return {
        "order": int.from_bytes(raw_from_hex(tx.txid)[:4], "big"),
        "vsize": virtual_size(tx),
        "adjustedVsize": vsize,
        "sigops": sigops(tx, [view.output(txin.outpoint) for txin in tx.inputs]),
        "feePerVsize": rate,
        "adjustedFeePerVsize": rate,
        "effectiveFeePerVsize": rate,
    }


def _input_json(view: ChainView, txin: TxIn, *, coinbase: bool) -> Json:
    spent = None if coinbase else view.output(txin.outpoint)
    script = revealed_script(txin, spent) if spent else None
    return {
        "is_coinbase": coinbase,
        "prevout": _output_json(spent) if spent else None,
        "scriptsig": txin.script_sig.hex(),
        "scriptsig_asm": asm(txin.script_sig),
        "sequence": txin.sequence,
        "txid": "" if coinbase else txin.outpoint.txid,
        "vout": 0 if coinbase else txin.outpoint.vout,
        "witness": [item.hex() for item in txin.witness],
        "inner_redeemscript_asm": "",
        "inner_witnessscript_asm": asm(script) if script else "",
    }


def _output_json(output: TxOut) -> Json:
    return {"scriptpubkey_address": "", **esplora_json.output_json(output)}


def history(view: ChainView, script_pubkey: bytes) -> list[Tx]:
    """All transactions of a script in an Electrum server's order.

    Waiting ones first, then by height downwards and ascending inside a block, and last of all the
    waiting children of waiting parents.
    """
    waiting = view.waiting(script_pubkey)
    pool = {tx.txid for tx in view.mempool()}
    children = [tx for tx in waiting if any(i.outpoint.txid in pool for i in tx.inputs)]
    rows = sorted(view.rows(script_pubkey), key=lambda row: (-row.height, row.position))
    confirmed = [tx for row in rows if (tx := view.tx(row.txid))]
    return [*(tx for tx in waiting if tx not in children), *confirmed, *children]


def stats_json(view: ChainView, script_pubkey: bytes) -> Json:
    """Counts that are always 0, and balances under the name of sums."""
    confirmed = [tx for row in view.rows(script_pubkey) if (tx := view.tx(row.txid))]
    waiting = view.waiting(script_pubkey)
    change = _change(view, waiting, script_pubkey)
    return {
        "chain_stats": _stats(len(confirmed), _change(view, confirmed, script_pubkey), 0),
        "mempool_stats": _stats(len(waiting), max(change, 0), max(-change, 0)),
        "electrum": True,
    }


def _change(view: ChainView, txs: list[Tx], script_pubkey: bytes) -> int:
    """What these transactions add to the script's balance."""
    made = [output for tx in txs for output in tx.outputs]
    spent = [output for tx in txs for i in tx.inputs if (output := view.output(i.outpoint))]
    return _worth(made, script_pubkey) - _worth(spent, script_pubkey)


def _worth(outputs: list[TxOut], script_pubkey: bytes) -> int:
    return sum(output.value for output in outputs if output.script_pubkey == script_pubkey)


def _stats(count: int, funded: int, spent: int) -> Json:
    return {
        "funded_txo_count": 0,
        "funded_txo_sum": funded,
        "spent_txo_count": 0,
        "spent_txo_sum": spent,
        "tx_count": count,
    }


def outspends_json(view: ChainView, tx: Tx) -> list[Json]:
    """Whether the node has such a coin: never who spent it."""
    alive = view.place(tx.txid) is not None or tx in view.mempool()
    return [
        {"spent": not alive or not _is_coin(view, OutPoint(tx.txid, vout), output)}
        for vout, output in enumerate(tx.outputs)
    ]


def _is_coin(view: ChainView, outpoint: OutPoint, output: TxOut) -> bool:
    return output.script_pubkey[:1] != bytes([OP_RETURN]) and view.spender(outpoint) is None
