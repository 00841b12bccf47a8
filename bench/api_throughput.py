"""How fast are answers over a million movements and 100,000 invoices, beside the bytes alone?

`summary`, `projects` and `series` from eight connections: throughput in turns with a bare Litestar
handler that returns the same bytes; the slowest one in a hundred while nothing changes; and the
first answer after each change, one change a second. Servers are processes of their own.
"""

import asyncio
import json
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from random import Random

import uvloop
from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler

from raised.clock import now
from raised.config.load import load_environment
from raised.db.engine import open_writer
from raised.db.upgrade import upgrade
from raised_api.app import create_app
from raised_api.server import Systemd, build_server

PROJECTS, INVESTMENTS, STAGES = 10_000, 225_000, 3
INVOICES, STORES = 100_000, ("shop", "kiosk")
CONNECTIONS, QUESTIONS, ROUNDS, CHANGES = 8, 8_000, 5, 12
PATHS = {name: f"/api/v1/{name}" for name in ("summary", "projects", "series")}
WARM_MS, CHANGED_MS = 15, 150
HOUR, YEARS = 3600, 3 * 365 * 86_400

Row = tuple[object, ...]


class Filling:
    """Investments over three years, each of three stages of which the first was claimed, and
    invoices of two stores, each paid once.
    """

    def __init__(self, path: str, now: int) -> None:
        self.db = sqlite3.connect(path)
        self.db.execute("PRAGMA synchronous=OFF")
        self.now = now
        self.random = Random(1)
        self.numbers = count(1)
        self.hours: dict[tuple[int, str, str], list[int]] = {}
        self.sums = {f"angor1q{place:038d}": [0, 0, 0] for place in range(PROJECTS)}

    def investments(self) -> Iterator[tuple[str, str, str, int, int]]:
        """(txid, project, key, satoshis a stage, time)."""
        owners = list(self.sums)
        for number in range(INVESTMENTS):
            owner = owners[int(PROJECTS * self.random.random() ** 2)]
            at = self.now - 60 - self.random.randrange(YEARS)
            yield f"{number:064x}", owner, f"{number:066x}", self.random.randrange(1_000, 10**6), at

    def movements(self, made: Iterable[tuple[str, str, str, int, int]]) -> Iterator[Row]:
        """The rows of the ledger; notes what they add to the totals."""
        for txid, owner, key, sats, at in made:
            total = self.sums[owner]
            total[:] = total[0] + sats * STAGES, total[1] + 1, total[2] + sats
            for kind, vout in [
                *(("investment", 2 + index) for index in range(STAGES)),
                ("claim", 2),
            ]:
                hour = self.hours.setdefault((at // HOUR * HOUR, owner, kind), [0, 0])
                hour[:] = hour[0] + sats * 1000, hour[1] + 1
                reference = f"{txid}:{vout}"
                number = next(self.numbers)
                yield number, kind, sats * 1000, at, at, owner, key, reference, txid

    def insert(self, table: str, columns: str, rows: Iterable[Row]) -> None:
        """Add rows, some of whose values are the same everywhere."""
        marks = ", ".join("?" for _ in columns.split(","))
        statement = f"INSERT INTO {table}({columns}) VALUES ({marks})"
        self.db.executemany(statement, rows)

    def write(self) -> None:
        """Fill the record."""
        made = list(self.investments())
        self.insert("tx", "txid, raw, first_seen_at", ((row[0], b"", 1) for row in made))
        movements = list(self.movements(made))
        self.insert(
            "project",
            "id, status, type, name, about, flags, candidates, first_seen_at, created_at,"
            " target_sats, raised_sats, investments, investors, claimed_sats",
            (
                (owner, "confirmed", "invest", f"Project {place}", "About " * 40, "[]", 1, 1,
                 self.now - place, 10**9, raised, number, number, claimed)
                for place, (owner, (raised, number, claimed)) in enumerate(self.sums.items())
            ),
        )  # fmt: skip
        self.insert(
            "investment",
            "txid, project_id, status, flags, investor_key, seeder, amount_sats, fee_sats, at",
            (
                (txid, owner, "confirmed", "[]", key, 0, sats * STAGES, 0, at)
                for txid, owner, key, sats, at in made
            ),
        )
        self.insert(
            "movement",
            "id, kind, amount_msats, at, recorded_at, project_id, party, reference,"
            " investment_txid, seq, source",
            ((*row, 1, "angor") for row in movements),
        )
        self.sell()
        self.insert(
            "hour_total",
            "hour, owner, kind, amount_msats, rows, source",
            (
                (*key, *total, "btcpay" if key[1] in STORES else "angor")
                for key, total in self.hours.items()
            ),
        )
        seen = (1, "0", 1, self.now + 10**6, "{}", "{}")
        self.insert("daemon", "id, version, started_at, seen_at, progress, settings", [seen])
        self.db.commit()
        self.db.close()

    def sell(self) -> None:
        """Invoices with their payments, booked."""
        sold = [
            (
                self.random.choice(STORES),
                f"i{number:021d}",
                self.now - 60 - self.random.randrange(YEARS),
                self.random.randrange(10**6, 10**9),
            )
            for number in range(INVOICES)
        ]
        self.insert(
            "invoice",
            "store, id, campaign, created_at, expires_at, monitored_until, counted_msats,"
            " first_counted_at, status, additional_status, type, currency, amount,"
            " settled_at_approximate, archived, missing_upstream, metadata, apps, asked_at,"
            " seen_at, first_seen_at, ambiguous, pending_msats",
            (
                (store, key, store, at, at + 900, at + 87_300, msats, at, "Settled", "None",
                 "Standard", "USD", "50.00", 0, 0, 0, "{}", "[]", at, at, at, 0, 0)
                for store, key, at, msats in sold
            ),
        )  # fmt: skip
        self.insert(
            "invoice_payment",
            "store, invoice_id, method, id, currency, value, value_msats, status, received_at,"
            " first_seen_at, changed_at",
            (
                (store, key, "BTC-LN", f"{key}p", "BTC", "0.0001", msats, "Settled", at, at, at)
                for store, key, at, msats in sold
            ),
        )
        self.insert(
            "movement",
            "id, kind, amount_msats, at, recorded_at, store, invoice_id, reference, seq, source",
            (
                (next(self.numbers), "payment", msats, at, at, store, key, f"{key}p", 1, "btcpay")
                for store, key, at, msats in sold
            ),
        )
        for store, _, at, msats in sold:
            hour = self.hours.setdefault((at // HOUR * HOUR, store, "payment"), [0, 0])
            hour[:] = hour[0] + msats, hour[1] + 1


def change(path: str) -> None:
    """Something happened."""
    db = sqlite3.connect(path, timeout=10)
    db.execute(
        "INSERT INTO change(seq, type, at, source, data)"
        " SELECT coalesce(max(seq), 0) + 1, 'tip', 1, 'chain', '{}' FROM change"
    )
    db.commit()
    db.close()


async def serve(port: str) -> None:
    """A server: of the record in the file that standard input names, or of the answers in it."""
    what, stop = sys.stdin.read(), asyncio.Event()
    environ = {"RAISED_API_BIND": f"127.0.0.1:{port}", "RAISED_RATE_LIMIT": "1000000"}
    if what.endswith(".db"):
        environ["RAISED_DATABASE_URL"] = f"sqlite+aiosqlite:///{what}"
    environment = load_environment(environ)
    if what.endswith(".db"):
        app = create_app(environment, now, stop)
    else:
        handlers = [bare(PATHS[name], body) for name, body in json.loads(what).items()]
        app = Litestar(handlers, openapi_config=None, logging_config=None)
    await build_server(app, environment, stop, Systemd(environment)).serve()


def bare(path: str, text: str) -> HTTPRouteHandler:
    """A handler that returns bytes."""
    body = text.encode()

    @get(path, name=path)
    async def answer() -> Response[bytes]:
        return Response(body, media_type="application/json")

    return answer


@dataclass
class Connection:
    """One connection that asks again and again."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, path: str) -> bytes:
        """The body of the answer."""
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        start = head.index(b"content-length:") + 15
        return await self.reader.readexactly(int(head[start : head.index(b"\r\n", start)]))


async def connected(port: int) -> list[Connection]:
    """Some connections to a server, when it is there."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
    return [
        Connection(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(CONNECTIONS)
    ]


async def load(connections: list[Connection], path: str) -> tuple[float, list[float]]:
    """Answers a second, and how long each took."""
    took: list[float] = []

    async def ask_repeatedly(connection: Connection) -> None:
        for _ in range(QUESTIONS // CONNECTIONS):
            began = time.perf_counter()
            await connection.ask(path)
            took.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(ask_repeatedly(connection) for connection in connections))
    return QUESTIONS / (time.perf_counter() - began), took


def percentile(took: list[float]) -> float:
    """The slowest of a hundred, in milliseconds."""
    return sorted(took)[int(len(took) * 0.99)] * 1000


async def measure(name: str, port: int, other_port: int, db: str) -> None:
    path = PATHS[name]
    ours, other = await connected(port), await connected(other_port)
    rounds = []
    took: list[float] = []
    for _ in range(ROUNDS):
        rate, times = await load(ours, path)
        reference, _ = await load(other, path)
        rounds.append((rate / reference, rate, reference))
        took += times
    ratio, rate, reference = sorted(rounds)[len(rounds) // 2]
    report(f"api {name} throughput", rate, "1/s", ratio, reference)
    report(f"api {name} warm p99", percentile(took), "ms", WARM_MS / percentile(took), WARM_MS)
    first: list[float] = []
    for _ in range(CHANGES):
        change(db)
        await asyncio.sleep(1)
        first += await asyncio.gather(*(timed(connection, path) for connection in ours))
    slowest = percentile(first)
    report(f"api {name} after a change p99", slowest, "ms", CHANGED_MS / slowest, CHANGED_MS)


async def timed(connection: Connection, path: str) -> float:
    began = time.perf_counter()
    await connection.ask(path)
    return time.perf_counter() - began


def report(name: str, value: float, unit: str, ratio: float, reference: float) -> None:
    print(
        json.dumps(
            {
                "name": name,
                "value": round(value, 2),
                "unit": unit,
                "ratio": round(ratio, 2),
                "reference": round(reference, 2),
            }
        ),
        flush=True,
    )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        db = f"{folder}/raised.db"
        engine = open_writer(f"sqlite+aiosqlite:///{db}")
        await upgrade(engine, "regtest")
        await engine.dispose()
        Filling(db, now()).write()
        change(db)
        async with server(db) as port:
            (connection, *_) = await connected(port)
            bodies = {name: (await connection.ask(path)).decode() for name, path in PATHS.items()}
            async with server(json.dumps(bodies)) as other_port:
                for name in PATHS:
                    await measure(name, port, other_port, db)


@asynccontextmanager
async def server(what: str) -> AsyncIterator[int]:
    """A server in a process of its own; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, str(port), stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(what.encode())
    process.stdin.close()
    try:
        yield port
    finally:
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]) if len(sys.argv) > 1 else main())
