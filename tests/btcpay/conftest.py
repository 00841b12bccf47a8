"""What the tests of the store source share."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.rig.canned_greenfield import VECTORS, CannedGreenfield
from tests.rig.fake_greenfield import FakeGreenfield
from tests.rig.memory_store_record import FollowedStore

from raised.domain.observation import InvoicesSeen


@pytest.fixture(autouse=True)
async def _asyncio_debug() -> None:
    """Calls from a wrong thread raise, and a coroutine that nobody awaits says where it is from."""
    asyncio.get_running_loop().set_debug(True)


@pytest.fixture
async def server() -> AsyncIterator[CannedGreenfield]:
    """A server on loopback that has no routes yet."""
    canned = CannedGreenfield()
    canned.start()
    yield canned
    await canned.close()
    canned.stop()


@pytest.fixture
def store() -> Iterator[FollowedStore]:
    """An empty store of a server on loopback, and a record of nothing yet."""
    server = FakeGreenfield()
    server.start()
    yield FollowedStore(server)
    server.stop()


@pytest.fixture
def after_full_sweep(store: FollowedStore) -> None:
    """The full sweep has ended, so only the short sweeps run beside what is tested."""
    store.record.swept = store.now - 100


def webhook_body(name: str) -> Any:
    """The body of a delivery, of the vectors."""
    return json.loads((VECTORS / "webhooks" / f"{name}.json").read_text())


def statuses_by_delivery(store: FollowedStore, invoice_id: str) -> list[str]:
    """The statuses of an invoice that fetches for deliveries published, in order."""
    return [
        invoice.status
        for seen in store.record.published(InvoicesSeen)
        if seen.origin == "delivery"
        for invoice in seen.invoices
        if invoice.id == invoice_id
    ]
