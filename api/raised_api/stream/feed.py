"""The live feed: one follower of the record, many readers.

New changes are read once, encoded once and kept in one log; a reader is only a place in it. What
came before the log is read from the record at the reader's own pace. A live reader that does not
keep up is let go: it comes back with the number of the last change it saw.
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
from raised.db.queries.as_of import AsOf, read_as_of
from raised.db.queries.feed import Change, Head, changes_after, read_head
from raised.errors import RecordUnavailable
from raised_api.http.response_cache import RecordVersion
from raised_api.stream.redaction import public_change

MAX_BEHIND: Final = 1000  # unsent live changes at which a reader is let go
_PAGE: Final = 500  # changes read at a look
_PART: Final = 100  # changes sent at once
_POLL_SECONDS: Final = 0.1
_AWAY_SECONDS: Final = 1.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Message:
    """A change as it goes out on the stream: to those who see invoices, and to everybody else.

    `public` is empty where the change is not for everybody.
    """

    seq: int
    type: str
    data: bytes
    public: bytes


def encode_change(change: Change) -> Message:
    """The change as a server-sent event."""
    data = _event(change)
    shown = public_change(change)
    public = b"" if shown is None else data if shown is change else _event(shown)
    return Message(change.seq, change.type, data, public)


def _event(change: Change) -> bytes:
    data = msgspec.json.encode(change.item)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (change.seq, change.type.encode(), data)


class Reader:
    """One open stream: `seq` is the last change that it has passed, `let_go` ends it."""

    __slots__ = ("beat", "is_live", "let_go", "seq")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.beat = 0
        self.is_live = False
        self.let_go: Callable[[], object] = lambda: None


class Feed:
    """Follows the record's changes and hands them to the readers.

    `looked` is called each time the record has answered.
    """

    def __init__(
        self, engine: AsyncEngine, ping_seconds: float, looked: Callable[[], object]
    ) -> None:
        self._engine = engine
        self._looked = looked
        self._ping_seconds = ping_seconds
        self._beat = 0  # how often readers were woken without news
        self._log: list[Message] = []
        self._floor = 0  # everything after this number is in the log
        self._as_of = AsOf(0, None, None, None, "off", "off", "off")
        self._readers: set[Reader] = set()
        self._news = asyncio.Event()
        self._closed = asyncio.Event()
        self.available = True

    @property
    def as_of(self) -> AsOf:
        """What the record stood on when it was last looked at."""
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

    def stamp(self, now: int) -> RecordVersion:
        """What answers kept until now depend on."""
        return RecordVersion(self.seq, now // 60, self._as_of.is_stale(now))

    async def start(self) -> None:
        """Begin at the newest change.

        Raises:
            RecordUnavailable: the database does not answer.
        """
        async with reading(self._engine) as conn:
            await self._begin_anew(conn)

    async def follow(self) -> None:
        """Announce changes as they are committed, until closed; wait while the record is away.

        Not cancelled but closed: a connection cancelled in a statement is lost.
        """
        loop = asyncio.get_running_loop()
        pinged_at = loop.time()
        while not self.closing:
            if loop.time() - pinged_at >= self._ping_seconds:
                pinged_at = loop.time()
                self._beat += 1
                self._wake()
            try:
                await self._look()
            except RecordUnavailable as error:
                if self.available:
                    self.available = False
                    _log.error("record lost", reason=str(error))
            await _set_within(self._closed, _POLL_SECONDS if self.available else _AWAY_SECONDS)

    async def _look(self) -> None:
        async with reading(self._engine) as conn:
            head = await read_head(conn)
            if head.seq < self.seq:
                await self._begin_anew(conn)
                self._let_all_go()
            elif head.seq > self.seq:
                changes = await changes_after(conn, self.seq, _PAGE)
                as_of = await read_as_of(conn)
                self._announce([encode_change(change) for change in changes], as_of)
            else:
                self._seen(head)
        self._looked()
        if not self.available:
            self.available = True
            _log.info("record back")

    async def _begin_anew(self, conn: AsyncConnection) -> None:
        """Nothing is in the log: at the start, and when a backup was put in the record's place."""
        self._as_of = await read_as_of(conn)
        self._log.clear()
        self._floor = self._as_of.seq

    def _seen(self, head: Head) -> None:
        if head.seen_at != self._as_of.seen_at:
            self._as_of = replace(self._as_of, seen_at=head.seen_at)

    def _announce(self, messages: list[Message], as_of: AsOf) -> None:
        self._as_of = replace(as_of, seq=messages[-1].seq)
        self._log.extend(messages)
        for reader in list(self._readers):
            if reader.is_live and len(self._log) - self._place(reader.seq) > MAX_BEHIND:
                reader.let_go()
        if len(self._log) > 2 * MAX_BEHIND:
            self._floor = self._log[-MAX_BEHIND - 1].seq
            del self._log[:-MAX_BEHIND]
        self._wake()

    def _let_all_go(self) -> None:
        for reader in list(self._readers):
            reader.let_go()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _place(self, seq: int) -> int:
        return bisect_right(self._log, seq, key=lambda message: message.seq)

    def close(self) -> None:
        """Let every stream end by itself: the process is asked to stop."""
        self._closed.set()
        self._wake()

    async def head(self) -> Head:
        """The ends of the feed as the record has them now.

        Raises:
            RecordUnavailable: the database does not answer.
        """
        async with reading(self._engine) as conn:
            return await read_head(conn)

    @contextmanager
    def joined(self, reader: Reader) -> Iterator[None]:
        """Count the reader among those that must keep up."""
        self._readers.add(reader)
        try:
            yield
        finally:
            self._readers.discard(reader)

    async def messages(self, reader: Reader) -> AsyncIterator[list[Message]]:
        """All changes after `reader.seq`, in order: kept ones by pages, then live ones for ever.

        Empty when it is time for a sign of life. Ends when the feed closes. `reader.seq` moves on
        when the next messages are asked for.
        """
        reader.beat = self._beat
        while not self.closing:
            if reader.beat != self._beat:
                reader.beat = self._beat
                yield []
            news = self._news
            if reader.seq < self._floor:
                messages = await self._kept(reader.seq)
                if not messages:
                    reader.seq = self._floor
                    continue
            else:
                place = self._place(reader.seq)
                messages = self._log[place : place + _PART]
            if messages:
                yield messages
                reader.seq = messages[-1].seq
                continue
            reader.is_live = True
            await news.wait()

    async def _kept(self, seq: int) -> list[Message]:
        # To its end even when the reader leaves: a connection cancelled in a statement is lost.
        changes = await transact(self._engine, changes_after, seq, _PART)
        return [encode_change(change) for change in changes]


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
