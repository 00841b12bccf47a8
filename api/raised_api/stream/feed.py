"""The live feed: one follower of the record, many readers.

New changes are read once, encoded once and kept in one log; a reader is only a place in it. What
came before the log is read from the record at the reader's own pace. A live reader that does not
keep up is disconnected: it comes back with the number of the last change it saw.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from raised.db.engine import reading, transact
from raised.db.items.change_item import Change
from raised.db.queries.as_of import RecordState, read_as_of
from raised.db.queries.feed import Head, changes_after, read_head
from raised.errors import RecordReplaced, RecordUnavailable
from raised_api.http.response_cache import RecordVersion
from raised_api.stream.redaction import public_change

# Unsent live changes at which a reader is disconnected: the log that all share is bounded by it.
MAX_BEHIND: Final = 1000
_POLL_PAGE: Final = 500  # changes read at a time while following
_READ_PAGE: Final = 100  # changes given to a reader at a time
# How late a change may be; the query reads one row by an index.
_POLL_SECONDS: Final = 0.1
_RETRY_SECONDS: Final = 1.0  # while the database is away

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Message:
    """A change as a server-sent event: for those who see invoices, and for everybody else.

    `public` is empty where the change is not for everybody.
    """

    seq: int
    type: str
    data: bytes
    public: bytes


def encode_change(change: Change) -> Message:
    """The change as a server-sent event."""
    data = _event(change)
    redacted = public_change(change)
    public = b"" if redacted is None else data if redacted is change else _event(redacted)
    return Message(change.seq, change.type, data, public)


def _event(change: Change) -> bytes:
    data = msgspec.json.encode(change)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (change.seq, change.type.encode(), data)


class Reader:
    """One open stream: `seq` is the last change that it has passed, `disconnect` ends it."""

    __slots__ = ("disconnect", "is_live", "pings", "seq")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.pings = 0
        self.is_live = False
        self.disconnect: Callable[[], object] = lambda: None


class Feed:
    """Follows the record's changes and hands them to the readers.

    `on_read` is called each time the database has answered, `on_replaced` before following ends
    because the record is not the one that was opened.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        ping_seconds: float,
        on_read: Callable[[], object],
        on_replaced: Callable[[RecordReplaced], object],
    ) -> None:
        self._engine = engine
        self._on_read = on_read
        self._on_replaced = on_replaced
        self._ping_seconds = ping_seconds
        self._pings = 0  # how often all readers were woken to send a ping
        self._log: list[Message] = []
        self._log_start = 0  # every change after this number is in the log
        self._as_of = RecordState(0, None, None, None, "off", "off", "off")
        self._readers: set[Reader] = set()
        self._wake_up = asyncio.Event()  # a new one after each time that it was set
        self._closed = asyncio.Event()
        self.available = True

    @property
    def as_of(self) -> RecordState:
        """The state of the record when it was last read."""
        return self._as_of

    @property
    def seq(self) -> int:
        """The newest change announced here."""
        return self._as_of.seq

    @property
    def closing(self) -> bool:
        """Whether every stream is to end."""
        return self._closed.is_set()

    @property
    def readers(self) -> int:
        """How many streams are open."""
        return len(self._readers)

    def version(self, now: int) -> RecordVersion:
        """What cached responses depend on."""
        return RecordVersion(self.seq, now // 60, self._as_of.is_stale(now))

    async def start(self) -> None:
        """Begin at the newest change.

        Raises:
            RecordUnavailable: the database does not answer.
        """
        async with reading(self._engine) as conn:
            await self._start_at_newest(conn)

    async def follow(self) -> None:
        """Announce changes as they are committed, until closed or the record was replaced; retry
        while the database is away.

        Not cancelled but closed: a connection cancelled in a statement is lost.
        """
        loop = asyncio.get_running_loop()
        pinged_at = loop.time()
        while not self.closing:
            if loop.time() - pinged_at >= self._ping_seconds:
                pinged_at = loop.time()
                self._pings += 1
                self._wake_readers()
            try:
                await self._poll()
            except RecordReplaced as error:
                self._on_replaced(error)
                return
            except RecordUnavailable as error:
                if self.available:
                    self.available = False
                    _log.error("record lost", reason=str(error))
            await _wait_for(self._closed, _POLL_SECONDS if self.available else _RETRY_SECONDS)

    async def _poll(self) -> None:
        async with reading(self._engine) as conn:
            head = await read_head(conn)
            if head.seq < self.seq:  # a backup was put in the record's place
                await self._start_at_newest(conn)
                self._disconnect_all()
            elif head.seq > self.seq:
                changes = await changes_after(conn, self.seq, _POLL_PAGE)
                as_of = await read_as_of(conn)
                self._announce([encode_change(change) for change in changes], as_of)
            else:
                self._set_seen_at(head)
        self._on_read()
        if not self.available:
            self.available = True
            _log.info("record back")

    async def _start_at_newest(self, conn: AsyncConnection) -> None:
        self._as_of = await read_as_of(conn)
        self._log.clear()
        self._log_start = self._as_of.seq

    def _set_seen_at(self, head: Head) -> None:
        """The daemon writes that it is alive without a change: staleness depends on it."""
        if head.seen_at != self._as_of.seen_at:
            self._as_of = replace(self._as_of, seen_at=head.seen_at)

    def _announce(self, messages: list[Message], as_of: RecordState) -> None:
        self._as_of = replace(as_of, seq=messages[-1].seq)
        self._log.extend(messages)
        for reader in list(self._readers):
            if reader.is_live and len(self._log) - self._index_after(reader.seq) > MAX_BEHIND:
                reader.disconnect()
        # Cut at twice the length, so that the copy is made once in that many changes.
        if len(self._log) > 2 * MAX_BEHIND:
            self._log_start = self._log[-MAX_BEHIND - 1].seq
            del self._log[:-MAX_BEHIND]
        self._wake_readers()

    def _disconnect_all(self) -> None:
        for reader in list(self._readers):
            reader.disconnect()

    def _wake_readers(self) -> None:
        event, self._wake_up = self._wake_up, asyncio.Event()
        event.set()

    def _index_after(self, seq: int) -> int:
        """The index in the log of the first change after this one."""
        return bisect_right(self._log, seq, key=lambda message: message.seq)

    def close(self) -> None:
        """Let every stream end by itself: the process is asked to stop."""
        self._closed.set()
        self._wake_readers()

    async def head(self) -> Head:
        """The ends of the feed as the record has them now.

        Raises:
            RecordUnavailable: the database does not answer.
        """
        async with reading(self._engine) as conn:
            return await read_head(conn)

    @contextmanager
    def registered(self, reader: Reader) -> Iterator[None]:
        """Count the reader among those that must keep up."""
        self._readers.add(reader)
        try:
            yield
        finally:
            self._readers.discard(reader)

    async def messages(self, reader: Reader) -> AsyncIterator[list[Message]]:
        """All changes after `reader.seq`, in order: stored ones by pages, then live ones for ever.

        Empty when it is time for a ping. Ends when the feed closes. `reader.seq` moves on when the
        next messages are asked for.
        """
        reader.pings = self._pings
        while not self.closing:
            if reader.pings != self._pings:
                reader.pings = self._pings
                yield []
            # Taken before the log is looked at: what is announced in between wakes us at once.
            wake_up = self._wake_up
            if reader.seq < self._log_start:
                messages = await self._stored(reader.seq)
                if not messages:
                    reader.seq = self._log_start
                    continue
            else:
                index = self._index_after(reader.seq)
                messages = self._log[index : index + _READ_PAGE]
            if messages:
                yield messages
                reader.seq = messages[-1].seq
                continue
            reader.is_live = True
            await wake_up.wait()

    async def _stored(self, seq: int) -> list[Message]:
        # To its end even when the reader leaves: a connection cancelled in a statement is lost.
        changes = await transact(self._engine, changes_after, seq, _READ_PAGE)
        return [encode_change(change) for change in changes]


async def _wait_for(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
