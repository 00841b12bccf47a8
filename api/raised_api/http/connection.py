"""The connection of a client, bounded: uvicorn's, with limits for which it has no settings.

Whoever is slow, silent or too large holds a connection for seconds, and all of them together never
hold so many that others cannot connect.
"""

import asyncio
import resource
from collections import Counter
from time import monotonic
from typing import Any, Final

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from raised_api.http.client_ip import is_within, limited_address
from raised_api.http.problems import MEDIA_TYPE, Problem

_MAX_HEAD_BYTES: Final = 32 * 1024
_MAX_HEADERS: Final = 100
_HEAD_SECONDS: Final = 15.0  # from the connection, or the answer before, to the end of a head
# What is read and dropped behind a refusal, so that a sender gets the answer and no broken pipe.
_MAX_DISCARDED_BYTES: Final = 16 * 1024 * 1024
_DISCARD_SECONDS: Final = 5.0
_OTHER_FILES: Final = 128  # that the process has open beside connections
_ADDRESS_SHARE: Final = 4  # one address holds at most this part of all connections
_LOG_SECONDS: Final = 60.0

_log = structlog.get_logger()


class ConnectionLimits:
    """The connections that are open; `most` in all. Those of trusted proxies are of many clients,
    and limited together only.
    """

    def __init__(self, most: int, trusted_proxies: tuple[str, ...]) -> None:
        self._most = most
        self._most_of_address = max(1, most // _ADDRESS_SHARE)
        self._trusted_proxies = trusted_proxies
        self._open: dict[BoundedProtocol, str] = {}
        self._of_address: Counter[str] = Counter()
        self._idle: dict[BoundedProtocol, None] = {}  # longest first
        self._logged_at = -_LOG_SECONDS

    @classmethod
    def of_process(cls, trusted_proxies: tuple[str, ...]) -> "ConnectionLimits":
        """As many as the process may open files, but for those that it needs itself."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls(max(16, files - _OTHER_FILES), trusted_proxies)

    def admit(self, connection: "BoundedProtocol", peer: str) -> bool:
        """Take a new connection, for which an idle one may be closed; False: there is no room."""
        address = "" if is_within(peer, self._trusted_proxies) else limited_address(peer)
        self._open[connection] = address
        self._of_address[address] += 1
        self._idle[connection] = None
        is_crowd = len(self._open) > self._most
        is_greedy = address != "" and self._of_address[address] > self._most_of_address
        if not is_crowd and not is_greedy:
            return True
        self._log(address if is_greedy else None)
        oldest = next(
            idle
            for idle in self._idle
            if (is_crowd and not is_greedy) or self._open[idle] == address
        )
        oldest.close()
        return oldest is not connection

    def set_idle(self, connection: "BoundedProtocol", *, is_idle: bool) -> None:
        """Whether it waits for a request from now on."""
        self._idle.pop(connection, None)
        if is_idle and connection in self._open:
            self._idle[connection] = None

    def release(self, connection: "BoundedProtocol") -> None:
        """It is closed."""
        self._idle.pop(connection, None)
        address = self._open.pop(connection, None)
        if address is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def _log(self, address: str | None) -> None:
        if monotonic() - self._logged_at < _LOG_SECONDS:
            return
        self._logged_at = monotonic()
        _log.warning(
            "connections at their limit: idle ones are closed",
            open=len(self._open),
            most=self._most if address is None else self._most_of_address,
            address=address or "all",
        )


class BoundedConfig(uvicorn.Config):
    """uvicorn's settings, and limits for its connections."""

    def __init__(self, app: Any, limits: ConnectionLimits, **settings: Any) -> None:
        super().__init__(app, http=BoundedProtocol, **settings)
        self.limits = limits


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose request must come in time and be of a size to be read."""

    def __init__(self, config: BoundedConfig, *args: Any, **named: Any) -> None:
        super().__init__(config, *args, **named)
        self._limits = config.limits
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._discarded = 0
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, if there is room."""
        super().connection_made(transport)
        peer = self.client[0] if self.client else ""
        if self._limits.admit(self, peer):
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room."""
        self._limits.release(self)
        self._stop_timer()
        super().connection_lost(exc)

    def close(self) -> None:
        """End it, whatever it waits for."""
        self._limits.release(self)
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Read on, unless the request was refused or its head has become too large."""
        if self._is_refused:
            self._discard(len(data))
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._timer is None:
                self._expect_head()
        super().data_received(data)
        if self._in_head and self._head_bytes > _MAX_HEAD_BYTES:
            self._refuse_head()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        self._discarded = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Answer the request, unless its head is too large."""
        self._in_head = False
        self._head_bytes = 0
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > _MAX_HEAD_BYTES or len(self.headers) > _MAX_HEADERS:
            self._refuse_head()
        if not self._is_refused:
            self._stop_timer()
            self._limits.set_idle(self, is_idle=False)
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body, or drop it where the answer was given without it."""
        if self._is_refused:
            return
        if self.cycle.response_complete:
            self._discard(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body has ended."""
        self._in_head = True
        if not self._is_refused:
            if self.cycle.response_complete:
                self._stop_timer()
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the end of a body that nobody reads."""
        super().on_response_complete()
        if not self.pipeline and not self.transport.is_closing():
            self._limits.set_idle(self, is_idle=True)
            if self.cycle.more_body:
                self._start_timer(_DISCARD_SECONDS)

    def _expect_head(self) -> None:
        self._start_timer(_HEAD_SECONDS)

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _MAX_DISCARDED_BYTES:
            self.close()

    def _refuse_head(self) -> None:
        """Answer 431 and close, after what is under way has been read and dropped."""
        if self._is_refused:
            return
        self._is_refused = True
        body = Problem(431, "The headers of a request have at most 32 KiB and 100 lines.").body()
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
            b"content-type: %b\r\ncontent-length: %d\r\ncache-control: no-store\r\n"
            b"connection: close\r\n\r\n%b" % (MEDIA_TYPE.encode(), len(body), body)
        )
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._start_timer(_DISCARD_SECONDS)
