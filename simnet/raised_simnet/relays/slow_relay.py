"""A relay that answers late: what it says passes through a proxy that keeps it back for a while."""

import asyncio
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from raised_simnet.http.http_server import LoopThread

_HOST: Final = "127.0.0.1"
_CHUNK: Final = 65_536
_HEAD_END: Final = b"\r\n\r\n"


class SlowRelay:
    """A TCP proxy in front of a relay. It connects at once; only what the relay says is slow.

    `delay_seconds`: how long each piece of an answer is kept back. `hold` keeps everything back
    until `release`.
    """

    def __init__(self, relay_url: str) -> None:
        self._relay = urlsplit(relay_url)
        self.url = ""
        self.delay_seconds = 0.0
        self._passes = asyncio.Event()
        self._passes.set()
        self._thread = LoopThread("simnet slow relay")
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        self._thread.call(self._listen())

    def stop(self) -> None:
        """Stop for good."""
        self._thread.call(self._close())
        self._thread.stop()

    def hold(self) -> None:
        """Keep back all that the relay says from now on."""
        self._thread.call(self._let_pass(passes=False))

    def release(self) -> None:
        """Let pass what was kept back, and all that follows."""
        self._thread.call(self._let_pass(passes=True))

    async def _let_pass(self, *, passes: bool) -> None:
        if passes:
            self._passes.set()
        else:
            self._passes.clear()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, _HOST, 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://{_HOST}:{port}"

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay_reader, relay_writer = await asyncio.open_connection(
            self._relay.hostname, self._relay.port
        )
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                relay_writer.write(await reader.readuntil(_HEAD_END))
                writer.write(await relay_reader.readuntil(_HEAD_END))
                async with asyncio.TaskGroup() as pumps:
                    asking = pumps.create_task(self._ask(reader, relay_writer))
                    await self._answer(relay_reader, writer)
                    asking.cancel()
        finally:
            writer.close()
            relay_writer.close()

    async def _ask(self, reader: asyncio.StreamReader, relay: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                relay.write(chunk)
        relay.close()

    async def _answer(self, relay: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await relay.read(_CHUNK):
                await asyncio.sleep(self.delay_seconds)
                await self._passes.wait()
                writer.write(chunk)
