"""Pages of other origins may read, where that is configured. Source: Fetch, 3.2 (CORS protocol).

Around everything else but webhooks, not Litestar's own: a page must be able to read refusals too,
which are made before Litestar is asked, and to tell a missing key from a limit or no network.
"""

from collections.abc import Sequence
from typing import Final

from litestar.config.cors import CORSConfig
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from raised_api.http.problems import Problem
from raised_api.http.responses import Headers, send_problem, send_response, with_headers

_VARY: Final[Headers] = [(b"vary", b"origin")]
_EXPOSED: Final = (
    b"etag, ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after, www-authenticate"
)
_PREFLIGHT: Final[Headers] = [
    (b"access-control-allow-methods", b"GET, HEAD"),
    (b"access-control-allow-headers", b"authorization, if-none-match, last-event-id"),
    (b"access-control-max-age", b"600"),
    (b"content-length", b"0"),
]


class CorsMiddleware:
    """Answers preflights and adds what browsers of these origins need. `*` stands for any text."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = CORSConfig(allow_origins=list(origins))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight; let the application answer everything else."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        headers = self._headers(_header(scope, b"origin"))
        if not _is_preflight(scope):
            await self._app(scope, receive, with_headers(send, headers))
        elif headers == _VARY:
            await send_problem(send, Problem(400, "Pages of this origin may not read."), headers)
        else:
            await send_response(send, 204, [*headers, *_PREFLIGHT], b"")

    def _headers(self, origin: bytes | None) -> Headers:
        """What an answer to a page of this origin carries; None: to nobody's page."""
        if origin is None or not self._origins.is_origin_allowed(origin.decode("latin-1")):
            return _VARY
        allowed = b"*" if self._origins.is_allow_all_origins else origin
        return [
            *_VARY,
            (b"access-control-allow-origin", allowed),
            (b"access-control-expose-headers", _EXPOSED),
        ]


def _is_preflight(scope: HTTPScope) -> bool:
    """Whether a browser asks what it may; other requests with OPTIONS are answered as any."""
    names = (b"origin", b"access-control-request-method")
    return scope["method"] == "OPTIONS" and all(_header(scope, name) for name in names)


def _header(scope: HTTPScope, wanted: bytes) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == wanted), None)
