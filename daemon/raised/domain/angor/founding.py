"""Recognise founding transactions.

A founding transaction is not signed by the founder key: anybody who has seen the key can publish
one that passes. The first on the chain decides (`project_state.decide_project`).
Source: docs/angor.md 4.
"""

from dataclasses import dataclass
from typing import Final

from raised.domain.angor.identifier import RULES, Rule, identifier, project_script
from raised.domain.angor.network import Network
from raised.domain.angor.op_return import FoundingMark, LegacyFoundingMark, parse_founding_mark
from raised.domain.bitcoin.script import is_p2tr, is_p2wpkh
from raised.domain.bitcoin.tx import Tx, Txid

MARK_VOUT: Final = 1


@dataclass(frozen=True, slots=True)
class Founding:
    """A transaction that passes the founding test.

    It names the project's event, or (legacy layout) the nostr key of its author; the other is None.
    """

    txid: Txid
    project_id: str
    founder_key: bytes
    event_id: str | None
    nostr_pubkey: str | None
    rule: Rule


def founding_mark(tx: Tx) -> FoundingMark | LegacyFoundingMark | None:
    """The founding fields in the OP_RETURN at output 1, by layout alone; None without them."""
    if len(tx.outputs) <= MARK_VOUT:
        return None
    return parse_founding_mark(tx.outputs[MARK_VOUT].script_pubkey)


def founding_of(tx: Tx, network: Network) -> Founding | None:
    """The founding that this transaction is, or None.

    Its first output must pay the address that derives from the key at output 1, by any known rule.
    """
    if len(tx.outputs) <= MARK_VOUT or not is_p2wpkh(tx.outputs[0].script_pubkey):
        return None
    mark = founding_mark(tx)
    if mark is None or _is_seeder_investment(tx, mark):
        return None
    for rule in RULES:
        project_id = identifier(mark.founder_key, network, rule)
        if tx.outputs[0].script_pubkey == project_script(project_id):
            return _founding(tx.txid, project_id, mark, rule)
    return None


def _is_seeder_investment(tx: Tx, mark: FoundingMark | LegacyFoundingMark) -> bool:
    """Whether the legacy layout is that of a seeder who invests with the founder's own key.

    Both name a key and 32 bytes, but only an investment has a stage behind them. Anybody may lock
    coins so: they are the founder's to take back, and they count.
    """
    behind = tx.outputs[MARK_VOUT + 1 :]
    is_staged = bool(behind) and is_p2tr(behind[0].script_pubkey)
    return is_staged and isinstance(mark, LegacyFoundingMark)


def _founding(
    txid: Txid, project_id: str, mark: FoundingMark | LegacyFoundingMark, rule: Rule
) -> Founding:
    if isinstance(mark, FoundingMark):
        return Founding(txid, project_id, mark.founder_key, mark.event_id, None, rule)
    return Founding(txid, project_id, mark.founder_key, None, mark.nostr_pubkey, rule)
