"""Measures what it costs to store the invoices of a store, beside reading and dropping them.

A server in a process of its own shows paid invoices as BTCPay 2.4.1 does. The reference reads the
same pages with the same client and drops them. First a store of 10,000, both alternately, each time
into an empty record; then 100,000 at once, with the memory that took; last the scheduled sweeps,
when the record has all of them and nothing is new.
"""

import asyncio
import contextlib
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Never

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.http import RetryPolicy
from raised.btcpay.paginator import InvoicePaginator
from raised.btcpay.settings import StoreSettings, StoreTiming
from raised.btcpay.source import StoreSource
from raised.clock import now
from raised.db.engine import open_reader, open_writer
from raised.db.upgrade import upgrade
from raised.domain.angor.network import network_named
from raised.domain.observation import CampaignsConfigured, Observation, SweepDone
from raised.record import Policy, write_observations
from raised.service.record_view import RecordView
from raised_simnet.http.http_server import Request, Response, WebServer

SOME, ALL = 10_000, 100_000
ROUNDS = 5
OPEN = 40
STORE = "EqevX4KsotQEFnRhVshPqdP5mtzjXiiV4fEFogKmuEbB"
POLICY = Policy(network_named("regtest"), confirmations=1, finality=100)
NO_DELAYS = StoreTiming(page_interval=0, month_interval=0)
NO_PAGE_DELAY = RetryPolicy(page_seconds=0)
SPACING = 20  # seconds between two invoices


def invoice(number: int, newest_at: int) -> dict[str, object]:
    """The invoice made so many before the newest; the first few are still open."""
    created_at = newest_at - number * SPACING
    key = f"i{number:021d}"
    paid = number >= OPEN
    payment = {
        "id": f"{number + 1:064x}-0",
        "receivedDate": created_at + 60,
        "value": "0.00077650",
        "fee": "0",
        "status": "Settled",
        "destination": "bc1qd63qc77e6da9ee7246f2q22fr9fa6q0a8qe44d",
    }
    chain = {
        "activated": True,
        "destination": "bc1qd63qc77e6da9ee7246f2q22fr9fa6q0a8qe44d",
        "paymentLink": "bitcoin:bc1qd63qc77e6da9ee7246f2q22fr9fa6q0a8qe44d",
        "rate": "64392.23",
        "paymentMethodPaid": "0.0007765",
        "totalPaid": "0.0007765",
        "due": "0",
        "amount": "0.0007765",
        "paymentMethodFee": "0",
        "payments": [payment] if paid else [],
        "paymentMethodId": "BTC-CHAIN",
        "additionalData": {"keyPath": "0/6", "keyIndex": 6, "accountDerivation": None},
        "currency": "BTC",
    }
    lightning = chain | {"payments": [], "paymentMethodId": "BTC-LN", "paymentMethodPaid": "0"}
    return {
        "id": key,
        "storeId": STORE,
        "amount": "50.00",
        "paidAmount": "50.00" if paid else "0",
        "checkoutLink": f"https://btcpay.example.org/i/{key}",
        "status": "Settled" if paid else "New",
        "additionalStatus": "None",
        "monitoringExpiration": created_at + 87_300,
        "expirationTime": created_at + 900,
        "createdTime": created_at,
        "availableStatusesForManualMarking": [],
        "archived": False,
        "paymentMethods": [chain, lightning],
        "type": "Standard",
        "currency": "USD",
        "metadata": {"orderId": f"order-{number}", "buyerName": "Ada"},
        "checkout": {"speedPolicy": "MediumSpeed", "paymentMethods": ["BTC-CHAIN", "BTC-LN"]},
        "receipt": {"enabled": True, "showQR": True, "showPayments": True},
    }


class Server:
    """Shows `size` invoices, newest first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.newest_at = now() - 600
        self.rows: dict[int, bytes] = {}

    def answer(self, request: Request) -> Response:
        """What it says to a GET."""
        match request.path.rpartition("/")[2]:
            case "invoices":
                return self._json(b"[" + b",".join(self._listed(request.query)) + b"]")
            case "info":
                return self._json(b'{"version":"2.4.5","fullySynched":true,"syncStatus":[]}')
            case "health":
                return self._json(b'{"synchronized":true}')
            case "current":
                return self._json(b'{"apiKey":"k","label":"","permissions":["unrestricted"]}')
            case "pull-payments" | "payouts":
                return self._json(b"[]")
            case _:
                terms = b'{"invoiceExpiration":900,"monitoringExpiration":86400}'
                return self._json(terms)

    def _listed(self, query: dict[str, list[str]]) -> Iterator[bytes]:
        end = int(query.get("endDate", [str(self.newest_at)])[0])
        start = int(query.get("startDate", ["0"])[0])
        skip, take = int(query.get("skip", ["0"])[0]), int(query["take"][0])
        first = max(0, -(-(self.newest_at - end) // SPACING)) + skip
        last = min(self.size, (self.newest_at - start) // SPACING + 1, first + take)
        if "status" in query:
            last = min(last, OPEN)
        for number in range(first, last):
            yield self._row(number)

    def _row(self, number: int) -> bytes:
        if number not in self.rows:
            self.rows[number] = json.dumps(invoice(number, self.newest_at)).encode()
        return self.rows[number]

    @staticmethod
    def _json(body: bytes) -> Response:
        return Response(200, body, "application/json")


def serve(size: int, started: Connection) -> None:
    """Run a server until the other end closes."""
    served = Server(size)
    for number in range(size):
        served.answer(Request("GET", "/invoices", {"take": ["1"], "skip": [str(number)]}, {}, b""))
    web = WebServer(served.answer)
    web.start()
    started.send(web.url)
    with contextlib.suppress(EOFError):
        started.recv()
    web.stop()


@contextlib.contextmanager
def server_of(size: int) -> Iterator[StoreSettings]:
    """The settings of a store with so many invoices."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    process = spawning.Process(target=serve, args=(size, there), daemon=True)
    process.start()
    there.close()
    yield StoreSettings("shop", str(here.recv()), STORE, "key")
    here.close()
    process.join()


@dataclass(frozen=True, slots=True)
class Recording:
    """A record that follows a store."""

    source: StoreSource
    swept: asyncio.Event


@asynccontextmanager
async def recording(settings: StoreSettings, folder: Path) -> AsyncIterator[Recording]:
    """Follow the store into a new record; `swept` is set when all of it has been committed."""
    url = f"sqlite+aiosqlite:///{folder}/raised.db"
    writer = open_writer(url)
    await upgrade(writer, "regtest")
    reader = open_reader(url)
    source = StoreSource(
        [settings], RecordView(reader, 100), retry_policy=NO_PAGE_DELAY, timing=NO_DELAYS
    )
    observations: asyncio.Queue[Observation] = asyncio.Queue(256)
    swept = asyncio.Event()

    def committed(batch: Sequence[Observation], _seconds: float) -> None:
        source.wake()
        if any(isinstance(observed, SweepDone) and observed.sweep == "full" for observed in batch):
            swept.set()

    async def write() -> Never:
        await write_observations(observations, writer, POLICY, committed)

    await observations.put(CampaignsConfigured(now(), (), {"shop": False}))
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(write()), tasks.create_task(source.follow(observations))]
        yield Recording(source, swept)
        for task in running:
            task.cancel()
    await source.close()
    await reader.dispose()
    await writer.dispose()


async def full(settings: StoreSettings) -> float:
    """Seconds from nothing to all of it committed."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        async with recording(settings, Path(folder)) as recorded:
            await recorded.swept.wait()
            return time.perf_counter() - began


async def read_and_drop(
    settings: StoreSettings, make: Callable[[Greenfield], InvoicePaginator]
) -> float:
    """Seconds to read the same pages and drop them."""
    server = Greenfield(settings, retry_policy=NO_PAGE_DELAY)
    began = time.perf_counter()
    paginator = make(server)
    while not paginator.ended:
        paginator.advance(await paginator.read_page())
    seconds = time.perf_counter() - began
    await server.close()
    return seconds


async def measure() -> None:
    """All three, a line each."""
    with server_of(SOME) as settings:
        measured: list[float] = []
        reference: list[float] = []
        for _ in range(ROUNDS):
            measured.append(await full(settings))
            reference.append(await read_and_drop(settings, InvoicePaginator))
        print_ratio("sweep_full", measured, reference, SOME)
    with server_of(ALL) as settings, tempfile.TemporaryDirectory() as folder:
        before = peak_mib()
        began = time.perf_counter()
        async with recording(settings, Path(folder)) as recorded:
            await recorded.swept.wait()
            seconds = time.perf_counter() - began
            print_memory(seconds, peak_mib(), peak_mib() - before)
            await incremental(settings, recorded.source)


async def incremental(settings: StoreSettings, source: StoreSource) -> None:
    """The sweeps of every few minutes over 100,000 stored invoices, none of them changed."""
    measured: dict[str, list[float]] = {"active": [], "recent": []}
    reference: dict[str, list[float]] = {"active": [], "recent": []}
    since = now() - 3 * 86_400
    lists: dict[str, Callable[[Greenfield], InvoicePaginator]] = {
        "active": lambda server: InvoicePaginator(server, statuses=("new", "processing")),
        "recent": lambda server: InvoicePaginator(server, start=since),
    }
    for _ in range(ROUNDS + 1):
        for kind in ("active", "recent"):
            began = time.perf_counter()
            await source.sweep("active" if kind == "active" else "recent")
            measured[kind].append(time.perf_counter() - began)
            reference[kind].append(await read_and_drop(settings, lists[kind]))
    print_ratio("sweep_active", measured["active"][1:], reference["active"][1:], OPEN)
    print_ratio(
        "sweep_recent", measured["recent"][1:], reference["recent"][1:], 3 * 86_400 // SPACING
    )


def peak_mib() -> int:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def print_ratio(
    name: str, measured: Sequence[float], reference: Sequence[float], invoices: int
) -> None:
    """Print one line: which part of the speed of reading alone is left."""
    stored, dropped = statistics.median(measured), statistics.median(reference)
    line = {
        "name": name,
        "value": round(invoices / stored),
        "unit": f"invoices/s of {invoices:,}, kept",
        "ratio": round(dropped / stored, 3),
        "reference": f"the same pages read and dropped: {round(invoices / dropped)}/s",
    }
    print(json.dumps(line), flush=True)


def print_memory(seconds: float, peak: int, more: int) -> None:
    """Print one line: speed and memory of the large store."""
    line = {
        "name": "sweep_full_large",
        "value": round(ALL / seconds),
        "unit": f"invoices/s of {ALL:,}, kept",
        "ratio": None,
        "reference": f"{seconds:.0f} s; at most {peak} MiB in memory, {more} more than before",
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(measure())
