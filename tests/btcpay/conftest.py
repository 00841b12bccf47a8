"""What tests of the store's API need."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.rig.canned_greenfield import CannedGreenfield
from tests.rig.fake_greenfield import FakeGreenfield
from tests.rig.memory_store_record import FollowedStore


@pytest.fixture
async def server() -> AsyncIterator[CannedGreenfield]:
    """A server on loopback that has no routes yet."""
    one = CannedGreenfield()
    one.start()
    yield one
    await one.close()
    one.stop()


@pytest.fixture
def store() -> Iterator[FollowedStore]:
    """An empty store of a server on loopback, and a record of nothing yet."""
    server = FakeGreenfield()
    server.start()
    yield FollowedStore(server)
    server.stop()
