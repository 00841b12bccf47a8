"""Ask the daemon to pull now."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.db.engine import transact
from raised.db.items.instant import Time, rfc3339
from raised.db.requests.refresh import request_refresh
from raised_api.http.auth import ADMIN, SCOPE, require_scope
from raised_api.http.endpoint import BASE
from raised_api.http.parameters import parse_query

PATH: Final = f"{BASE}/refresh"


class RefreshAsked(msgspec.Struct, frozen=True):
    requested_at: Time


def refresh_handler(writer: AsyncEngine, clock: Callable[[], int]) -> HTTPRouteHandler:
    """The route for those who do not want to wait for the next pull."""

    @post(PATH, name="refresh", guards=[require_scope], opt={SCOPE: ADMIN})
    async def refresh(request: Request[Any, Any, Any]) -> Response[bytes]:
        parse_query((), request.scope["query_string"])
        requested_at = await transact(writer, request_refresh, clock())
        return Response(
            msgspec.json.encode(RefreshAsked(rfc3339(requested_at))),
            status_code=202,
            media_type="application/json",
            headers={"cache-control": "no-store"},
        )

    return refresh
