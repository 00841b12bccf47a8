"""The JSON of mempool/electrs (flavour B), where it differs from Esplora's.

Source: docs/chain-api.md 4 and 5.
"""

from raised.domain.bitcoin.tx import Tx, TxIn
from raised_simnet.bitcoin.block_archive import StoredBlock
from raised_simnet.bitcoin.chain_view import ChainView
from raised_simnet.bitcoin.script_asm import asm
from raised_simnet.bitcoin.sigops import revealed_script, sigops
from raised_simnet.explorer import esplora_json
from raised_simnet.explorer.esplora_json import Json


def tx_json(view: ChainView, tx: Tx) -> Json:
    """A transaction, with its signature operations and with taproot leaves in words."""
    spent = [view.output(txin.outpoint) for txin in tx.inputs]
    return {
        **esplora_json.tx_json(view, tx),
        "vin": [_input_json(view, txin, coinbase=tx.is_coinbase) for txin in tx.inputs],
        "sigops": sigops(tx, spent),
    }


def _input_json(view: ChainView, txin: TxIn, *, coinbase: bool) -> Json:
    made = esplora_json.input_json(view, txin, coinbase=coinbase)
    spent = view.output(txin.outpoint)
    script = revealed_script(txin, spent) if spent else None
    return made if script is None else {**made, "inner_witnessscript_asm": asm(script)}


def history(view: ChainView, script_pubkey: bytes) -> list[str]:
    """Confirmed transactions of a script, newest block first, last in the block first."""
    rows = view.rows(script_pubkey)
    rows.sort(key=lambda row: (row.height, row.position), reverse=True)
    return [row.txid for row in rows]


def extended_block_json(stored: StoredBlock) -> Json:
    """A block as the mempool backend shows it."""
    extras = {"header": stored.block.header.serialize().hex(), "orphans": [], "medianFee": 1}
    return {**esplora_json.block_json(stored), "extras": extras, "stale": False}
