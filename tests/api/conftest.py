"""A record filled by hand, and the API served over it on a loopback port."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import httpx
import pytest
from sqlalchemy import Table, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.deadline import DEADLINE_SECONDS

from raised.config.load import Bind, Environment
from raised.db import schema
from raised.db.engine import reading
from raised_api.app import create_app
from raised_api.server import Systemd, build_server

NOW = 1_750_000_000  # 2025-06-15T15:06:40Z
HOUR = 3600


@dataclass(slots=True)
class Book:
    """Writes rows as the writer would, as far as a reader sees."""

    engine: AsyncEngine
    numbers: Any = field(default_factory=lambda: count(1))

    async def add(self, table: Table, **values: object) -> None:
        async with self.engine.begin() as conn:
            await conn.execute(insert(table).values(**values))

    async def daemon(
        self, seen_at: int = NOW, *, started_at: int = NOW, **progress: tuple[int, int]
    ) -> None:
        times = {"seen_at": seen_at, "started_at": started_at}
        values = {**times, "progress": json.dumps(progress)}
        async with self.engine.begin() as conn:
            done = await conn.execute(update(schema.daemon).values(**values))
            if done.rowcount == 0:
                row = {"id": 1, "version": "0", "settings": "{}", **values}
                await conn.execute(insert(schema.daemon).values(**row))

    async def block(self, height: int, at: int = NOW) -> str:
        block_hash = f"{height:064x}"
        await self.add(
            schema.block,
            hash=block_hash,
            height=height,
            prev_hash=f"{height - 1:064x}",
            time=at,
            header=b"",
        )
        return block_hash

    async def source(self, table: Table, name: str, state: str = "ok", **more: object) -> None:
        row = {"since_at": NOW, "seen_at": NOW, "errors": "{}", "facts": "{}"}
        await self.add(table, name=name, state=state, **{**row, **more})

    async def whole(self) -> None:
        """A daemon that lives, a relay that was read, an explorer and a block; all is in."""
        await self.daemon()
        await self.block(100)
        await self.source(schema.relay, "wss://relay.example")
        await self.add(schema.cursor, source="relay", name="wss://relay.example", value=NOW)
        await self.source(schema.explorer, "https://explorer.example")
        await self.add(schema.meta, key="first_sync_ended_at", value=str(NOW))
        await self.add(schema.meta, key="complete", value="true")

    async def project(self, name: str, status: str = "confirmed", **more: object) -> str:
        project_id = f"angor1q{name}"
        row = {"flags": "[]", "candidates": 1, "first_seen_at": NOW, "name": name, "type": "invest"}
        await self.add(schema.project, id=project_id, status=status, **{**row, **more})
        return project_id

    async def tx(self, txid: str) -> None:
        await self.add(schema.tx, txid=txid, raw=b"", first_seen_at=NOW)

    async def investment(
        self, project_id: str, amount: int, at: int, status: str = "confirmed", **more: object
    ) -> str:
        """One of a single stage output; a confirmed one is booked."""
        number = next(self.numbers)
        txid = f"{number:064x}"
        await self.tx(txid)
        key = f"{number:066x}"
        row = {"flags": "[]", "seeder": False, "investor_key": key, "fee_sats": amount // 100}
        await self.add(
            schema.investment,
            txid=txid,
            project_id=project_id,
            status=status,
            amount_sats=amount,
            at=at,
            **{**row, **more},
        )
        if status == "confirmed":
            await self.add(
                schema.stage_output,
                txid=txid,
                vout=2,
                project_id=project_id,
                index=0,
                value_sats=amount,
                release_at=at + 86_400,
                expiry_at=at + 864_000,
                state="locked",
            )
            await self.movement("investment", project_id, amount, at, f"{txid}:2")
            await self.total(project_id, investments=1, investors=1)
        return txid

    async def movement(
        self, kind: str, project_id: str, amount: int, at: int, reference: str, **more: object
    ) -> None:
        """A row of the ledger with its totals."""
        await self.add(
            schema.movement,
            id=next(self.numbers),
            seq=1,
            kind=kind,
            amount_msats=amount * 1000,
            at=at,
            recorded_at=at,
            source="angor",
            project_id=project_id,
            reference=reference,
            investment_txid=reference.partition(":")[0],
            txid=reference.partition(":")[0],
            **more,
        )
        if kind == "reversal":
            return
        column = {"investment": "raised_sats", "claim": "claimed_sats"}.get(kind, f"{kind}_sats")
        await self.total(project_id, **{column: amount})
        hour = at // HOUR * HOUR
        await self.add_to_hour(hour, "angor", project_id, kind, amount * 1000)

    async def invoice(
        self,
        store: str,
        *,
        counted: int = 0,
        at: int = NOW,
        campaign: str | None = None,
        **more: Any,
    ) -> str:
        """One that was paid with so many millisatoshis, booked; nothing: a new one."""
        number = next(self.numbers)
        key = f"Invoice{number}"
        owner = campaign or store
        row = {
            "status": "Settled" if counted else "New",
            "additional_status": "None",
            "type": "Standard",
            "currency": "USD",
            "amount": "1.00",
            "created_at": at,
            "expires_at": at + 900,
            "monitored_until": at + 86_400,
            "settled_at_approximate": False,
            "archived": False,
            "missing_upstream": False,
            "metadata": "{}",
            "apps": "[]",
            "asked_at": at,
            "seen_at": at,
            "first_seen_at": at,
            "ambiguous": False,
            "pending_msats": 0,
            "first_counted_at": at if counted else None,
        }
        await self.add(
            schema.invoice,
            store=store,
            id=key,
            campaign=owner,
            counted_msats=counted,
            **{**row, **more},
        )
        if counted:
            await self.paid(store, key, counted, at, owner)
        return key

    async def paid(
        self, store: str, invoice_id: str, msats: int, at: int, owner: str, kind: str = "payment"
    ) -> None:
        """A row of the ledger for an invoice, with its hour."""
        number = next(self.numbers)
        await self.add(
            schema.movement,
            id=number,
            seq=1,
            kind=kind,
            amount_msats=msats,
            at=at,
            recorded_at=at,
            source="btcpay",
            store=store,
            invoice_id=invoice_id,
            reference=f"{number:064x}",
        )
        hour = at // HOUR * HOUR
        await self.add_to_hour(hour, "btcpay", owner, kind, msats)
        if kind == "refund":
            await self._payout(store, invoice_id, msats, at, f"{number:064x}")

    async def _payout(self, store: str, invoice_id: str, msats: int, at: int, name: str) -> None:
        """What a refund stands on."""
        offer = {"store": store, "id": f"pull {name}"}
        await self.add(schema.pull_payment, invoice_id=invoice_id, **offer)
        await self.add(
            schema.payout,
            store=store,
            id=name,
            pull_payment_id=offer["id"],
            state="Completed",
            method="BTC-CHAIN",
            currency="BTC",
            value_msats=msats,
            at=at,
            first_seen_at=at,
        )

    async def add_to_hour(self, hour: int, source: str, owner: str, kind: str, msats: int) -> None:
        table = schema.hour_total.c
        key = (table.hour == hour) & (table.owner == owner) & (table.kind == kind)
        async with self.engine.begin() as conn:
            done = await conn.execute(
                update(schema.hour_total)
                .where(key)
                .values(amount_msats=table.amount_msats + msats, rows=table.rows + 1)
            )
            if done.rowcount == 0:
                row = {"hour": hour, "source": source, "owner": owner, "kind": kind}
                await conn.execute(
                    insert(schema.hour_total).values(amount_msats=msats, rows=1, **row)
                )

    async def payment(self, store: str, invoice_id: str, **values: object) -> None:
        """Money that reached an invoice, as the server shows it."""
        row = {
            "method": "BTC-CHAIN",
            "id": f"{next(self.numbers):064x}:0",
            "currency": "BTC",
            "value": "0.001",
            "status": "Settled",
            "received_at": NOW,
            "first_seen_at": NOW,
            "changed_at": NOW,
        }
        await self.add(
            schema.invoice_payment, store=store, invoice_id=invoice_id, **{**row, **values}
        )

    async def campaign(
        self, slug: str, *projects: str, stores: tuple[str, ...] = (), **more: object
    ) -> str:
        rules = json.dumps([{"store": store} for store in stores])
        await self.add(schema.campaign, slug=slug, title=slug.title(), rules=rules, **more)
        for project_id in projects:
            await self.add(schema.campaign_project, project_id=project_id, slug=slug)
        return slug

    async def total(self, project_id: str, **amounts: int) -> None:
        columns = schema.project.c
        values = {name: columns[name] + amount for name, amount in amounts.items()}
        async with self.engine.begin() as conn:
            await conn.execute(
                update(schema.project).where(columns.id == project_id).values(**values)
            )

    async def changes(self, number: int, kind: str = "project.announced", size: int = 0) -> int:
        """Add so many changes; the number of the last."""
        async with self.engine.begin() as conn:
            last = int(await conn.scalar(select(func.max(schema.change.c.seq))) or 0)
            data = json.dumps({"text": "x" * size})
            rows = [
                {"seq": seq, "type": kind, "at": NOW, "source": "angor", "data": data}
                for seq in range(last + 1, last + number + 1)
            ]
            await conn.execute(insert(schema.change), rows)
        return last + number

    async def forget_changes(self, before: int) -> None:
        async with self.engine.begin() as conn:
            await conn.execute(schema.change.delete().where(schema.change.c.seq < before))

    async def seq(self) -> int:
        async with reading(self.engine) as conn:
            return int(await conn.scalar(select(func.max(schema.change.c.seq))) or 0)


@pytest.fixture
def book(writer: AsyncEngine) -> Book:
    return Book(writer)


@pytest.fixture
def environment(database_url: str) -> Environment:
    return Environment(
        database_url=database_url,
        api_bind=Bind("127.0.0.1", 0),
        metrics_bind=Bind("127.0.0.1", 0),
        public_url=None,
        cors_origins=(),
        trusted_proxies=("127.0.0.0/8", "::1"),
        api_public=None,
        rate_limit=1_000_000,
        log_level="info",
        log_format=None,
    )


@dataclass(slots=True)
class Served:
    """A running API."""

    stop: asyncio.Event
    url: str
    client: httpx.AsyncClient

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.client.get(path, **more)

    async def json(self, path: str) -> Any:
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def serving(
    environment: Environment, clock: Callable[[], int], ping_seconds: float = 15.0
) -> AsyncIterator[Served]:
    stop = asyncio.Event()
    app = create_app(environment, clock, stop, ping_seconds=ping_seconds)
    server = build_server(app, environment, stop, Systemd(environment))
    running = asyncio.ensure_future(server.serve())
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not server.started:
                assert not running.done()
                await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(
            base_url=url,
            timeout=DEADLINE_SECONDS,
            verify=False,  # plain HTTP: to read the authorities takes longer than most tests
        ) as client:
            yield Served(stop, url, client)
    finally:
        # Not a group: a failed test would cancel the server in the middle of its statements.
        stop.set()
        server.should_exit = True
        await running


@pytest.fixture
def serve(environment: Environment, writer: AsyncEngine) -> Callable[..., Any]:
    """Serve the record: `async with serve(rate_limit=…, clock=…) as api`."""

    def start(
        *, clock: Callable[[], int] = lambda: NOW, ping_seconds: float = 15.0, **changed: Any
    ) -> Any:
        return serving(replace(environment, **changed), clock, ping_seconds)

    return start


@pytest.fixture
async def api(serve: Callable[..., Any]) -> AsyncIterator[Served]:
    async with serve() as served:
        yield served
