"""How many deliveries a second are stored durably and answered, beside SQLite alone?

Thirty-two senders, as many stores' servers would be, each with one delivery under way, against the
API in a process of its own. The reference, in turns: the same row, into the same table, on the same
disk, one commit for each, `synchronous=FULL`. Then the slowest one in a hundred when half as many
come, measured from the instant at which each was due.
"""

import asyncio
import json
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from hmac import digest
from itertools import count, islice
from pathlib import Path
from typing import cast

import uvloop

from raised.clock import now
from raised.config.load import load_environment
from raised.db.engine import open_writer
from raised.db.upgrade import upgrade
from raised_api.app import create_app
from raised_api.server import Systemd, build_server

SENDERS, DELIVERIES, ROUNDS = 32, 5_000, 5
ALONE_SECONDS, PACED_SECONDS = 1.0, 4.0
P99_MS = 50
SECRET = b"2TbVyBHm6dDcXW4Yq3nKpL"
INSERT = (
    "INSERT INTO delivery(store, webhook_id, delivery_id, original_delivery_id, type, invoice_id,"
    " redelivery, sent_at, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def event(number: int) -> dict[str, object]:
    """What a store's server tells."""
    name = f"d{number:021d}"
    return {
        "manuallyMarked": False,
        "overPaid": False,
        "deliveryId": name,
        "webhookId": "RknBDPqTXUrHShEL9mgPZE",
        "originalDeliveryId": name,
        "isRedelivery": False,
        "type": "InvoiceSettled",
        "timestamp": 1_773_126_901,
        "storeId": "EqevX4KsotQEFnRhVshPqdP5mtzjXiiV4fEFogKmuEbB",
        "invoiceId": f"i{number:021d}",
        "metadata": {"orderId": f"order-{number}", "buyerName": "Ada"},
    }


def requests() -> Iterator[bytes]:
    """Requests without end, no two the same."""
    number = 0
    while True:
        number += 1
        body = json.dumps(event(number), indent=2, ensure_ascii=False).encode()
        head = (
            "POST /webhooks/btcpay/shop HTTP/1.1\r\nHost: bench\r\n"
            "Content-Type: application/json\r\nUser-Agent: BTCPayServer/2.4.1\r\n"
            f"BTCPay-Sig: sha256={digest(SECRET, body, 'sha256').hex()}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


class Sender(asyncio.Protocol):
    """One connection; `answered` is called when its delivery was stored."""

    def __init__(self) -> None:
        self.answered: Callable[[bool], object] = lambda _stored: None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are not of its class

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(b"\r\n\r\n"):  # the answer has no body
            is_stored, self._received = self._received.startswith(b"HTTP/1.1 200"), b""
            self.answered(is_stored)


async def flood(senders: list[Sender], wanted: list[bytes]) -> float:
    """Deliveries a second when every sender sends again as soon as it is answered."""
    waiting, missing = iter(wanted), len(wanted)
    done = asyncio.get_running_loop().create_future()

    def go_on(sender: Sender, is_stored: bool) -> None:  # noqa: FBT001
        nonlocal missing
        missing -= 1
        if not is_stored:
            done.set_exception(AssertionError("it was not stored"))
        elif not missing:
            done.set_result(None)
        elif (request := next(waiting, None)) is not None:
            sender.transport.write(request)

    for sender in senders:
        sender.answered = partial(go_on, sender)
    began = time.perf_counter()
    for sender in senders:
        sender.transport.write(next(waiting))
    await done
    return len(wanted) / (time.perf_counter() - began)


async def pace(senders: list[Sender], wanted: list[bytes], rate: float) -> list[float]:
    """How long each took from the instant at which it was due, at this many a second."""
    took: list[float] = []
    start = time.perf_counter() + 0.1

    async def send_when_due(sender: Sender, first: int) -> None:
        for place in range(first, len(wanted), SENDERS):
            due = start + place / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            sender.answered = answered.set_result
            sender.transport.write(wanted[place])
            assert await answered
            took.append(time.perf_counter() - due)

    await asyncio.gather(*(send_when_due(sender, first) for first, sender in enumerate(senders)))
    return took


def commit_alone(path: Path, rows: Iterator[dict[str, object]]) -> float:
    """Bare commits a second, over a second: disks differ a hundredfold."""
    number = 0
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous=FULL")
    began = time.perf_counter()
    while time.perf_counter() - began < ALONE_SECONDS:
        row = next(rows)
        ids = (row["webhookId"], row["deliveryId"], row["originalDeliveryId"], row["type"])
        db.execute(INSERT, ("shop", *ids, row["invoiceId"], False, row["timestamp"], 1_773_126_902))
        number += 1
    took = time.perf_counter() - began
    db.close()
    return number / took


async def make_record(path: Path) -> None:
    """An empty record."""
    engine = open_writer(f"sqlite+aiosqlite:///{path}")
    await upgrade(engine, "regtest")
    await engine.dispose()


async def serve(port: str, path: str) -> None:
    """The API over the record in this file."""
    stop = asyncio.Event()
    environ = {
        "RAISED_API_BIND": f"127.0.0.1:{port}",
        "RAISED_DATABASE_URL": f"sqlite+aiosqlite:///{path}",
    }
    environment = replace(load_environment(environ), webhook_secrets={"shop": (SECRET,)})
    app = create_app(environment, now, stop)
    await build_server(app, environment, stop, Systemd(environment)).serve()


@asynccontextmanager
async def server(path: Path) -> AsyncIterator[list[Sender]]:
    """Senders that are connected to an API in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, str(port), str(path))
    try:
        yield [await connected(port) for _ in range(SENDERS)]
    finally:
        process.terminate()
        await process.wait()


async def connected(port: int) -> Sender:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        while True:
            try:
                return (await loop.create_connection(Sender, "127.0.0.1", port))[1]
            except OSError:
                await asyncio.sleep(0.05)


def report(name: str, value: float, unit: str, ratio: float, reference: float) -> None:
    line = {"name": name, "value": round(value, 2), "unit": unit}
    line |= {"ratio": round(ratio, 2), "reference": round(reference, 2)}
    print(json.dumps(line), flush=True)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours, bare = Path(folder, "raised.db"), Path(folder, "bare.db")
        await make_record(ours)
        await make_record(bare)
        supply = requests()
        rounds = []
        async with server(ours) as senders:
            await flood(senders, list(islice(supply, 2_000)))  # warm
            alone = map(event, count())
            for _ in range(ROUNDS):
                rate = await flood(senders, list(islice(supply, DELIVERIES)))
                reference = commit_alone(bare, alone)
                rounds.append((rate / reference, rate, reference))
            ratio, rate, reference = sorted(rounds)[ROUNDS // 2]
            report("webhooks stored", rate, "1/s", ratio, reference)
            half = rate / 2
            took = await pace(senders, list(islice(supply, int(half * PACED_SECONDS))), half)
        p99 = sorted(took)[int(len(took) * 0.99)] * 1000
        report("webhooks p99 at half that rate", p99, "ms", P99_MS / p99, P99_MS)


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]) if len(sys.argv) > 1 else main())
