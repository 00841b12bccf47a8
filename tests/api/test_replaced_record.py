"""The record deleted or replaced under a running API: nothing is accepted any more, and it ends."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from tests.api.test_program import TOML, end_of, free_address
from tests.api.webhooks.deliveries import SECRET, SHOP, STORE_ID, body_of, sign
from tests.rig.databases import make_sqlite_record
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.record_accidents import copy_backup_over, delete, delete_log, move_backup_over

STORE = f"""
[[btcpay]]
label = "shop"
url = "http://127.0.0.1:9"
store_id = "{STORE_ID}"
"""


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Process, httpx.AsyncClient]]:
    """`raised api` with a store, once it serves."""
    (folder / "relays.toml").write_text(TOML + STORE)
    (folder / "secret").write_bytes(SECRET)
    address = free_address()
    environ = os.environ | {
        "RAISED_DATABASE_URL": await make_sqlite_record(folder / "raised.db"),
        "RAISED_API_BIND": address,
        "RAISED_BTCPAY_SHOP_WEBHOOK_SECRET_FILE": str(folder / "secret"),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "raised", "--config", str(folder / "relays.toml"), "api"),
        env=environ,
        stdout=PIPE,
        stderr=PIPE,
    )
    url = f"http://{address}"
    async with httpx.AsyncClient(base_url=url, timeout=DEADLINE_SECONDS) as client:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while await status(client, "GET", "/health/live") != 200:  # noqa: ASYNC110 - a program
                    await asyncio.sleep(0.05)
            yield process, client
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def status(client: httpx.AsyncClient, method: str, path: str, body: bytes = b"") -> int:
    """0: there is nobody."""
    try:
        headers = {"btcpay-sig": sign(body)}
        return (await client.request(method, path, content=body, headers=headers)).status_code
    except httpx.TransportError:
        return 0


@pytest.mark.parametrize("happens", [delete, move_backup_over, copy_backup_over, delete_log])
async def test_no_delivery_is_acknowledged_any_more_and_the_program_ends(
    tmp_path: Path, happens: Callable[[Path], None]
) -> None:
    async with running(tmp_path) as (process, client):
        assert await status(client, "POST", SHOP, body_of(deliveryId="before")) == 200
        happens(tmp_path / "raised.db")
        answers: list[int] = []
        async with asyncio.timeout(DEADLINE_SECONDS):
            while process.returncode is None:
                body = body_of(deliveryId=f"d{len(answers)}")
                answers.append(await status(client, "POST", SHOP, body))
                answers.append(await status(client, "GET", "/health"))
                await asyncio.sleep(0.01)
        code, output = await end_of(process)
    assert set(answers) <= {503, 0}
    assert code == 1
    assert f"raised: the record {tmp_path}" in output or f"raised: {tmp_path}" in output
    assert "start again" in output
    assert "Traceback" not in output
