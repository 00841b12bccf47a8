"""The routes of mempool/electrs with the mempool backend beside it (flavour B).

Everything under `v1/` is the backend's, the rest electrs'. Source: docs/chain-api.md 3 to 7.
"""

from typing import Final

from raised.domain.bitcoin.tx import OutPoint, Tx
from raised_simnet.explorer import esplora_json, mempool_json
from raised_simnet.explorer.esplora_routes import (
    BY_SCRIPT,
    ROUTES,
    ExplorerDialect,
    ExplorerRequest,
)
from raised_simnet.http.http_server import Response, json_response
from raised_simnet.http.url_routing import HttpError, Router

MEMPOOL: Final = ExplorerDialect(
    mempool_json.tx_json,
    mempool_json.history,
    "Invalid Bitcoin address",
    "Too many unspent transaction outputs (>500). Contact support to raise limits.",
)
MEMPOOL_ROUTES: Final = Router[ExplorerRequest](otherwise=ROUTES)
_PAGE: Final = 50
_BLOCKS_PAGE: Final = 15
_BATCH: Final = 50
_FEES: Final = {
    "fastestFee": 1,
    "halfHourFee": 1,
    "hourFee": 1,
    "economyFee": 1,
    "minimumFee": 1,
}


@MEMPOOL_ROUTES.add(*(script + "/txs" for script in BY_SCRIPT))
def _history(request: ExplorerRequest) -> Response:
    """Waiting and confirmed ones in one list; a cursor may be in either part."""
    script = request.script() or b"\xff"
    size = int(request.query("max_txs") or _PAGE)
    after = request.query("after_txid")
    waiting = request.view.waiting(script)
    confirmed = (request.view.tx(txid) for txid in request.dialect.history(request.view, script))
    txs = [*waiting, *(tx for tx in confirmed if tx)]
    if after is not None and len(after) == 64:
        txs = _behind(txs, after)
    return json_response([request.shown(tx) for tx in txs[:size]])


def _behind(txs: list[Tx], txid: str) -> list[Tx]:
    places = [place for place, tx in enumerate(txs) if tx.txid == txid]
    if not places:
        raise HttpError(422, "after_txid not found")
    return txs[places[0] + 1 :]


@MEMPOOL_ROUTES.add("txs/outspends")
def _many_outspends(request: ExplorerRequest) -> Response:
    txids = (request.query("txids") or "").split(",")
    if len(txids) > _BATCH:
        raise HttpError(400, "Too many txids requested")
    return json_response([_outspends(request, txid) for txid in txids])


def _outspends(request: ExplorerRequest, txid: str) -> list[esplora_json.Json]:
    tx = request.view.tx(txid)
    vouts = range(len(tx.outputs)) if tx else ()
    return [esplora_json.spend_json(request.view, OutPoint(txid, vout)) for vout in vouts]


@MEMPOOL_ROUTES.add("v1/blocks", "v1/blocks/:start")
def extended_blocks(request: ExplorerRequest) -> Response:
    """Fifteen blocks from a height downwards."""
    top = min(int(request.params.get("start", request.view.height)), request.view.height)
    heights = range(top, max(top - _BLOCKS_PAGE, -1), -1)
    blocks = (request.view.block_at(height) for height in heights)
    return json_response([mempool_json.extended_block_json(block) for block in blocks if block])


@MEMPOOL_ROUTES.add("v1/backend-info")
def backend_info(_: ExplorerRequest) -> Response:
    """Who answers."""
    info = {"hostname": "simnet", "version": "3.1.0", "gitCommit": "0", "backend": "esplora"}
    return json_response(info)


@MEMPOOL_ROUTES.add("v1/fees/recommended", "v1/fees/precise")
def fees(_: ExplorerRequest) -> Response:
    """The least there is: nobody competes here."""
    return json_response(_FEES)


@MEMPOOL_ROUTES.add("v1/prices", "v1/historical-price")
def prices(_: ExplorerRequest) -> Response:
    """Test networks have none."""
    return json_response({"error": "Prices are not available on testnets."}, 400)
