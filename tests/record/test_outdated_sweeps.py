"""Sweeps that were under way when the settings changed by which invoices are read."""

from typing import Any

import pytest
from tests.record.conftest import Ledger
from tests.rig.store_observations import START

from raised.db.engine import reading
from raised.db.queries.store_source import interrupted_sweep, swept_at
from raised.domain.observation import (
    ConfiguredStore,
    DaemonStarted,
    SourcesConfigured,
    SweepDone,
    SweepReached,
)


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


async def test_a_full_sweep_that_read_with_other_settings_does_not_count(ledger: Ledger) -> None:
    """It was under way when the settings changed: another one reads all invoices anew."""

    def configured(at: int, *methods: str) -> SourcesConfigured:
        store = ConfiguredStore("shop", "", "", (), (), (), methods)
        return SourcesConfigured(at, "regtest", 1, (), (), (store,))

    async def swept() -> tuple[int | None, tuple[int, int] | None]:
        async with reading(ledger.engine) as conn:
            return await swept_at(conn, "shop"), await interrupted_sweep(conn, "shop")

    await ledger.see(DaemonStarted(START, "1"), configured(START))
    await ledger.see(SweepDone("shop", START + 9, "full", START + 5, 0))
    assert await swept() == (START + 5, None)
    await ledger.see(configured(START + 20, "BTC-ARK"))
    await ledger.see(SweepReached("shop", START + 21, START + 10, START - 50))
    await ledger.see(SweepDone("shop", START + 22, "full", START + 10, 0))
    assert await swept() == (None, None)
    await ledger.see(configured(START + 30, "BTC-ARK"))
    await ledger.see(SweepReached("shop", START + 31, START + 20, START - 50))
    assert await swept() == (None, (START + 20, START - 50))
    await ledger.see(SweepDone("shop", START + 32, "full", START + 20, 0))
    assert await swept() == (START + 20, None)
    # A change that was made while our clock was ahead keeps no sweep from counting.
    await ledger.see(configured(START + 99_999))
    await ledger.see(SweepDone("shop", START + 50, "full", START + 40, 0))
    assert await swept() == (START + 40, None)
