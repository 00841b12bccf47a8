"""Witnesses that prove nothing are found wherever the known outputs allow it."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.rig import vectors

from raised.domain.angor.spend_proof import disproved_inputs
from raised.domain.bitcoin.tx import OutPoint, Tx, TxOut, parse_tx

VECTORS = vectors.ANGOR
NAMES = ["invest", "seeders", "fund", "subscribe"]


def story_of(name: str) -> list[dict[str, Any]]:
    story: dict[str, Any] = json.loads((VECTORS / f"scenario_{name}.json").read_text())
    entries: list[dict[str, Any]] = story["transactions"]
    return entries


def coins_of(entry: dict[str, Any]) -> dict[OutPoint, TxOut]:
    return {
        OutPoint(prevout["txid"], prevout["vout"]): TxOut(
            prevout["value"], bytes.fromhex(prevout["scriptPubKey"])
        )
        for prevout in entry["prevouts"]
    }


def spends(name: str) -> list[tuple[Tx, dict[OutPoint, TxOut], list[int]]]:
    return [
        (
            parse_tx(bytes.fromhex(entry["hex"])),
            coins_of(entry),
            [vin for vin, word in enumerate(entry["expected"]["inputs"]) if word != "other"],
        )
        for entry in story_of(name)
        if entry["expected"]["type"] in ("spend", "penalty_release")
    ]


def only(coins: dict[OutPoint, TxOut], tx: Tx, vins: list[int]) -> dict[OutPoint, TxOut]:
    """What is known when other people's outputs are not."""
    return {tx.inputs[vin].outpoint: coins[tx.inputs[vin].outpoint] for vin in vins}


def changed(tx: Tx, vin: int, change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Tx:
    inputs = list(tx.inputs)
    inputs[vin] = inputs[vin]._replace(witness=change(inputs[vin].witness))
    return replace(tx, inputs=tuple(inputs))


def flipped(witness: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (bytes([witness[0][0] ^ 1]) + witness[0][1:], *witness[1:])


@pytest.mark.parametrize("name", NAMES)
def test_every_spend_of_a_scenario_is_proven(name: str) -> None:
    for tx, coins, vins in spends(name):
        assert disproved_inputs(tx, vins, coins.get) == ()
        assert disproved_inputs(tx, vins, only(coins, tx, vins).get) == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_signature_or_secret_is_found_even_beside_unknown_inputs(name: str) -> None:
    for tx, coins, vins in spends(name):
        for vin in vins:
            forged = changed(tx, vin, flipped)
            assert disproved_inputs(forged, vins, coins.get) == (vin,)
            assert disproved_inputs(forged, vins, only(coins, tx, vins).get) == (vin,)


def test_a_signature_over_everything_cannot_be_judged_beside_an_unknown_input() -> None:
    tx, coins, vins = spends("subscribe")[0]
    stranger = tx.inputs[0]._replace(outpoint=OutPoint("cc" * 32, 0))
    more = replace(changed(tx, 0, flipped), inputs=(*changed(tx, 0, flipped).inputs, stranger))
    assert disproved_inputs(more, vins, coins.get) == ()


def test_a_script_that_the_output_does_not_commit_to_is_always_found() -> None:
    stage, release = spends("subscribe")[0], spends("invest")[3]
    for tx, coins, vins in (stage, release):
        stranger = tx.inputs[0]._replace(outpoint=OutPoint("cc" * 32, 0))

        def swapped(witness: tuple[bytes, ...]) -> tuple[bytes, ...]:
            return tuple(item if len(item) > 60 else b"\x51" for item in witness[:-2]) + (
                (b"\x51", witness[-1]) if len(witness) > 2 else (b"\x51",)
            )

        forged = changed(tx, 0, swapped)
        more = replace(forged, inputs=(*forged.inputs, stranger))
        assert disproved_inputs(more, vins[:1], coins.get) == (0,)
