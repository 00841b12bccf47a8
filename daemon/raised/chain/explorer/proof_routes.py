"""The two routes by which an explorer proves that a transaction is in a block.

Servers serve one of them or both, and each says in its own words that it has no such route: 404
with a text, a page or JSON, 405, 501, another page. So words decide nothing: when a route gives no
proof the other one is asked, and the one that gave the last proof is asked first from then on. A
transaction that neither route knows is in no block (docs/chain-api.md 3, 7).
"""

from collections.abc import Awaitable, Callable
from typing import Final

from raised.chain.explorer.api import Proof
from raised.chain.explorer.http import SMALL, ExplorerHttp
from raised.chain.explorer.json_types import BlockObject, MerkleProof, decode, header_of, text_of
from raised.chain.explorer.merkle_proof import proof_from_merkleblock
from raised.domain.bitcoin.block import Header, fold_merkle_proof, parse_header
from raised.domain.bitcoin.tx import Txid
from raised.errors import BadData, Refused, SourceError, Unavailable

# What a host without this route may answer: a failure of its server, or a page for browsers.
_MAYBE_NO_ROUTE: Final = frozenset({"retry", "shape", "too_long"})
_Route = Callable[[Txid, str], Awaitable[Proof | None]]


class ProofRoutes:
    """The proofs of one explorer, by whichever route it serves."""

    def __init__(self, http: ExplorerHttp) -> None:
        self._http = http
        self._routes: tuple[_Route, ...] = (self._by_merkleblock, self._by_branch)

    async def proof(self, txid: Txid, block_hash: str) -> Proof | None:
        """A folded proof whose header is this block's; None when no route knows the transaction.

        One request where GET /tx/:txid/merkleblock-proof is served, else two: merkle-proof and
        block/:hash/header. Raises BadData, Unavailable or Refused.
        """
        problem: SourceError | None = None
        all_refuse = True
        for route in self._routes:
            try:
                proof = await route(txid, block_hash)
            except SourceError as error:
                if not _may_mean_no_route(error):
                    raise
                problem = problem or error
                all_refuse = all_refuse and isinstance(error, Refused)
            else:
                if proof is not None:
                    self._routes = tuple(sorted(self._routes, key=lambda each: each is not route))
                    return self._require_block(proof, block_hash)
                all_refuse = False
        if problem is not None and (all_refuse or not isinstance(problem, Refused)):
            raise problem
        return None

    async def _by_merkleblock(self, txid: Txid, _: str) -> Proof | None:
        body = await self._http.get(f"/tx/{txid}/merkleblock-proof", SMALL)
        if body is None:
            return None
        raw = self._bytes(body)
        try:
            return proof_from_merkleblock(raw, txid)
        except ValueError as error:
            raise self._wrong_proof() from error

    async def _by_branch(self, txid: Txid, block_hash: str) -> Proof | None:
        body = await self._http.get(f"/tx/{txid}/merkle-proof", SMALL)
        if body is None:
            return None
        branch = decode(self._http.name, body, MerkleProof)
        header = await self._header(block_hash)
        if header is None:
            return None
        try:
            root = fold_merkle_proof(txid, branch.merkle, branch.pos)
        except ValueError as error:
            raise self._wrong_proof() from error
        if root != header.merkle_root:
            raise self._wrong_proof()
        return Proof(header, branch.pos, branch.merkle)

    async def _header(self, block_hash: str) -> Header | None:
        """A block's header: its bytes, or where that route is missing, rebuilt from its JSON."""
        try:
            body = await self._http.get(f"/block/{block_hash}/header", SMALL)
            header = None if body is None else self._header_in(body)
        except SourceError as error:
            if not _may_mean_no_route(error):
                raise
            header = None
        if header is not None:
            return header
        body = await self._http.get(f"/block/{block_hash}", SMALL)
        shape = None if body is None else decode(self._http.name, body, BlockObject)
        return None if shape is None else header_of(self._http.name, shape)

    def _header_in(self, body: bytes) -> Header:
        raw = self._bytes(body)
        try:
            return parse_header(raw)
        except ValueError as error:
            raise self._wrong_proof() from error

    def _bytes(self, body: bytes) -> bytes:
        """The bytes of an answer in hex. Raises BadData for another form."""
        name = self._http.name
        try:
            return bytes.fromhex(text_of(name, body))
        except ValueError as error:
            raise BadData(name, "sent an answer of an unexpected form", "shape") from error

    def _wrong_proof(self) -> BadData:
        sentence = "sent a merkle proof that does not lead to its block"
        return BadData(self._http.name, sentence, "wrong_proof")

    def _require_block(self, proof: Proof, block_hash: str) -> Proof:
        if proof.header.hash != block_hash:
            # A block that came between two requests looks the same: worth another try.
            raise Unavailable(
                self._http.name, "moved a transaction to another block while we read it", "moved"
            )
        return proof


def _may_mean_no_route(error: SourceError) -> bool:
    return isinstance(error, Refused) or error.code in _MAYBE_NO_ROUTE
