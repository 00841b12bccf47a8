"""The shapes of answers about sources and health."""

from typing import Any, Literal, TypedDict

from raised_api.openapi.schemas import Quality, Time


class LastError(TypedDict):
    code: str
    detail: str | None


class Source(TypedDict):
    name: str
    state: Literal["ok", "degraded", "down"]
    since_at: Time | None
    last_success_at: Time | None
    last_error: LastError | None
    latency_ms: int | None
    errors: dict[str, int]


class Relay(Source):
    last_event_at: Time | None
    cursor_at: Time | None
    backfill_complete: bool
    events: dict[str, int]
    forged: int
    auth: Any


class RelayList(TypedDict):
    items: list[Relay]
    next_cursor: None


class Explorer(Source):
    flavour: str | None
    height: int | None
    hash: str | None
    verify: str | None
    requests_today: int
    disagrees_with: list[str]


class ExplorerList(TypedDict):
    items: list[Explorer]
    next_cursor: None


class Store(Source):
    version: str | None
    last_pull_at: Time | None
    webhook: str | None
    misses: int
    last_miss_at: Time | None
    refunds_visible: bool | None
    unlinked_payouts: int
    ambiguous_invoices: int
    troubles: list[str]
    warnings: list[str]


class StoreList(TypedDict):
    items: list[Store]
    next_cursor: None


class Alive(TypedDict):
    status: Literal["ok"]


class Daemon(TypedDict):
    alive: bool
    seen_at: Time | None


class ChainHealth(TypedDict):
    state: Quality
    height: int | None
    hash: str | None
    explorers: list[Explorer]


class Progress(TypedDict):
    what: str
    done: int
    total: int


class Trouble(TypedDict):
    source: str
    code: str
    subject: str | None
    detail: str
    since_at: Time | None
    last_at: Time | None
    tries: int | None
    severity: Literal["warning", "degraded", "down"]


class ProblemList(TypedDict):
    items: list[Trouble]
    next_cursor: str | None


class Health(TypedDict):
    status: Literal["ready", "starting", "degraded", "down"]
    database: Literal["ok", "down"]
    daemon: Daemon
    relays: list[Relay]
    chain: ChainHealth
    btcpay: list[Store]
    progress: list[Progress]
    problems: list[Trouble]
