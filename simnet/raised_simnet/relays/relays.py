"""Relays in processes of their own, and events published to them."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from raised_simnet.actors.nostr_event import Event, compact

_PATIENCE_SECONDS: Final = 60
_IN_FLIGHT: Final = 200
_MESSAGES_A_CONNECTION: Final = 5_000  # the relay cuts a connection at 6,000 a minute


class RelayFailed(Exception):
    """The relay process ended before it listened."""


class Relay:
    """nostr-sdk's LocalRelay in a child process. It keeps its port over restarts.

    With a `directory` its events survive `kill` and `stop`; without one each start is empty.
    """

    def __init__(self, directory: Path | None = None, *, port: int = 0) -> None:
        self.url = ""
        self._port = port
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Listen. Raises RelayFailed."""
        if self.running:
            return
        place = [] if self._directory is None else [str(self._directory)]
        command = [
            sys.executable,
            "-m",
            "raised_simnet.relays.relay_process",
            str(self._port),
            *place,
        ]
        pipe = subprocess.PIPE
        # A session of its own: Ctrl-C is for who started us; the relay ends when its input does.
        self._process = subprocess.Popen(  # noqa: S603  # our own module
            command, stdin=pipe, stdout=pipe, text=True, start_new_session=True
        )
        assert self._process.stdout is not None, "a pipe was asked for"
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            self.kill()
            raise RelayFailed(f"no relay on port {self._port}")
        self._port = urlsplit(self.url).port or 0

    def stop(self) -> None:
        """End politely."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(_PATIENCE_SECONDS)
            self._forget()

    def kill(self) -> None:
        """End at once, as by a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_PATIENCE_SECONDS)
            self._forget()

    def _forget(self) -> None:
        assert self._process is not None, "asked before"
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process = None


def publish(url: str, events: Sequence[Event]) -> dict[str, str]:
    """Send events over a bare WebSocket and wait for each OK; what was refused and why, by id."""
    refused: dict[str, str] = {}
    for start in range(0, len(events), _MESSAGES_A_CONNECTION):
        with connect(url, open_timeout=_PATIENCE_SECONDS, max_size=None) as socket:
            portion = events[start : start + _MESSAGES_A_CONNECTION]
            for begin in range(0, len(portion), _IN_FLIGHT):
                refused |= _send(socket, portion[begin : begin + _IN_FLIGHT])
    return refused


def _send(socket: ClientConnection, events: Sequence[Event]) -> dict[str, str]:
    for event in events:
        socket.send(compact(["EVENT", event]))
    refused: dict[str, str] = {}
    missing = {event["id"] for event in events}
    while missing:
        verb, *rest = json.loads(socket.recv(_PATIENCE_SECONDS))
        if verb == "OK":
            event_id, accepted, reason = rest
            missing.discard(event_id)
            if not accepted:
                refused[event_id] = reason
    return refused


def stored(url: str, **conditions: object) -> list[Event]:
    """What the relay has for one filter, in its own order."""
    with connect(url, open_timeout=_PATIENCE_SECONDS, max_size=None) as socket:
        socket.send(compact(["REQ", "asked", conditions]))
        return list(_until_eose(socket))


def _until_eose(socket: ClientConnection) -> Iterator[Event]:
    while True:
        message = json.loads(socket.recv(_PATIENCE_SECONDS))
        if message[0] in ("EOSE", "CLOSED"):
            return
        if message[0] == "EVENT":
            yield message[2]
