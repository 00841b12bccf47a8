"""The API over a record that the real writer keeps: the scenarios of the vectors."""

import json
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from tests.rig import vectors

from raised.db import schema
from raised.db.engine import transact
from raised.domain.angor.network import network_named
from raised.domain.audit.case_file import audit_text
from raised.domain.audit.report import as_json
from raised.domain.bitcoin.tx import parse_tx
from raised.domain.event import event_from_json
from raised.domain.observation import (
    BlockRef,
    BlockSeen,
    ClockTicked,
    EventsSeen,
    MempoolSeen,
    Observation,
    PlacedTx,
    SourceHealth,
)
from raised.record import Policy, apply_observations
from raised_api.app import HANDLERS
from raised_api.http.auth import READ, SCOPE
from raised_api.http.endpoint import response_type
from raised_api.openapi.document import path_template

VECTORS = vectors.ANGOR
NOW = 1_750_000_000
SCENARIOS = ("invest", "fund", "subscribe", "seeders")


def block_at(height: int, time: int) -> BlockRef:
    def name(at: int) -> str:
        return sha256(str(at).encode()).hexdigest()

    header = b"\0" * 80
    return BlockRef(height, name(height), name(height - 1), time, header, time, time - 600)


class Played:
    """A scenario in the record."""

    def __init__(self, name: str) -> None:
        self.text = (VECTORS / f"scenario_{name}.json").read_text()
        found = json.loads(self.text)
        self.event = event_from_json(found["projectEvent"])
        self.project_id: str = json.loads(self.event.content)["projectIdentifier"]
        self.totals = found["expected"]["exactTotalsAtTip"]
        self.txs = found["transactions"]

    def blocks(self) -> list[BlockSeen]:
        by_height: dict[int, list[Any]] = {}
        for tx in self.txs:
            if tx["height"] is not None:
                by_height.setdefault(tx["height"], []).append(tx)
        return [
            BlockSeen(
                block_at(height, txs[0]["time"]),
                tuple(
                    PlacedTx(parse_tx(bytes.fromhex(tx["hex"])), tx["indexInBlock"], (), "block")
                    for tx in sorted(txs, key=lambda tx: tx["indexInBlock"])
                ),
                "https://explorer.example",
                NOW,
            )
            for height, txs in sorted(by_height.items())
        ]

    def pool(self) -> MempoolSeen:
        waiting = [parse_tx(bytes.fromhex(tx["hex"])) for tx in self.txs if tx["height"] is None]
        return MempoolSeen((self.project_id,), tuple(waiting), (), "https://explorer.example", NOW)


@pytest.fixture(params=SCENARIOS)
async def played(request: pytest.FixtureRequest, book: Any) -> Played:
    scenario = Played(request.param)
    async with book.engine.begin() as conn:
        await conn.execute(schema.meta.update().values(value="angornet"))
    await book.daemon()
    policy = Policy(network_named("angornet"), confirmations=1, finality=100)
    seen: list[Observation] = [
        EventsSeen("wss://relay.example", NOW, (scenario.event,)),
        *scenario.blocks(),
        scenario.pool(),
        SourceHealth("relay", "wss://relay.example", "ok", NOW),
        SourceHealth("explorer", "https://explorer.example", "degraded", NOW),
        ClockTicked(NOW),
    ]
    for one in seen:
        await transact(book.engine, apply_observations, [one], policy)
    return scenario


async def test_totals_are_those_of_the_scenario(played: Played, api: Any) -> None:
    expected: Any = as_json(audit_text(played.text))["totals"]
    summary = await api.json("/api/v1/summary")
    project = await api.json(f"/api/v1/projects/{played.project_id}")
    shared = ("raised_sats", "locked_sats", "claimed_sats", "unknown_sats", "in_penalty_sats")
    for name in (*shared, "penalty_released_sats", "unconfirmed_sats"):
        assert summary["angor"][name] == project["totals"][name] == expected[name], name
    for name in ("investments", "investors"):
        assert summary["angor"][name] == project[name] == expected[name], name
    returned = ("recovery", "unfunded_release", "penalty_free_recovery", "end_of_project")
    assert project["totals"]["returned_sats"] == sum(expected[f"{one}_sats"] for one in returned)


async def test_every_part_adds_up_to_the_totals(played: Played, api: Any) -> None:
    path = f"/api/v1/projects/{played.project_id}"
    totals = (await api.json(path))["totals"]
    stages = (await api.json(f"{path}/stages"))["items"]
    assert sum(stage["value_sats"] for stage in stages) == totals["raised_sats"]
    assert sum(stage["locked_sats"] for stage in stages) == totals["locked_sats"]
    assert sum(stage["claimed_sats"] for stage in stages) == totals["claimed_sats"]
    investors = (await api.json(f"{path}/investors"))["items"]
    assert sum(investor["raised_sats"] for investor in investors) == totals["raised_sats"]
    assert sum(investor["returned_sats"] for investor in investors) == totals["returned_sats"]
    investments = (await api.json(f"{path}/investments?status=confirmed"))["items"]
    assert sum(investment["amount_sats"] for investment in investments) == totals["raised_sats"]
    movements = (await api.json(f"{path}/movements?limit=200"))["items"]
    assert sum(movement["net_sats"] for movement in movements) == totals["net_sats"]
    for metric in ("raised", "returned", "net", "claimed"):
        for tz in ("UTC", "Asia/Kolkata"):
            found = await api.json(
                f"{path}/series?metric={metric}&cumulative=true&tz={tz}&bucket=week"
            )
            assert found["points"][-1]["cumulative"] == totals[f"{metric}_sats"], metric


async def test_evidence_holds_the_report_of_the_audit(played: Played, api: Any) -> None:
    found = await api.json(f"/api/v1/projects/{played.project_id}/evidence")
    report: Any = as_json(audit_text(played.text))
    assert found["project"] == report["project"]
    assert found["totals"] == report["totals"]
    assert found["event"]["id"] == played.event.id
    shown = {transaction["txid"]: transaction["role"] for transaction in found["transactions"]}
    expected = {transaction["txid"]: transaction["role"] for transaction in report["transactions"]}
    # What pays somebody else is not our matter, and may be missing.
    counted = {key: role for key, role in expected.items() if role not in {"unrelated", "rejected"}}
    assert counted.items() <= shown.items()


async def test_every_answer_has_exactly_its_shape(played: Played, api: Any) -> None:
    investments = (await api.json("/api/v1/investments?status=all"))["items"]
    txids = [investment["txid"] for investment in investments]
    assert txids
    for handler in HANDLERS:
        if handler.opt[SCOPE] != READ:
            continue  # stores have theirs elsewhere
        template = path_template(handler)
        for txid in txids if "{txid}" in template else txids[:1]:
            names = {"project_id": played.project_id, "slug": played.project_id, "txid": txid}
            path = template.format(**names)
            answer = await api.get(path)
            assert answer.status_code == 200, path
            typed = msgspec.json.decode(answer.content, type=response_type(handler))
            assert msgspec.json.encode(typed) == answer.content, path


async def test_a_change_shows_the_item_as_its_route_does(played: Played, api: Any) -> None:
    """A movement is never updated, so its change and its row are the same for ever."""
    told: dict[int, Any] = {}
    after = 0
    while items := (await api.json(f"/api/v1/changes?after={after}&limit=200"))["items"]:
        told |= {item["data"]["id"]: item["data"] for item in items if item["type"] == "movement"}
        after = items[-1]["seq"]
    movements = (await api.json("/api/v1/movements?limit=200"))["items"]
    assert movements
    assert told == {movement["id"]: movement for movement in movements}


async def test_sources_are_down_while_no_daemon_follows_them(book: Any, serve: Any) -> None:
    await book.whole()
    async with serve(clock=lambda: NOW + 61) as api:
        as_of = (await api.json("/api/v1/summary"))["as_of"]
        assert as_of["stale"] is True
        assert as_of["sources"] == {"relays": "down", "chain": "down", "btcpay": "off"}
        assert (await api.get("/health")).json()["chain"]["state"] == "down"


async def test_an_unknown_project_is_no_filter(book: Any, api: Any) -> None:
    for path in ("series", "movements", "investments"):
        answer = await api.get(f"/api/v1/{path}?project=angor1qunknown")
        assert answer.status_code == 400, path
        assert [error["name"] for error in answer.json()["errors"]] == ["project"]
    await book.project("one")
    for path in ("series", "movements", "investments"):
        assert (await api.get(f"/api/v1/{path}?project=angor1qone")).status_code == 200
