"""Who may not see invoices sees nothing that leads to who has paid."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from tests.rig.deadline import DEADLINE_SECONDS

from raised.db import schema
from raised.db.engine import transact
from raised.db.requests.api_keys import add_key, new_key

NOW = 1_750_000_000  # 2025-06-15T15:06:40Z
COIN = "c0" * 32
HIDDEN = ("invoice.settled", "invoice.other", "payment.settled", "refund.completed")
MOVEMENT = {
    "id": 1,
    "seq": 1,
    "kind": "payment",
    "reverses": None,
    "amount_msats": "5000000",
    "amount_sats": 5000,
    "net_sats": 5000,
    "at": "2025-06-15T15:06:40Z",
    "recorded_at": "2025-06-15T15:06:42Z",
    "height": None,
    "block_hash": None,
    "source": "btcpay",
    "campaign": "ice",
    "project_id": None,
    "store": "shop",
    "party": None,
    "reference": f"{COIN}:1",
    "txid": COIN,
}
SHOWN = MOVEMENT | {
    "at": "2025-06-15T15:00:00Z",
    "recorded_at": None,
    "reference": None,
    "txid": None,
}


async def add_change(book: Any, seq: int, kind: str, data: Any, **more: object) -> None:
    row = {"at": NOW, "source": "btcpay", "campaign": "ice", "reference": f"{COIN}:1"}
    text = json.dumps(data, separators=(",", ":"))
    await book.add(schema.change, seq=seq, type=kind, data=text, **{**row, **more})


@pytest.fixture
async def key(book: Any) -> dict[str, str]:
    made = new_key(["invoices:read"])
    await transact(book.engine, add_key, made, ["invoices:read"], NOW)
    return {"authorization": f"Bearer {made.token}"}


@pytest.fixture
async def changes(book: Any) -> None:
    """One of each kind: 1 to 4 hidden, 5 a payment's movement, 6 an investment's, 7 a project."""
    for seq, kind in enumerate(HIDDEN, 1):
        await add_change(book, seq, kind, {"id": COIN})
    await add_change(book, 5, "movement", MOVEMENT)
    angor = MOVEMENT | {"source": "angor", "party": "02" * 32}
    await add_change(book, 6, "movement", angor, source="angor", reference="x:2")
    await add_change(book, 7, "project.confirmed", {"id": "p"}, source="angor")


async def test_the_list_of_changes(changes: None, api: Any, key: dict[str, str]) -> None:
    path = "/api/v1/changes"
    messages = (await api.json(path))["items"]
    assert [item["seq"] for item in messages] == [5, 6, 7]
    assert messages[0]["data"] == SHOWN
    assert messages[0]["reference"] is None
    assert messages[0]["at"] == "2025-06-15T15:00:00Z"
    assert messages[1]["data"]["reference"] == f"{COIN}:1"
    assert messages[1]["reference"] == "x:2"
    whole = (await api.get(path, headers=key)).json()["items"]
    assert [item["seq"] for item in whole] == [1, 2, 3, 4, 5, 6, 7]
    assert whole[4]["data"] == MOVEMENT
    assert whole[4]["reference"] == f"{COIN}:1"
    # Also by type, and with pages that are full.
    assert (await api.json(f"{path}?type=invoice.settled"))["items"] == []
    page = await api.json(f"{path}?limit=2")
    assert [item["seq"] for item in page["items"]] == [5, 6]
    page = await api.json(f"{path}?limit=2&cursor={page['next_cursor']}")
    assert [item["seq"] for item in page["items"]] == [7]


async def test_an_item_of_an_earlier_version_is_redacted_as_it_was_stored(
    book: Any, api: Any
) -> None:
    """The feed keeps items for years: later versions have keys that these lack, and lack others."""
    earlier = {key: value for key, value in MOVEMENT.items() if key not in {"party", "campaign"}}
    await add_change(book, 1, "movement", earlier | {"kind": "gift", "colour": "red"})
    (item,) = (await api.json("/api/v1/changes"))["items"]
    data = item["data"]
    assert (data["kind"], data["colour"], data["at"]) == ("gift", "red", SHOWN["at"])
    assert "campaign" not in data
    for name in ("recorded_at", "reference", "txid", "party", "height", "block_hash"):
        assert data[name] is None


async def events(api: Any, path: str, number: int, **more: Any) -> list[dict[str, str]]:
    """The first events of a stream after its greeting."""
    messages: list[dict[str, str]] = []
    async with api.client.stream("GET", path, timeout=DEADLINE_SECONDS, **more) as answer:
        current: dict[str, str] = {}
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if not line and current.get("event") not in {None, "hello"}:
                messages.append(current)
                if len(messages) == number:
                    return messages
            if not line:
                current = {}
            elif name in {"id", "event", "data"}:
                current[name] = value
    return messages


async def test_the_stream_replayed(changes: None, api: Any, key: dict[str, str]) -> None:
    path = "/api/v1/changes/stream?after=0"
    messages = await events(api, path, 3)
    assert [message["id"] for message in messages] == ["5", "6", "7"]
    first = json.loads(messages[0]["data"])
    assert (first["data"], first["reference"]) == (SHOWN, None)
    assert COIN not in messages[0]["data"]
    whole = await events(api, path, 7, headers=key)
    assert [message["id"] for message in whole] == ["1", "2", "3", "4", "5", "6", "7"]
    assert json.loads(whole[4]["data"])["data"] == MOVEMENT


async def test_the_stream_live(book: Any, api: Any, key: dict[str, str]) -> None:
    async def first_live(**more: Any) -> dict[str, str]:
        async with api.client.stream(
            "GET", "/api/v1/changes/stream", timeout=DEADLINE_SECONDS, **more
        ) as answer:
            current: dict[str, str] = {}
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name in {"id", "event", "data"}:
                    current[name] = value
                if not line and current.get("event") == "hello":
                    seq = json.loads(current["data"])["seq"]
                    await add_change(book, seq + 1, "payment.settled", {"id": COIN})
                    await add_change(book, seq + 2, "movement", MOVEMENT)
                    current = {}
                elif not line and "data" in current:
                    return current
        raise AssertionError("the stream has ended")

    seen = await first_live(headers=key)
    assert (seen["event"], seen["id"]) == ("payment.settled", "1")
    shown = await first_live()
    assert (shown["event"], shown["id"]) == ("movement", "4")
    assert json.loads(shown["data"])["data"] == SHOWN


async def test_the_list_of_movements(book: Any, api: Any, key: dict[str, str]) -> None:
    await book.invoice("shop", counted=5_000_000, at=NOW)
    project = await book.project("one")
    await book.investment(project, 100, NOW + 1)
    path = "/api/v1/movements"
    angor, shop = (await api.json(path))["items"]
    assert angor["reference"] is not None
    assert angor["at"] == "2025-06-15T15:06:41Z"
    assert (shop["kind"], shop["amount_sats"], shop["store"]) == ("payment", 5000, "shop")
    assert shop["campaign"] == "shop"
    assert shop["at"] == "2025-06-15T15:00:00Z"
    for name in ("recorded_at", "reference", "txid", "party", "height", "block_hash"):
        assert shop[name] is None
    whole = (await api.get(path, headers=key)).json()["items"][1]
    assert whole["at"] == "2025-06-15T15:06:40Z"
    assert whole["reference"] is not None


async def test_no_filter_and_no_cursor_tells_a_finer_time(
    book: Any, api: Any, key: dict[str, str]
) -> None:
    for second in (0, 1, 2400, 3599):
        await book.invoice("shop", counted=1000, at=3600 + second)
    path = "/api/v1/movements"

    async def number(query: str, **more: Any) -> int:
        return len((await api.get(path + query, headers=more)).json()["items"])

    for since, until, expected in [
        ("01:00:00", "02:00:00", 4),
        ("01:00:01", "02:00:00", 0),
        ("01:00:00", "01:00:01", 4),
        ("01:30:00", "03:00:00", 0),
        ("00:30:00", "01:30:00", 4),
        ("00:00:00", "01:00:00", 0),
    ]:
        query = f"?since=1970-01-01T{since}Z&until=1970-01-01T{until}Z"
        assert await number(query) == expected, query
    query = "?since=1970-01-01T01:00:01Z&until=1970-01-01T01:59:59Z"
    assert await number(query, **key) == 2
    cursors = set()
    page = await api.json(f"{path}?limit=1")
    seen = [page["items"][0]["id"]]
    while page["next_cursor"] is not None:
        cursors.add(page["next_cursor"])
        page = await api.json(f"{path}?limit=1&cursor={page['next_cursor']}")
        seen.append(page["items"][0]["id"])
    assert len(seen) == len(set(seen)) == 4
    for cursor in cursors:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        assert json.loads(text)[1] == 0, text


async def test_a_cursor_of_no_movement_is_refused(api: Any) -> None:
    cursor = urlsafe_b64encode(b'["movements",0,99]').rstrip(b"=").decode()
    answer = await api.get(f"/api/v1/movements?cursor={cursor}")
    assert answer.status_code == 400
