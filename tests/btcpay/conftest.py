"""What tests of the store's API need."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.rig.canned_greenfield import Teller
from tests.rig.fake_greenfield import Till
from tests.rig.memory_store_record import Shop


@pytest.fixture
async def teller() -> AsyncIterator[Teller]:
    """A server on loopback that has no routes yet."""
    one = Teller()
    one.start()
    yield one
    await one.close()
    one.stop()


@pytest.fixture
def shop() -> Iterator[Shop]:
    """An empty store of a server on loopback, and a record of nothing yet."""
    till = Till()
    till.start()
    yield Shop(till)
    till.stop()
