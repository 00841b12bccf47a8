"""An API with one store."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.api.webhooks.deliveries import SECRET, STORE_ID, follow_stores


@pytest.fixture
async def shop(book: Any, serve: Any) -> AsyncIterator[Any]:
    """An API with one store that the daemon follows."""
    await book.whole()
    await follow_stores(book, shop=STORE_ID)
    async with serve(webhook_secrets={"shop": (SECRET,)}) as api:
        yield api
