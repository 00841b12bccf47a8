"""What every request passes: HEAD as GET, who calls, how often, and headers for all responses.

These stand around Litestar, not in its own list of middleware: Litestar runs that only after it has
found a route, and requests for unknown addresses count and are refused like others.
"""

from collections.abc import Callable, Collection
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from raised.errors import RecordUnavailable
from raised_api.http.auth import ANONYMOUS, READ, Access, ApiKeyCache, set_access
from raised_api.http.client_ip import client_address, limited_address
from raised_api.http.endpoint import BASE
from raised_api.http.problems import Problem, to_problem
from raised_api.http.rate_limit import Quota, RateLimiter
from raised_api.http.refused_keys import RefusedKeys
from raised_api.http.responses import Headers, send_problem, with_headers

_HEALTH: Final = "/health"
_METRICS: Final = "/metrics"
_ALWAYS: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class HeadMiddleware:
    """Treats HEAD as GET: the server leaves out the body. `excluded`: paths without an end."""

    def __init__(self, app: ASGIApp, excluded: Collection[str]) -> None:
        self._app = app
        self._excluded = excluded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer."""
        if (
            scope["type"] == ScopeType.HTTP
            and scope["method"] == "HEAD"
            and scope["path"] not in self._excluded
        ):
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


class AccessMiddleware:
    """Finds out who calls, limits how often, and refuses those who may read nothing."""

    def __init__(
        self,
        app: ASGIApp,
        api_keys: ApiKeyCache,
        rate_limiter: RateLimiter,
        refused_keys: RefusedKeys,
        clock: Callable[[], int],
        trusted_proxies: tuple[str, ...],
    ) -> None:
        self._app = app
        self._api_keys = api_keys
        self._rate_limiter = rate_limiter
        self._refused_keys = refused_keys
        self._clock = clock
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, unless the caller is refused."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        headers = list(_ALWAYS)
        try:
            access = await self._admit(scope, headers)
        except (Problem, RecordUnavailable) as error:
            # Refusals are not for a cache: the next request may be allowed.
            await send_problem(send, to_problem(error), [(b"cache-control", b"no-store"), *headers])
        else:
            set_access(scope, access)
            await self._app(scope, receive, with_headers(send, headers))

    async def _admit(self, scope: HTTPScope, headers: Headers) -> Access:
        """Who calls, unless too often; adds the headers that say how often."""
        path = scope["path"]
        if path.startswith(_HEALTH):
            return ANONYMOUS  # a watchdog is answered whatever else is asked, and without a key
        access = await self._authenticate(scope, headers)
        if path != _METRICS:
            self._count(access.key_id or self._address(scope), headers)
        # What a key opens is said by the route's guard. OPTIONS comes from browsers without a key.
        if path.startswith(BASE) and access.key_id is None and scope["method"] != "OPTIONS":
            access.require(READ)
        return access

    async def _authenticate(self, scope: HTTPScope, headers: Headers) -> Access:
        try:
            return await self._api_keys.authenticate(scope)
        except Problem:
            # Guesses use up the address' quota, too.
            address = self._address(scope)
            self._refused_keys.note(address, self._clock())
            self._count(address, headers)
            raise

    def _address(self, scope: HTTPScope) -> str:
        return limited_address(client_address(scope, self._trusted_proxies))

    def _count(self, caller: str, headers: Headers) -> None:
        quota = self._rate_limiter.count(caller, self._clock())
        headers += _quota_headers(quota)
        if not quota.is_allowed:
            raise _too_many_requests(quota)


def _quota_headers(quota: Quota) -> Headers:
    return [
        (b"ratelimit-limit", b"%d" % quota.limit),
        (b"ratelimit-remaining", b"%d" % quota.remaining),
        (b"ratelimit-reset", b"%d" % quota.reset_seconds),
    ]


def _too_many_requests(quota: Quota) -> Problem:
    return Problem(
        429,
        f"Too many questions; go on in {quota.reset_seconds} seconds.",
        headers={"retry-after": str(quota.reset_seconds)},
    )
