"""Every route of Esplora (flavour A) that a client would use. Source: docs/chain-api.md 3 to 7."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from raised.domain.bitcoin.bech32 import decode, script_from_address
from raised.domain.bitcoin.block import merkle_branch, merkle_levels
from raised.domain.bitcoin.hashes import sha256
from raised.domain.bitcoin.tx import OutPoint, Tx, hex_from_raw, parse_tx, raw_from_hex
from raised.errors import InvalidInput
from raised_simnet.bitcoin.block_archive import StoredBlock
from raised_simnet.bitcoin.chain_view import ChainView
from raised_simnet.bitcoin.mempool import Rejected
from raised_simnet.bitcoin.merkleblock import merkleblock
from raised_simnet.explorer import esplora_json
from raised_simnet.explorer.faults import Faults
from raised_simnet.http.http_server import Request, Response, json_response
from raised_simnet.http.url_routing import HttpError, Router

PAGE: Final = 25
_MEMPOOL_PAGE: Final = 50
_HEADERS_PAGE: Final = 10
_UTXO_LIMIT: Final = 500
_HRP: Final = "bcrt"
_TARGETS: Final = (*range(1, 26), 144, 504, 1008)


@dataclass(frozen=True, slots=True)
class ExplorerDialect:
    """In what the flavours that share these routes differ."""

    tx_json: Callable[[ChainView, Tx], esplora_json.Json]
    history: Callable[[ChainView, bytes], list[str]]
    bad_address: str
    too_many: str


ESPLORA: Final = ExplorerDialect(
    esplora_json.tx_json,
    esplora_json.history,
    "base58 error: invalid base58 character 0x6c",
    "Too many unspent outputs",
)


@dataclass(frozen=True, slots=True)
class ExplorerRequest:
    """A request with what is needed to answer it."""

    dialect: ExplorerDialect
    view: ChainView
    faults: Faults
    params: dict[str, str]
    request: Request

    def query(self, name: str) -> str | None:
        """The first value of a query parameter."""
        return next(iter(self.request.query.get(name, ())), None)

    def txid(self) -> str:
        """The transaction id in the path."""
        return _hex32(self.params["txid"])

    def tx(self) -> Tx:
        """The transaction in the path, or what this explorer passes off as it."""
        txid = self.txid()
        tx = self.view.tx(txid)
        if tx is None:
            raise HttpError(404, "Transaction not found")
        return self.faults.lies.get(txid, tx)

    def best_block(self) -> StoredBlock:
        """The block in the path, on the best chain."""
        return _or_404(self.view.best_block(_hex32(self.params["hash"])))

    def seen_block(self) -> StoredBlock:
        """The block in the path, stale or not."""
        return _or_404(self.view.seen_block(_hex32(self.params["hash"])))

    def script(self) -> bytes | None:
        """The script in the path; None for a script hash nobody ever used."""
        if "address" in self.params:
            return self._script_of(self.params["address"])
        wanted = self.params["scripthash"]
        if len(wanted) != 64:
            raise HttpError(400, "Invalid scripthash")
        raw = bytes.fromhex(_hex32(wanted))
        known = self.view.chain.archive.scripts.get(raw)
        waiting = (o.script_pubkey for tx in self.view.mempool() for o in tx.outputs)
        return known or next((script for script in waiting if sha256(script) == raw), None)

    def _script_of(self, address: str) -> bytes:
        with suppress(InvalidInput):
            return script_of(address)
        for hrp in ("bc", "tb"):
            with suppress(InvalidInput):
                decode(hrp, address)
                raise HttpError(400, "Address on invalid network")
        raise HttpError(400, self.dialect.bad_address)

    def shown(self, tx: Tx) -> esplora_json.Json:
        """A transaction's JSON, or that of what is passed off as it."""
        return self.dialect.tx_json(self.view, self.faults.lies.get(tx.txid, tx))


ROUTES: Final = Router[ExplorerRequest]()


def script_of(address: str) -> bytes:
    """The script of a regtest address. Raises InvalidInput."""
    return script_from_address(_HRP, address)


def _or_404(stored: StoredBlock | None) -> StoredBlock:
    if stored is None:
        raise HttpError(404, "Block not found")
    return stored


def _hex32(text: str) -> str:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise HttpError(400, "Invalid hex string")
    return text.lower()


def _number(text: str) -> int:
    if not text.isdecimal():
        raise HttpError(400, "Invalid number")
    return int(text)


def _text(value: object) -> Response:
    return Response(body=str(value).encode())


# The chain.


@ROUTES.add("blocks/tip/height")
def _tip_height(request: ExplorerRequest) -> Response:
    return _text(request.view.height)


@ROUTES.add("blocks/tip/hash")
def _tip_hash(request: ExplorerRequest) -> Response:
    return _text(request.view.tip.hash)


@ROUTES.add("blocks", "blocks/:start")
def _blocks(request: ExplorerRequest) -> Response:
    start = request.params.get("start")
    top = request.view.height if start is None else min(_number(start), request.view.height)
    heights = range(top, max(top - _HEADERS_PAGE, -1), -1)
    stored = (request.view.block_at(height) for height in heights)
    return json_response([esplora_json.block_json(block) for block in stored if block])


@ROUTES.add("block-height/:height")
def _block_at_height(request: ExplorerRequest) -> Response:
    return _text(_or_404(request.view.block_at(_number(request.params["height"]))).hash)


@ROUTES.add("block/:hash")
def _block(request: ExplorerRequest) -> Response:
    return json_response(esplora_json.block_json(request.best_block()))


@ROUTES.add("block/:hash/header")
def _header(request: ExplorerRequest) -> Response:
    return _text(request.best_block().block.header.serialize().hex())


@ROUTES.add("block/:hash/status")
def _block_status(request: ExplorerRequest) -> Response:
    stored = request.view.best_block(_hex32(request.params["hash"]))
    if stored is None:
        return json_response({"in_best_chain": False, "height": None, "next_best": None})
    after = request.view.block_at(stored.height + 1)
    next_best = after.hash if after else None
    return json_response({"in_best_chain": True, "height": stored.height, "next_best": next_best})


@ROUTES.add("block/:hash/txids")
def _block_txids(request: ExplorerRequest) -> Response:
    return json_response([tx.txid for tx in request.seen_block().txs])


@ROUTES.add("block/:hash/txid/:index")
def _block_txid(request: ExplorerRequest) -> Response:
    index, txs = _number(request.params["index"]), request.seen_block().txs
    if index >= len(txs):
        raise HttpError(404, "tx index out of range")
    return _text(txs[index].txid)


@ROUTES.add("block/:hash/txs", "block/:hash/txs/:start")
def _block_txs(request: ExplorerRequest) -> Response:
    txs, start = request.best_block().txs, _number(request.params.get("start", "0"))
    if start >= len(txs):
        raise HttpError(404, "start index out of range")
    if start % PAGE:
        raise HttpError(400, f"start index must be a multipication of {PAGE}")
    return json_response([request.shown(tx) for tx in txs[start : start + PAGE]])


@ROUTES.add("block/:hash/raw")
def _block_raw(request: ExplorerRequest) -> Response:
    stored = request.best_block()
    raw = request.faults.block(stored, request.view.chain.block(stored.prev_hash))
    return Response(body=raw, content_type="application/octet-stream")


# Transactions.


@ROUTES.add("tx/:txid")
def _tx(request: ExplorerRequest) -> Response:
    return json_response(request.dialect.tx_json(request.view, request.tx()))


@ROUTES.add("tx/:txid/hex")
def _tx_hex(request: ExplorerRequest) -> Response:
    return _text(request.tx().serialize().hex())


@ROUTES.add("tx/:txid/raw")
def _tx_raw(request: ExplorerRequest) -> Response:
    return Response(body=request.tx().serialize(), content_type="application/octet-stream")


@ROUTES.add("tx/:txid/status")
def _tx_status(request: ExplorerRequest) -> Response:
    return json_response(esplora_json.status_json(request.view, request.txid()))


@ROUTES.add("tx/:txid/merkle-proof")
def _merkle_proof(request: ExplorerRequest) -> Response:
    proof = merkle_proof_json(request.view, request.txid())
    if proof is None:
        raise HttpError(404, "Transaction not found or is unconfirmed")
    return json_response(proof)


def merkle_proof_json(view: ChainView, txid: str) -> esplora_json.Json | None:
    """The siblings from a transaction up to its block's merkle root."""
    place = None if txid in view.hidden else view.place(txid)
    if place is None:
        return None
    leaves = [raw_from_hex(tx.txid) for tx in place.stored.txs]
    merkle = [hex_from_raw(node) for node in merkle_branch(merkle_levels(leaves), place.position)]
    return {"block_height": place.stored.height, "merkle": merkle, "pos": place.position}


@ROUTES.add("tx/:txid/merkleblock-proof")
def _merkleblock_proof(request: ExplorerRequest) -> Response:
    txid = request.txid()
    place = None if txid in request.view.hidden else request.view.place(txid)
    if place is None:
        raise HttpError(404, "Transaction not found or is unconfirmed")
    return _text(merkleblock(place.stored.block, place.position).hex())


@ROUTES.add("tx/:txid/outspend/:vout")
def _outspend(request: ExplorerRequest) -> Response:
    outpoint = OutPoint(request.txid(), _number(request.params["vout"]))
    return json_response(esplora_json.spend_json(request.view, outpoint))


@ROUTES.add("tx/:txid/outspends")
def _outspends(request: ExplorerRequest) -> Response:
    tx = request.tx()
    outpoints = [OutPoint(request.txid(), vout) for vout in range(len(tx.outputs))]
    return json_response(
        [esplora_json.spend_json(request.view, outpoint) for outpoint in outpoints]
    )


@ROUTES.add("tx", method="POST")
def broadcast(request: ExplorerRequest) -> Response:
    """Let the chain judge a transaction."""
    try:
        tx = parse_tx(bytes.fromhex(request.request.body.decode()))
        request.view.chain.accept(tx)
    except Rejected as error:
        code = -25 if "missingorspent" in error.reason else -26
        raise HttpError(400, _node_error(code, error.reason)) from error
    except ValueError as error:
        reason = "TX decode failed. Make sure the tx has at least one input."
        raise HttpError(400, _node_error(-22, reason)) from error
    return _text(tx.txid)


def _node_error(code: int, reason: str) -> str:
    return f'sendrawtransaction RPC error: {{"code":{code},"message":"{reason}"}}'


# Addresses and scripts.

BY_SCRIPT: Final = ("address/:address", "scripthash/:scripthash")


def _each(suffix: str) -> tuple[str, str]:
    return BY_SCRIPT[0] + suffix, BY_SCRIPT[1] + suffix


@ROUTES.add(*BY_SCRIPT)
def _stats(request: ExplorerRequest) -> Response:
    script, error = request.script() or b"\xff", request.faults.count_error
    stats = esplora_json.stats_json(request.view, script, error)
    return json_response({**request.params, **stats})


@ROUTES.add(*_each("/txs"))
def _history(request: ExplorerRequest) -> Response:
    script = request.script() or b"\xff"
    waiting = request.view.waiting(script)[:_MEMPOOL_PAGE]
    return json_response(
        [request.shown(tx) for tx in (*waiting, *_confirmed(request, script, None))]
    )


@ROUTES.add(*_each("/txs/mempool"))
def _history_mempool(request: ExplorerRequest) -> Response:
    waiting = request.view.waiting(request.script() or b"\xff")
    return json_response([request.shown(tx) for tx in waiting[:_MEMPOOL_PAGE]])


@ROUTES.add(*_each("/txs/chain"), *_each("/txs/chain/:last"))
def _history_chain(request: ExplorerRequest) -> Response:
    confirmed = _confirmed(request, request.script() or b"\xff", request.params.get("last"))
    return json_response([request.shown(tx) for tx in confirmed])


def _confirmed(request: ExplorerRequest, script: bytes, last: str | None) -> list[Tx]:
    """A page of the confirmed history. No txid at all means page 1, an unknown one the end."""
    txids = request.dialect.history(request.view, script)
    if last is not None and _is_hash(last):
        txids = txids[txids.index(last) + 1 :] if last in txids else []
    return [tx for txid in txids[:PAGE] if (tx := request.view.tx(txid))]


def _is_hash(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == 32
    except ValueError:
        return False


@ROUTES.add(*_each("/utxo"))
def _utxo(request: ExplorerRequest) -> Response:
    unspent = esplora_json.utxo_json(request.view, request.script() or b"\xff")
    if len(unspent) > _UTXO_LIMIT:
        raise HttpError(400, request.dialect.too_many)
    return json_response(unspent)


# What waits.


@ROUTES.add("mempool")
def _mempool(request: ExplorerRequest) -> Response:
    return json_response(esplora_json.mempool_json(request.view))


@ROUTES.add("mempool/txids")
def _mempool_txids(request: ExplorerRequest) -> Response:
    return json_response([tx.txid for tx in request.view.mempool()])


@ROUTES.add("mempool/recent")
def _mempool_recent(request: ExplorerRequest) -> Response:
    return json_response(esplora_json.recent_json(request.view))


@ROUTES.add("fee-estimates")
def _fee_estimates(_: ExplorerRequest) -> Response:
    return json_response({str(target): 1.0 for target in _TARGETS})
