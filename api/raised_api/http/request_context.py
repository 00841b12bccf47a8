"""What a handler works with: the query parameters, and the record as one transaction shows it."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from litestar import Request
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from raised.db.engine import reading
from raised.db.items.instant import rfc3339
from raised.db.queries.as_of import RecordState, read_as_of
from raised_api.http.auth import access_of
from raised_api.http.envelope import AsOf, Sources
from raised_api.http.parameters import PARAMETERS, parse_query
from raised_api.http.response_cache import RecordVersion, set_version
from raised_api.http.webhook_secrets import WebhookSecrets


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One request, with the transaction to answer it in: all of a response shows one moment.

    `path`, `query`: its parameters. `now`: Unix seconds. `secrets`: what the process has to check
    deliveries. `sees_invoices`: rows that make payers traceable are for the caller.
    """

    conn: AsyncConnection
    as_of: RecordState
    now: int
    path: Mapping[str, str]
    query: Mapping[str, Any]
    secrets: WebhookSecrets
    sees_invoices: bool = False

    @property
    def minute(self) -> int:
        """The clock cut to the minute: responses know no finer time, so that they can be cached."""
        return self.now // 60 * 60

    def as_of_block(self) -> AsOf:
        """The `as_of` block of the response."""
        state = self.as_of
        return AsOf(
            at=rfc3339(self.minute),
            height=state.height,
            hash=state.hash,
            seq=state.seq,
            stale=state.is_stale(self.now),
            complete=state.complete,
            sources=Sources(*state.source_states(self.now)),
        )


class ContextProvider:
    """Opens a transaction for each request that is not answered from the cache.

    `on_restored` is called when the record is older than it was: a backup may have been put in its
    place.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Callable[[], int],
        secrets: WebhookSecrets,
        on_restored: Callable[[], object],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._secrets = secrets
        self._on_restored = on_restored
        self._newest_seq = 0

    async def provide(self, request: Request[Any, Any, Any]) -> AsyncIterator[RequestContext]:
        """Litestar's dependency `context`; closed when the response is rendered.

        Raises:
            Problem: a query parameter is unknown or bad.
            RecordUnavailable: the database does not answer.
        """
        # Before the transaction: what the client has got wrong needs no database.
        parameters = request.route_handler.opt[PARAMETERS]
        query = parse_query(parameters, request.scope["query_string"])
        path = {name: str(value) for name, value in request.path_params.items()}
        now = self._clock()
        async with reading(self._engine) as conn:
            as_of = await read_as_of(conn)
            if as_of.seq < self._newest_seq:
                self._on_restored()
            self._newest_seq = as_of.seq
            set_version(request.scope, RecordVersion(as_of.seq, now // 60, as_of.is_stale(now)))
            sees_invoices = access_of(request.scope).sees_invoices
            yield RequestContext(conn, as_of, now, path, query, self._secrets, sees_invoices)
