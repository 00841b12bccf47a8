"""Answers quoted from explorers, and read from their sources: what the adapter makes of them."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, cast

import msgspec
import pytest
from tests.rig import vectors

from raised.chain.explorer.api import Counts, Placement, Spender
from raised.chain.explorer.esplora import Esplora
from raised.chain.explorer.http_status import meaning
from raised.chain.explorer.json_types import (
    AddressObject,
    Outspend,
    Status,
    counts_of,
    decode,
    placement_of,
    spender_of,
)
from raised.chain.explorer.probe import probe
from raised.domain.angor.network import network_named
from raised.domain.bitcoin.bech32 import address, script_from_address
from raised.domain.bitcoin.script import p2wpkh
from raised.errors import BadData, Refused, Unavailable

VECTORS: Final = vectors.CHAIN
URL: Final = "explorer"

Json = dict[str, Any]


def read(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def body_of(content: str | Json | list[Json]) -> bytes:
    return content.encode() if isinstance(content, str) else msgspec.json.encode(content)


Meet = Callable[..., AbstractAsyncContextManager[Esplora]]


def label(sample: Json) -> str:
    return f"{sample['status']} {sample['request']}"


def sample_of(request: str) -> Any:
    return next(row for row in read("samples.json") if request in row["request"])["body"]


ERRORS: Final = cast(list[Json], read("errors.json"))
# What comes of each meaning: an error (by code) or nothing found, and after how many requests.
OUTCOMES: Final[dict[str, tuple[type[Exception] | None, int]]] = {
    "caller_error": (Refused, 1),
    "unsupported": (Refused, 1),
    "too_large": (Refused, 1),
    "restart_paging": (Unavailable, 1),
    "rate_limited": (Unavailable, 1),
    "retry": (Unavailable, 3),
    "not_found": (None, 1),
    "retry_then_not_found": (None, 2),
}


@pytest.mark.parametrize("sample", ERRORS, ids=label)
def test_an_error_means_what_its_server_meant(sample: Json) -> None:
    assert meaning(sample["status"], body_of(sample["body"])) == sample["treat_as"]


@pytest.mark.parametrize("sample", ERRORS, ids=label)
async def test_an_error_is_asked_again_only_where_that_helps(
    canned_explorer: Any, sample: Json
) -> None:
    error, requests = OUTCOMES[sample["treat_as"]]
    canned = canned_explorer({"/x": (sample["status"], sample["body"])})
    async with canned.http() as http:
        if error is None:
            assert await http.get("/x") is None
        else:
            with pytest.raises(error) as caught:
                await http.get("/x")
            assert caught.value.code == sample["treat_as"]  # type: ignore[attr-defined]
        assert len(canned.paths) == requests
        rests = sample["treat_as"] in ("rate_limited", "retry")
        assert (http.bucket.rest_seconds > 0) == rests


@pytest.mark.parametrize("status", [200, 203])
async def test_a_page_of_html_instead_of_an_answer_is_a_lie(meet: Meet, status: int) -> None:
    async with meet(
        {"/blocks/tip/hash": (status, "<html>Sign in to the network</html>")}
    ) as explorer:
        with pytest.raises(BadData):
            await explorer.tip_hash()


async def test_the_tip_is_read_from_bare_text(meet: Meet) -> None:
    tip = sample_of("/blocks/tip/hash")
    async with meet({"/blocks/tip/hash": (200, tip)}) as explorer:
        assert await explorer.tip_hash() == tip


async def test_an_address_has_counts_and_a_balance(meet: Meet) -> None:
    stats = sample_of("tb1qp0we5epypgj4acd2c4au58045ruud2pd6heuee")
    script = script_from_address("tb", stats["address"])
    async with meet({f"/address/{stats['address']}": (200, stats)}, "tb") as explorer:
        assert await explorer.counts(script) == Counts(6747, 0, 84_313_783_821)


def test_an_emptied_address_has_no_balance() -> None:
    stats = body_of(sample_of("/1wiz18xYmhRX6xStj2b9t1rwWX4GKUgpv"))
    assert counts_of(decode(URL, stats, AddressObject)) == Counts(7, 0, 0)


@pytest.mark.parametrize(
    ("request_end", "placement"),
    [
        (
            "8521/status",
            Placement(
                363348,
                "0000000000000000139385d7aa78ffb45469e0c715b8d6ea6cb2ffa98acc7171",
                1435754650,
            ),
        ),
        ("<any unknown txid>/status", None),
    ],
)
def test_a_status_names_a_block_or_none(request_end: str, placement: Placement | None) -> None:
    assert placement_of(decode(URL, body_of(sample_of(request_end)), Status)) == placement


def test_one_spender_is_read_with_its_block() -> None:
    shape = decode(URL, body_of(sample_of("/outspend/3")), Outspend)
    block = "000000000000000012e6130dec174ca877bf39ead6e3d04a8ba3b0cd683c1661"
    txid = "2a1b8ec06d68096911da82b02806c3848c415b0044a0046850c4a97cbffac7b1"
    assert spender_of(shape) == Spender(txid, 1, Placement(363354, block, 1435758032))


async def test_spenders_are_read_by_output(meet: Meet) -> None:
    txid = "15e10745f15593a899cef391191bdd3d7c12412cc4696b7bcb669d0feadc8521"
    async with meet({f"/tx/{txid}/outspends": (200, sample_of(f"{txid}/outspends"))}) as explorer:
        spenders = await explorer.spenders(txid)
    assert spenders is not None
    assert [
        (spender.vin, spender.placement and spender.placement.height)
        for spender in spenders
        if spender
    ] == [(12, 363349)]


async def test_an_unconfirmed_spender_has_no_block(meet: Meet) -> None:
    answer = sample_of("(unspent; spent in the mempool)")
    async with meet({f"/tx/{'11' * 32}/outspends": (200, answer)}) as explorer:
        spenders = await explorer.spenders("11" * 32)
    assert spenders == (None, Spender(answer[1]["txid"], 0, None))


async def test_a_spender_that_is_not_named_is_none_at_all(meet: Meet) -> None:
    """The backend on an Electrum server says only that an output is spent."""
    answer = [{"spent": True}, {"spent": False}, {"spent": True}]
    assert answer in [row["body"] for row in read("samples.json")]
    async with meet({f"/tx/{'11' * 32}/outspends": (200, answer)}) as explorer:
        assert await explorer.spenders("11" * 32) == (None, None, None)


async def test_a_backend_on_an_electrum_server_is_refused(canned_explorer: Any) -> None:
    network = network_named("regtest")
    stats = sample_of("GET /api/v1/address/:address")
    assert stats["electrum"]
    somebody = address("bcrt", p2wpkh(bytes(20)))
    canned = canned_explorer(
        {"/block-height/0": (200, network.genesis), f"/address/{somebody}": (200, stats)}
    )
    async with canned.http() as http:
        with pytest.raises(Refused) as caught:
            await probe(http, network)
    assert caught.value.code == "flavour"
