"""The routes of the mempool backend on an Electrum server (flavour C), as Angor's hosts run it.

Source: docs/chain-api.md 3 to 7.
"""

import re
from typing import Final

from raised.domain.bitcoin.tx import Tx
from raised.errors import InvalidInput
from raised_simnet.bitcoin.block_archive import StoredBlock
from raised_simnet.explorer import electrum_json, esplora_json, mempool_routes
from raised_simnet.explorer.esplora_routes import (
    BY_SCRIPT,
    ExplorerRequest,
    broadcast,
    merkle_proof_json,
    script_of,
)
from raised_simnet.explorer.mempool_json import extended_block_json
from raised_simnet.http.http_server import Response, json_response
from raised_simnet.http.url_routing import HttpError, Router

ELECTRUM_ROUTES: Final = Router[ExplorerRequest]()
_PAGE: Final = 10
_BATCH: Final = 50
_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
_ADDRESS: Final = re.compile(r"[a-zA-Z0-9]{26,90}")
_HTML: Final = "text/html; charset=utf-8"


def _error(status: int, text: str) -> HttpError:
    return HttpError(status, json_response({"error": text}, status))


def _tx_of(request: ExplorerRequest) -> Tx:
    txid = request.params["txid"]
    if not _HASH.fullmatch(txid):
        raise _error(400, "Invalid transaction ID")
    tx = request.view.tx(txid)
    if tx is None:
        raise _error(404, "No such mempool or blockchain transaction")
    return request.faults.lies.get(txid, tx)


def _shown(request: ExplorerRequest, txs: list[Tx]) -> Response:
    lies = request.faults.lies
    return json_response([electrum_json.tx_json(request.view, lies.get(tx.txid, tx)) for tx in txs])


@ELECTRUM_ROUTES.add("blocks/tip/height")
def _tip_height(request: ExplorerRequest) -> Response:
    return json_response(request.view.height)


@ELECTRUM_ROUTES.add("blocks/tip/hash")
def _tip_hash(request: ExplorerRequest) -> Response:
    return Response(body=request.view.tip.hash.encode())


@ELECTRUM_ROUTES.add("block-height/:height")
def _block_at_height(request: ExplorerRequest) -> Response:
    height = request.params["height"]
    stored = request.view.block_at(int(height)) if height.isdecimal() else None
    if stored is None:
        raise _error(500, "Failed to get block at height")
    return Response(body=stored.hash.encode(), content_type=_HTML)


def _block_of(request: ExplorerRequest) -> StoredBlock:
    block_hash = request.params["hash"]
    if not _HASH.fullmatch(block_hash):
        raise _error(400, "Invalid block hash")
    stored = request.view.seen_block(block_hash)
    if stored is None:
        raise _error(500, "Failed to get block")
    return stored


@ELECTRUM_ROUTES.add("block/:hash")
def _block(request: ExplorerRequest) -> Response:
    stored = _block_of(request)
    stale = request.view.best_block(stored.hash) is None
    return json_response({**extended_block_json(stored), "stale": stale})


@ELECTRUM_ROUTES.add("block/:hash/header")
def _header(request: ExplorerRequest) -> Response:
    return Response(body=_block_of(request).block.header.serialize().hex().encode())


@ELECTRUM_ROUTES.add("block/:hash/txids")
def _block_txids(request: ExplorerRequest) -> Response:
    return json_response([tx.txid for tx in _block_of(request).txs])


@ELECTRUM_ROUTES.add("block/:hash/raw")
def _block_raw(request: ExplorerRequest) -> Response:
    stored = _block_of(request)
    raw = request.faults.block(stored, request.view.chain.block(stored.prev_hash))
    return Response(body=raw, content_type="application/octet-stream")


@ELECTRUM_ROUTES.add("block/:hash/txs", "block/:hash/txs/:start")
def _block_txs(request: ExplorerRequest) -> Response:
    start = int(request.params.get("start", "0"))
    return _shown(request, list(_block_of(request).txs[start : start + _PAGE]))


@ELECTRUM_ROUTES.add("tx/:txid")
def _tx(request: ExplorerRequest) -> Response:
    return json_response(electrum_json.single_tx_json(request.view, _tx_of(request)))


@ELECTRUM_ROUTES.add("tx/:txid/hex")
def _tx_hex(request: ExplorerRequest) -> Response:
    return Response(body=_tx_of(request).serialize().hex().encode())


@ELECTRUM_ROUTES.add("tx/:txid/status")
def _tx_status(request: ExplorerRequest) -> Response:
    return json_response(esplora_json.status_json(request.view, _tx_of(request).txid))


@ELECTRUM_ROUTES.add("tx/:txid/merkle-proof")
def _merkle_proof(request: ExplorerRequest) -> Response:
    proof = merkle_proof_json(request.view, request.params["txid"])
    if proof is None:
        raise _error(500, "Failed to get merkle proof")
    return json_response(proof)


@ELECTRUM_ROUTES.add("tx/:txid/outspends")
def _outspends(request: ExplorerRequest) -> Response:
    tx = request.view.tx(request.params["txid"])
    if tx is None:
        raise _error(500, "Failed to get transaction outspends")
    return json_response(electrum_json.outspends_json(request.view, tx))


@ELECTRUM_ROUTES.add("txs/outspends")
def _many_outspends(request: ExplorerRequest) -> Response:
    """One unknown transaction fails the whole batch."""
    txids = (request.query("txids") or "").split(",")
    if len(txids) > _BATCH:
        raise _error(400, "Too many txids requested")
    txs = [tx for txid in txids if (tx := request.view.tx(txid))]
    if len(txs) < len(txids):
        raise _error(500, "Failed to get batched outspends")
    return json_response([electrum_json.outspends_json(request.view, tx) for tx in txs])


ELECTRUM_ROUTES.add("tx", method="POST")(broadcast)


def _script(request: ExplorerRequest) -> bytes:
    address = request.params.get("address")
    if address is None:
        return request.script() or b"\xff"
    if not _ADDRESS.fullmatch(address):
        raise _error(400, "Invalid address")
    try:
        return script_of(address)
    except InvalidInput as error:
        raise HttpError(400, "Invalid Bitcoin address") from error


@ELECTRUM_ROUTES.add(*BY_SCRIPT)
def _stats(request: ExplorerRequest) -> Response:
    named = dict(request.params)
    if "scripthash" in named:
        named["scripthash"] = bytes.fromhex(named["scripthash"])[::-1].hex()
    return json_response({**named, **electrum_json.stats_json(request.view, _script(request))})


@ELECTRUM_ROUTES.add(*(script + "/txs" for script in BY_SCRIPT))
def _history(request: ExplorerRequest) -> Response:
    """Ten a page. A cursor that is unknown, or is the first of all, gives page 1 again."""
    txs, after = electrum_json.history(request.view, _script(request)), request.query("after_txid")
    places = [place for place, tx in enumerate(txs) if tx.txid == after]
    begin = places[0] + 1 if places and places[0] > 0 else 0
    return _shown(request, txs[begin : begin + _PAGE])


@ELECTRUM_ROUTES.add(*(script + "/utxo" for script in BY_SCRIPT))
def _utxo(request: ExplorerRequest) -> Response:
    return json_response(esplora_json.utxo_json(request.view, _script(request)))


@ELECTRUM_ROUTES.add("mempool/txids")
def _mempool_txids(request: ExplorerRequest) -> Response:
    return json_response([tx.txid for tx in request.view.mempool()])


ELECTRUM_ROUTES.add("blocks", "blocks/:start")(mempool_routes.extended_blocks)
ELECTRUM_ROUTES.add("backend-info")(mempool_routes.backend_info)
ELECTRUM_ROUTES.add("fees/recommended", "fees/precise")(mempool_routes.fees)
ELECTRUM_ROUTES.add("prices", "historical-price")(mempool_routes.prices)
