"""Who asks, and what that opens: nothing, what is public, or what a key's scopes say.

All keys that hold are read together, at most once a second and at least every three while some
come, so that a revoked key opens nothing three seconds later and no stranger's guess asks the
record.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from litestar import Request
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

_STATE: Final = "access"
_HOLDS_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Access:
    """What one asker may. `token`: the key that was sent, whose id is `key_id`."""

    scopes: frozenset[str]
    key_id: str | None = None
    token: str | None = None

    @property
    def sees_invoices(self) -> bool:
        """Whether rows that make payers traceable are for this asker."""
        return INVOICES in self.scopes

    def require(self, scope: str) -> None:
        """Go on only with this scope.

        Raises:
            Problem: 401 without a key, 403 with one; both name the scope.
        """
        if scope in self.scopes:
            return
        if self.key_id is None:
            raise unauthorized(f"This is for keys with the scope {scope}.")
        raise Problem(403, f"This key has not the scope {scope}.")


ANONYMOUS: Final = Access(frozenset())


class ApiKeyCache:
    """The keys that hold."""

    def __init__(
        self, engine: AsyncEngine, *, is_open: bool, ticks: Callable[[], float] = monotonic
    ) -> None:
        self._engine = engine
        self._ticks = ticks
        self._public = frozenset({READ}) if is_open else frozenset[str]()
        self._stranger = Access(self._public)
        self._keys: dict[str, ApiKey] = {}
        self._read_at: float | None = None
        self._turn = asyncio.Lock()

    async def access_of(self, scope: HTTPScope) -> Access:
        """What the asker may.

        Raises:
            Problem: 401, there is no such key or it is revoked.
            RecordUnavailable: the database does not answer.
        """
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        if not sent:
            return self._stranger
        scheme, _, token = sent[0].decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" and len(sent) == 1:
            return self._stranger  # meant for a proxy before us
        return await self.access_with(token.strip() if len(sent) == 1 else "")

    async def access_with(self, token: str) -> Access:
        """What this key opens.

        Raises:
            Problem: 401, there is no such key or it is revoked.
            RecordUnavailable: the database does not answer.
        """
        key = await self._find(token) if is_token(token) else None
        if key is None:
            raise unauthorized("There is no such key, or it was revoked.")
        return Access(self._public | key.scopes, key.id, token)

    async def _find(self, token: str) -> ApiKey | None:
        hashed = hash_of(token)
        asked_at = self._ticks()
        if self._is_due(asked_at - _HOLDS_SECONDS):
            await self._read(asked_at - _HOLDS_SECONDS)
        if hashed not in self._keys:
            await self._read(asked_at)  # perhaps it is new
        return self._keys.get(hashed)

    def _is_due(self, since: float) -> bool:
        return self._read_at is None or self._read_at < since

    async def _read(self, since: float) -> None:
        """Know the keys as they were at `since` or later."""
        async with self._turn:
            if not self._is_due(since):
                return
            if self._read_at is not None:
                await asyncio.sleep(max(0.0, self._read_at + _PAUSE_SECONDS - self._ticks()))
            began_at = self._ticks()
            async with reading(self._engine) as conn:
                self._keys = await keys_by_hash(conn)
            self._read_at = began_at


def is_open(environment: Environment) -> bool:
    """Whether public data is for everybody: as it was set, else on this machine alone."""
    if environment.api_public is not None:
        return environment.api_public
    return environment.api_bind.is_loopback


def note_access(scope: HTTPScope, access: Access) -> None:
    """Let what answers this request know who asks."""
    scope.setdefault("state", {})[_STATE] = access


def access_in(request: Request[Any, Any, Any]) -> Access:
    """Who asks, as the gate has found."""
    found = request.scope["state"][_STATE]
    assert isinstance(found, Access), "nothing comes here but through the gate"
    return found


def unauthorized(detail: str) -> Problem:
    """401 with what its standard wants."""
    return Problem(401, detail, headers={"www-authenticate": "Bearer"})
