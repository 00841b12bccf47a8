"""Who calls, and what that opens: nothing, what is public, or what an API key's scopes say."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import HTTPScope
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.config.load import Environment
from raised.db.engine import reading
from raised.db.requests.api_keys import ApiKey, hash_of, is_token, keys_by_hash
from raised_api.http.problems import Problem

READ: Final = "read"
INVOICES: Final = "invoices:read"
METRICS: Final = "metrics"
ADMIN: Final = "admin"

SCOPE: Final = "scope"  # a handler's `opt`: what a caller needs; `read` where there is none
_STATE: Final = "access"

# A revoked key opens nothing this much later.
_MAX_AGE_SECONDS: Final = 3.0
# Unknown keys make us read again, since one may be new; guesses must not load the database.
_MIN_INTERVAL_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Access:
    """What one caller may. `token`: the key that was sent, whose id is `key_id`."""

    scopes: frozenset[str]
    key_id: str | None = None
    token: str | None = None

    @property
    def sees_invoices(self) -> bool:
        """Whether rows that make payers traceable are for this caller."""
        return INVOICES in self.scopes

    def require(self, scope: str) -> None:
        """Go on only with this scope.

        Raises:
            Problem: 401 without a key, 403 with one; both name the scope.
        """
        if scope in self.scopes:
            return
        if self.key_id is None:
            raise _unauthorized(f"This is for keys with the scope {scope}.")
        raise Problem(403, f"This key does not have the scope {scope}.")


ANONYMOUS: Final = Access(frozenset())


class ApiKeyCache:
    """The keys that are not revoked, read together: a request costs no query of its own.

    `on_use` is told the id of each key that a request brings.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        is_public: bool,
        ticks: Callable[[], float] = monotonic,
        on_use: Callable[[str], object] = lambda _key_id: None,
    ) -> None:
        self._engine = engine
        self._ticks = ticks
        self._on_use = on_use
        self._public_scopes = frozenset({READ}) if is_public else frozenset[str]()
        self._without_key = Access(self._public_scopes)
        self._keys: dict[str, ApiKey] = {}
        self._read_at: float | None = None
        self._lock = asyncio.Lock()

    async def authenticate(self, scope: HTTPScope) -> Access:
        """What the caller of this request may.

        Raises:
            Problem: 401, there is no such key or it is revoked.
            RecordUnavailable: the database does not answer.
        """
        values = [value for name, value in scope["headers"] if name == b"authorization"]
        if not values:
            return self._without_key
        scheme, _, token = values[0].decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" and len(values) == 1:
            return self._without_key  # meant for a proxy before us
        return await self.authenticate_token(token.strip() if len(values) == 1 else "")

    async def authenticate_token(self, token: str) -> Access:
        """What this key opens.

        Raises:
            Problem: 401, there is no such key or it is revoked.
            RecordUnavailable: the database does not answer.
        """
        key = await self._find(token) if is_token(token) else None
        if key is None:
            raise _unauthorized("There is no such key, or it was revoked.")
        self._on_use(key.id)
        return Access(self._public_scopes | key.opens, key.id, token)

    async def _find(self, token: str) -> ApiKey | None:
        token_hash = hash_of(token)
        now = self._ticks()
        if self._is_older_than(now - _MAX_AGE_SECONDS):
            await self._read_if_older_than(now - _MAX_AGE_SECONDS)
        if token_hash not in self._keys:
            await self._read_if_older_than(now)
        return self._keys.get(token_hash)

    def _is_older_than(self, ticks: float) -> bool:
        return self._read_at is None or self._read_at < ticks

    async def _read_if_older_than(self, ticks: float) -> None:
        async with self._lock:
            if not self._is_older_than(ticks):
                return  # another request has read them while this one waited
            if self._read_at is not None:
                next_read_at = self._read_at + _MIN_INTERVAL_SECONDS
                await asyncio.sleep(max(0.0, next_read_at - self._ticks()))
            # Taken before the read: a key revoked during it may still be seen.
            started_at = self._ticks()
            async with reading(self._engine) as conn:
                self._keys = await keys_by_hash(conn)
            self._read_at = started_at


def is_public(environment: Environment) -> bool:
    """Whether public data is for everybody: as it was set, else on this machine alone."""
    if environment.api_public is not None:
        return environment.api_public
    return environment.api_bind.is_loopback


def set_access(scope: HTTPScope, access: Access) -> None:
    """Note who calls, for what answers this request."""
    scope.setdefault("state", {})[_STATE] = access


def access_of(scope: Any) -> Access:
    """Who calls, as AccessMiddleware has noted it in this ASGI scope."""
    access = scope["state"][_STATE]
    assert isinstance(access, Access), "every request passes AccessMiddleware"
    return access


def require_scope(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Litestar's guard: the caller needs the scope that the handler names.

    Raises:
        Problem: 401 or 403.
    """
    access_of(connection.scope).require(handler.opt.get(SCOPE, READ))


def _unauthorized(detail: str) -> Problem:
    """401 with the header that RFC 9110, 11.6.1, demands."""
    return Problem(401, detail, headers={"www-authenticate": "Bearer"})
