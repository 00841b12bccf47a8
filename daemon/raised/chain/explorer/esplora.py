"""Explorers that serve Esplora's routes: Blockstream's electrs, and mempool's fork of it."""

import asyncio
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from raised.chain.explorer.api import Counts, Proof, SeenTx, Spender
from raised.chain.explorer.http import PAGE, RAW_BLOCK, SMALL, ExplorerHttp
from raised.chain.explorer.json_types import (
    AddressObject,
    BlockObject,
    Hash,
    MempoolObject,
    Outspend,
    Transaction,
    counts_of,
    decode,
    header_of,
    seen_tx,
    spender_of,
    text_of,
)
from raised.chain.explorer.proof_routes import ProofRoutes
from raised.chain.explorer.raw_txs import RawTxs
from raised.chain.explorer.tx_pages import split_page
from raised.domain.bitcoin.bech32 import address
from raised.domain.bitcoin.block import Header
from raised.domain.bitcoin.tx import Txid
from raised.errors import BadData, InvalidInput, Refused, Unavailable

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_MEMPOOL_IDS: Final = 8 * 1024 * 1024  # bytes: 120,000 txids, more than are ever listed


class Esplora:
    """One explorer of this flavour. `hrp` is the network's address prefix."""

    def __init__(self, http: ExplorerHttp, hrp: str, flavour: str = "esplora") -> None:
        self._http = http
        self._hrp = hrp
        self._flavour = flavour
        self._proofs = ProofRoutes(http)
        self._raw = RawTxs(http)

    @property
    def name(self) -> str:
        """Its address, as configured."""
        return self._http.name

    @property
    def flavour(self) -> str:
        """Which of the two it is: esplora or mempool."""
        return self._flavour

    async def tip_hash(self) -> str:
        """The hash of its best block. Source: GET /blocks/tip/hash, where missing GET /blocks."""
        try:
            body = await self._http.get("/blocks/tip/hash", SMALL)
        except Refused:
            body = None
        return self._parse_hash(body) if body is not None else (await self.headers())[0][1].hash

    async def headers(self, at: int | None = None) -> tuple[tuple[int, Header], ...]:
        """A page of linked headers, newest first. Source: GET /blocks[/:start_height]."""
        path = "/blocks" if at is None else f"/blocks/{at}"
        shapes = decode(self.name, await self._get_present(path), tuple[BlockObject, ...])
        page = tuple((shape.height, header_of(self.name, shape)) for shape in shapes)
        if not page or (at is not None and page[0][0] != at):
            raise BadData(self.name, "sent other blocks than asked for", "wrong_page")
        for (height, header), (below, parent) in pairwise(page):
            if below != height - 1 or parent.hash != header.prev_hash:
                raise BadData(self.name, "sent blocks that do not link", "unlinked")
        return page

    async def block_hash(self, height: int) -> str | None:
        """The hash at a height. Source: GET /block-height/:height."""
        body = await self._http.get(f"/block-height/{height}", SMALL)
        return None if body is None else self._parse_hash(body)

    async def raw_block(self, block_hash: str) -> bytes | None:
        """The bytes of a block. Source: GET /block/:hash/raw."""
        return await self._http.get(f"/block/{block_hash}/raw", RAW_BLOCK)

    async def history_page(self, script: bytes, after: Txid | None) -> tuple[SeenTx, ...]:
        """25 confirmed transactions of a script. Source: GET /address/:address/txs/chain[/:txid].

        A cursor that is no longer known gives an empty page, which looks like the end.
        """
        path = f"/address/{self._address(script)}/txs/chain"
        return await self._txs(path if after is None else f"{path}/{after}")

    async def unconfirmed(self, script: bytes) -> tuple[SeenTx, ...]:
        """Its first 50 unconfirmed transactions. Source: GET /address/:address/txs/mempool."""
        return await self._txs(f"/address/{self._address(script)}/txs/mempool")

    async def counts(self, script: bytes) -> Counts:
        """A script's statistics. Source: GET /address/:address."""
        body = await self._get_present(f"/address/{self._address(script)}", SMALL)
        return counts_of(decode(self.name, body, AddressObject))

    async def tx(self, txid: Txid) -> SeenTx | None:
        """One transaction, rebuilt from its JSON for the spent outputs. Source: GET /tx/:txid.

        From its bytes and its status when the JSON cannot be used.
        """
        try:
            body = await self._http.get(f"/tx/{txid}")
            seen = (
                None if body is None else seen_tx(self.name, decode(self.name, body, Transaction))
            )
        except BadData:
            return await self._raw.tx(txid)
        if seen is not None and seen.tx.txid != txid:
            raise BadData(self.name, "sent another transaction than asked for", "wrong_tx")
        return seen

    async def spenders(self, txid: Txid) -> tuple[Spender | None, ...] | None:
        """Who spends each output. Source: GET /tx/:txid/outspends."""
        body = await self._http.get(f"/tx/{txid}/outspends")
        if body is None:
            return None
        return tuple(map(spender_of, decode(self.name, body, tuple[Outspend, ...])))

    async def proof(self, txid: Txid, block_hash: str) -> Proof | None:
        """A folded proof whose header is this block's, by the route that is served."""
        return await self._proofs.proof(txid, block_hash)

    async def mempool_size(self) -> int:
        """How many wait for a block. Source: GET /mempool."""
        return decode(self.name, await self._get_present("/mempool"), MempoolObject).count

    async def mempool_txids(self) -> Sequence[Txid]:
        """All that wait for a block. Source: GET /mempool/txids."""
        body = await self._get_present("/mempool/txids", _MEMPOOL_IDS)
        return decode(self.name, body, tuple[Hash, ...])

    async def _txs(self, path: str) -> tuple[SeenTx, ...]:
        page = await self._http.get_page(path)
        if page is None:
            raise self._absent()
        if page.is_cut:  # finding the ends in megabytes takes a second
            rows = await asyncio.to_thread(split_page, self.name, page.body, is_cut=True)
        else:
            rows = split_page(self.name, page.body, is_cut=False)
        return tuple([await self._seen(row) for row in rows])

    async def _seen(self, row: Transaction | Txid) -> SeenTx:
        """A transaction of a page; by its bytes when its JSON cannot be used."""
        if not isinstance(row, Transaction):
            return await self._raw.present_tx(row)
        try:
            return seen_tx(self.name, row)
        except BadData:
            return await self._raw.present_tx(row.txid)

    async def _get_present(self, path: str, limit: int = PAGE) -> bytes:
        body = await self._http.get(path, limit)
        if body is None:
            raise self._absent()
        return body

    def _absent(self) -> Unavailable:
        sentence = "answers not found where there must be something"
        return Unavailable(self.name, sentence, "absent")

    def _parse_hash(self, body: bytes) -> str:
        text = text_of(self.name, body)
        if not _HASH.fullmatch(text):
            raise BadData(self.name, "sent something else than a hash", "shape")
        return text

    def _address(self, script: bytes) -> str:
        text = address(self._hrp, script)
        if text is None:
            raise InvalidInput("a script without an address")
        return text
