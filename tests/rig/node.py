"""A node box on loopback: a record, a relays.toml and the product's programs, for tests."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
from tests.rig.databases import make_sqlite_record, sqlite_url
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.forked_program import ForkedProgram

from raised_simnet.demo.programs import Program, environment, free_port
from raised_simnet.story.paced_player import SUMMARY

Json = dict[str, Any]

CHANGES: Final = "/api/v1/changes"
_STREAM: Final = "/api/v1/changes/stream"
_POLL_SECONDS: Final = 0.1


class ConditionNotMet(Exception):
    """A condition did not come true in time; the text is what was last seen."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a command."""

    code: int
    out: str
    words: str


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event. `id` None: it carried none."""

    id: int | None
    type: str
    data: Json


class Node:
    """`async with Box(folder, settings) as box`: a fresh record; nothing runs until `start`.

    `daemon`, `api` and `both` are `raised run`, `raised api` and `raised up` with this record.
    """

    def __init__(
        self, folder: Path, settings: str, *, database_url: str | None = None, **variables: str
    ) -> None:
        config = folder / "relays.toml"
        config.write_text(settings, encoding="utf-8")
        self.port = free_port()
        self._folder, self._makes_record = folder, database_url is None
        self.environment = {
            **environment(config, self.port),
            "RAISED_DATABASE_URL": database_url or sqlite_url(folder / "raised.db"),
            **variables,
        }
        self.daemon = ForkedProgram(("run",), self.environment)
        self.api = ForkedProgram(("api",), self.environment)
        self.both = Program(("up",), self.environment)
        self.client: httpx.AsyncClient
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        address = f"http://127.0.0.1:{self.port}"
        client = httpx.AsyncClient(
            base_url=address, timeout=DEADLINE_SECONDS, trust_env=False, verify=False
        )
        self.client = await self._stack.enter_async_context(client)
        self._stack.push_async_callback(self.both.stop)  # it has children of its own to end
        for program in (self.daemon, self.api):
            self._stack.push_async_callback(program.kill)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def start(self) -> None:
        """Make the record if there is none, run both programs, return when they are ready."""
        await self.launch()
        await self.api.ready(self.client)

    async def launch(self) -> None:
        """As `start`, but return as soon as the API answers: the first sync may be under way."""
        await self.make_record()
        await self.daemon.start()
        await self.api.start()
        await self.until("/health/live", lambda answer: answer["status"] == "ok")

    async def make_record(self) -> None:
        """Make the record of a file; one that was given by its URL is there already."""
        path = self._folder / "raised.db"
        if self._makes_record and not path.exists():
            await make_sqlite_record(path)

    async def command(self, *arguments: str) -> Ended:
        """Run `raised` with these arguments to its end."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "raised", *arguments),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, words = await process.communicate()
        return Ended(process.returncode or 0, out.decode(), words.decode())

    async def get(self, path: str, **asked: str | int) -> Json:
        """The JSON of a route, whatever its status."""
        answer: Json = (await self.client.get(path, params=asked)).json()
        return answer

    async def items(self, path: str, **asked: str | int) -> list[Json]:
        """All pages of a list."""
        found: list[Json] = []
        more: dict[str, str | int] = {}
        while True:
            page = await self.get(path, limit=200, **asked, **more)
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            more = {"cursor": page["next_cursor"]}

    async def changes(self) -> list[Json]:
        """Every change that is kept, oldest first."""
        return await self.items(CHANGES, after=0)

    async def summary(self) -> Json:
        """What the record shows."""
        return await self.get(SUMMARY)

    async def until(
        self, path: str, holds: Callable[[Json], object], patience: float = DEADLINE_SECONDS
    ) -> Json:
        """The JSON of a route as soon as this holds for it. Raises NeverHeld."""
        answer: object = "no answer"
        try:
            async with asyncio.timeout(patience):
                while True:
                    try:
                        answer = found = await self.get(path)
                    except (httpx.HTTPError, ValueError) as error:
                        answer = error
                    else:
                        if holds(found):
                            return found
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise ConditionNotMet(f"{path}: {answer}") from error

    async def stream(
        self, *, last_seen: int | None = None, **asked: str | int
    ) -> AsyncIterator[Message]:
        """The live feed until the server ends it or the connection breaks."""
        headers = {} if last_seen is None else {"Last-Event-ID": str(last_seen)}
        stream = self.client.stream(
            "GET", _STREAM, params=asked, headers=headers, timeout=DEADLINE_SECONDS
        )
        try:
            async with stream as response:
                response.raise_for_status()
                async for message in _messages(response.aiter_lines()):
                    yield message
        except httpx.TransportError:
            return

    async def is_consistent(self) -> bool:
        """Whether `raised db check` has nothing to say; it says it where our errors go.

        Raises:
            ProgramFailed: it has.
        """
        await ForkedProgram(("db", "check"), self.environment).succeed()
        return True


async def _messages(lines: AsyncIterator[str]) -> AsyncIterator[Message]:
    """Server-sent events; what was not ended by an empty line was not sent. Source: HTML 9.2.6."""
    fields: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "data" in fields:
            number = fields.get("id")
            data = json.loads(fields["data"])
            yield Message(None if number is None else int(number), fields["event"], data)
        fields = {}
