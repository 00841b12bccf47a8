"""A REQ on a WebSocket of our own: the only way to what nostr-sdk leaves out unseen.

The library drops events whose NIP-40 expiry has passed, that are too large for it or that it cannot
parse, without a word (docs/nostr.md 5.1). Where that matters, for events that are requested by
their ids and before a relay is called a sender of garbage, the relay is asked once more here, and
every frame is looked at. Slower in use than the library, with a connection for each question.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from raised.domain.event import Event, event_from_json, is_authentic, is_signed
from raised.errors import InvalidInput, Unavailable
from raised.nostr.filters import Filter, FilterMatcher, filter_matcher
from raised.nostr.sdk_client import RelayEndpoint, auth_event
from raised.nostr.socks_proxy import open_through_proxy

FRAME_MAX: Final = 16 * 1024 * 1024
ANSWER_MAX: Final = 64 * 1024 * 1024  # bytes of an answer; the rest is not read
_NAME: Final = "raw"  # of the subscription
_MESSAGES: Final = frozenset({"EOSE", "CLOSED", "NOTICE", "OK", "AUTH"})


@dataclass(slots=True)
class RawAnswer:
    """What a relay sent for a filter.

    `events`: authentic ones that match, whatever their dates. `odd_ids`: of events that their
    author signed, but that cannot be read or stored; anybody can make such. `garbage`: frames that
    are neither. `is_whole`: an EOSE came, and nothing was left unread.
    """

    events: list[Event] = field(default_factory=list[Event])
    odd_ids: set[str] = field(default_factory=set[str])
    garbage: int = 0
    is_whole: bool = False


async def request_raw(endpoint: RelayEndpoint, conditions: Filter) -> RawAnswer:
    """Ask a relay for what matches the filter. Raises Unavailable without a connection."""
    answer = RawAnswer()
    try:
        async with asyncio.timeout(endpoint.timing.connect_timeout):
            socket = await _connect(endpoint)
        async with socket:
            with contextlib.suppress(
                WebSocketException, TimeoutError
            ):  # what came until then counts
                await _Exchange(endpoint, socket, conditions, answer).read()
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, WebSocketException) as error:
        raise Unavailable(endpoint.settings.url, "no connection", "unreachable") from error
    return answer


async def _connect(endpoint: RelayEndpoint) -> ClientConnection:
    url, timing = endpoint.settings.url, endpoint.timing
    proxy = endpoint.proxy_address
    socket = None if proxy is None else await open_through_proxy(proxy, url)
    # `proxy=None`: never a proxy of the environment.
    return await connect(
        url,
        sock=socket,
        proxy=None,
        max_size=FRAME_MAX,
        open_timeout=timing.connect_timeout,
        close_timeout=1,
    )


class _Exchange:
    """A REQ and its answer, with NIP-42 when the relay asks for it."""

    def __init__(
        self,
        endpoint: RelayEndpoint,
        socket: ClientConnection,
        conditions: Filter,
        answer: RawAnswer,
    ) -> None:
        self._endpoint = endpoint
        self._socket = socket
        self._conditions = conditions
        self._matcher: FilterMatcher = filter_matcher(conditions)
        self._answer = answer
        self._challenge = ""
        self._is_authenticating = False

    async def read(self) -> None:
        """Fill the answer until its end. Raises TimeoutError when nothing comes for a while."""
        await self._send("REQ", _NAME, self._conditions)
        size = 0
        while size <= ANSWER_MAX:
            async with asyncio.timeout(self._endpoint.timing.eose_timeout):
                frame = await self._socket.recv()
            size += len(frame)
            message = _message_of(frame)
            if message is None:
                self._answer.garbage += 1
            elif message[0] == "EVENT":
                await self._take_event(message)
            elif await self._ends(message):
                return

    async def _ends(self, message: list[object]) -> bool:
        match message:
            case ["EOSE", str(), *_]:
                self._answer.is_whole = True
                return True
            case ["AUTH", str(challenge), *_]:
                self._challenge = challenge
            case ["CLOSED", _, str(reason), *_] if reason.startswith("auth-required:"):
                return not await self._authenticate()
            case ["CLOSED", *_]:
                return True
            case ["OK", *_] if self._is_authenticating:
                await self._send("REQ", _NAME, self._conditions)
            case ["NOTICE" | "OK", *_]:
                pass
            case _:
                self._answer.garbage += 1
        return False

    async def _authenticate(self) -> bool:
        """Answer the challenge, once; whether there is a key to do so."""
        keys = self._endpoint.keys()
        if keys is None or not self._challenge or self._is_authenticating:
            return False
        self._is_authenticating = True
        event = auth_event(keys, self._endpoint.settings.url, self._challenge)
        await self._send("AUTH", json.loads(event))
        return True

    async def _take_event(self, message: list[object]) -> None:
        event = message[2] if len(message) == 3 and message[1] == _NAME else None
        # A signature costs some 100 microseconds.
        found = await asyncio.to_thread(_checked, event)
        match found:
            case Event() if self._matcher.matches(found):
                self._answer.events.append(found)
            case str():
                self._answer.odd_ids.add(found)
            case _:
                self._answer.garbage += 1

    async def _send(self, *message: object) -> None:
        await self._socket.send(json.dumps(message))


def _message_of(frame: str | bytes) -> list[object] | None:
    """The message in a frame; None when it is none of NIP-01 or NIP-42."""
    try:
        message: object = json.loads(frame) if isinstance(frame, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, list) or not message:
        return None
    parts = cast("list[object]", message)
    return parts if parts[0] == "EVENT" or parts[0] in _MESSAGES else None


def _checked(value: object) -> Event | str | None:
    """The event, the id of one that is odd but signed, or None for what nobody signed."""
    try:
        event = event_from_json(value)
    except InvalidInput:
        event = None
    if event is not None and is_authentic(event):
        return event
    if isinstance(value, dict) and is_signed(fields := cast("Mapping[str, object]", value)):
        return str(fields["id"])
    return None
