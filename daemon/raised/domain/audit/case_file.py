"""A project's case in one document: its event and its transactions, audited offline.

The document has the shape of the scenarios among the vectors; keys it does not need are ignored.
The form is that of tests/vectors/angor/scenario_*.json.
"""

import re
from collections.abc import Sequence
from typing import Final

from raised.domain.angor.investment_state import Place, StoredTx
from raised.domain.angor.network import network_beginning
from raised.domain.angor.release_dates import MAX_TIME
from raised.domain.audit.audit import audit
from raised.domain.audit.report import AuditReport
from raised.domain.bitcoin.tx import Tx, Txid, parse_tx
from raised.domain.event import Event, event_from_json
from raised.domain.json_object import JsonObject, as_object, parse_object
from raised.errors import InvalidInput

_MAX_HEIGHT: Final = (1 << 31) - 1
_MAX_TXS: Final = 1_000_000
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")


def audit_text(text: str) -> AuditReport:
    """Audit the document in this JSON text. Raises InvalidInput when it is none."""
    return _audit(parse_object(text))


def audit_file(document: object) -> AuditReport:
    """Audit a decoded document. Raises InvalidInput that says what is wrong with it."""
    return _audit(as_object(document, "the document"))


def _audit(document: JsonObject) -> AuditReport:
    name = document.text("network")
    if not name:
        raise InvalidInput("network is missing")
    network = network_beginning(name)
    if document.value("transactions") is None:
        raise InvalidInput("transactions are missing")
    stored = [
        _held(entry, number)
        for number, entry in enumerate(document.objects("transactions", _MAX_TXS))
    ]
    _refuse_repeats(stored)
    return audit(network, _event(document.value("projectEvent")), stored)


def _event(value: object) -> Event | None:
    if value is None:
        return None
    try:
        return event_from_json(value)
    except InvalidInput as error:
        raise InvalidInput(f"projectEvent: {error}") from error


def _held(entry: JsonObject, number: int) -> StoredTx:
    try:
        return _held_tx(entry)
    except InvalidInput as error:
        raise InvalidInput(f"transactions[{number}]: {error}") from error


def _held_tx(entry: JsonObject) -> StoredTx:
    tx = _tx(entry.text("hex"))
    height = entry.optional_integer("height", 0, _MAX_HEIGHT)
    if height is None:
        return StoredTx(tx, None, entry.optional_integer("time", 0, MAX_TIME) or 0, gone=False)
    at = entry.integer("time", 0, MAX_TIME)
    # A document does not say which block it is, only where.
    place = Place(height, "", entry.integer("indexInBlock", 0, _MAX_HEIGHT), at)
    return StoredTx(tx, place, at, gone=False)


def _tx(text: str) -> Tx:
    if not _HEX.fullmatch(text):
        raise InvalidInput("hex is missing or not hex")
    return parse_tx(bytes.fromhex(text))


def _refuse_repeats(txs: Sequence[StoredTx]) -> None:
    seen: set[Txid] = set()
    for stored in txs:
        if stored.tx.txid in seen:
            raise InvalidInput(f"transaction {stored.tx.txid} is there twice")
        seen.add(stored.tx.txid)
