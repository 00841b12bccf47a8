"""Transactions by their bytes: for those whose JSON is too long, or of a form that we cannot read.

The bytes of a transaction are at most 4 MB, its JSON many times as much. What its inputs spend is
not part of them.
"""

from typing import Final

from raised.chain.explorer.api import SeenTx
from raised.chain.explorer.http import SMALL, ExplorerHttp
from raised.chain.explorer.json_types import Status, decode, placement_of, text_of
from raised.domain.bitcoin.tx import Tx, Txid, parse_tx
from raised.errors import BadData, InvalidInput, Refused, Unavailable

_MOST_BYTES: Final = 4_000_000  # of a transaction that fills a block


class RawTxs:
    """The transactions of one explorer by their bytes."""

    def __init__(self, http: ExplorerHttp) -> None:
        self._http = http

    async def tx(self, txid: Txid) -> SeenTx | None:
        """A transaction and the block it is said to be in; None when there is no such thing.

        Source: GET /tx/:txid/raw, else /tx/:txid/hex, and /tx/:txid/status. Raises as ExplorerHttp.
        """
        raw = await self._bytes(txid)
        if raw is None:
            return None
        tx = self._parsed(raw, txid)
        body = await self._http.get(f"/tx/{txid}/status", SMALL)
        status = None if body is None else decode(self._http.name, body, Status)
        return SeenTx(tx, (None,) * len(tx.inputs), placement_of(status))

    async def present_tx(self, txid: Txid) -> SeenTx:
        """The same of a transaction that the explorer has just named."""
        seen = await self.tx(txid)
        if seen is None:
            sentence = "names a transaction that it does not give"
            raise Unavailable(self._http.name, sentence, "absent")
        return seen

    async def _bytes(self, txid: Txid) -> bytes | None:
        try:
            raw = await self._http.get(f"/tx/{txid}/raw", _MOST_BYTES)
        except Refused:
            raw = None
        if raw is not None:
            return raw
        body = await self._http.get(f"/tx/{txid}/hex", 2 * _MOST_BYTES + SMALL)
        if body is None:
            return None
        try:
            return bytes.fromhex(text_of(self._http.name, body))
        except ValueError as error:
            raise self._wrong() from error

    def _parsed(self, raw: bytes, txid: Txid) -> Tx:
        try:
            tx = parse_tx(raw)
        except InvalidInput as error:
            raise self._wrong() from error
        if tx.txid != txid:
            raise self._wrong()
        return tx

    def _wrong(self) -> BadData:
        sentence = "sent a transaction that does not hash to its txid"
        return BadData(self._http.name, sentence, "wrong_tx")
