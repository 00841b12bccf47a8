"""What tests of the store's API need."""

from collections.abc import AsyncIterator

import pytest
from tests.btcpay.teller import Teller


@pytest.fixture
async def teller() -> AsyncIterator[Teller]:
    """A server on loopback that has no routes yet."""
    one = Teller()
    one.start()
    yield one
    await one.close()
    one.stop()
