"""Trees, output keys and revealed leaves."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.bitcoin.taproot import (
    LEAF_VERSION,
    branch,
    climb,
    control_block,
    grow,
    huffman,
    leaf_hash,
    output_key,
    program_of,
    revealed_leaf,
)
from raised.errors import InvalidInput

VECTORS = vectors.ANGOR
HUFFMAN: dict[str, Any] = json.loads((VECTORS / "huffman.json").read_text())
KEY = bytes.fromhex("9f9aa7a903393a2d6aa6aa744355a25175b7ce04fcd081f04d10802bc90d1003")


def labels_of(seeders: int) -> list[str]:
    return ["F", "R", "E", *(f"S{index}" for index in range(seeders))]


def weights_of(seeders: int) -> list[int]:
    return [70, 40, 1] + [10] * seeders


@pytest.mark.parametrize("vector", HUFFMAN["trees"], ids=lambda vector: str(vector["seeders"]))
def test_merges_fall_as_in_the_reference(vector: dict[str, Any]) -> None:
    seeders = vector["seeders"]
    names, weights = labels_of(seeders), weights_of(seeders)
    merged: list[list[object]] = []
    for one, other in huffman(weights_of(seeders)):
        merged.append([names[one], names[other], weights[one] + weights[other]])
        names.append(f"({names[one]} {names[other]})")
        weights.append(weights[one] + weights[other])
    assert vector["merges"] in (None, merged)  # large trees are given by their text alone
    assert names[-1] == vector["tree"]


@pytest.mark.parametrize("vector", HUFFMAN["trees"], ids=lambda vector: str(vector["seeders"]))
def test_every_leaf_lies_as_deep_as_in_the_reference(vector: dict[str, Any]) -> None:
    labels = labels_of(vector["seeders"])
    hashes = [leaf_hash(label.encode()) for label in labels]
    tree = grow(hashes, huffman(weights_of(vector["seeders"])))
    assert {one: len(tree.path(at)) for at, one in enumerate(labels)} == vector["depths"]
    assert all(climb(one, tree.path(at)) == tree.root for at, one in enumerate(hashes))


@pytest.mark.parametrize(
    "vector", HUFFMAN["fifoIsWrong"], ids=lambda vector: str(vector["seeders"])
)
def test_a_first_in_first_out_queue_would_give_other_trees(vector: dict[str, Any]) -> None:
    names = labels_of(vector["seeders"])
    for one, other in huffman(weights_of(vector["seeders"])):
        names.append(f"({names[one]} {names[other]})")
    assert names[-1] == vector["referenceTree"]
    assert (names[-1] == vector["fifoTree"]) is vector["same"]


@given(st.lists(st.integers(min_value=0, max_value=9), min_size=1, max_size=60))
def test_every_leaf_climbs_to_the_root(weights: list[int]) -> None:
    hashes = [leaf_hash(bytes([at])) for at in range(len(weights))]
    tree = grow(hashes, huffman(weights))
    for at, one in enumerate(hashes):
        assert climb(one, tree.path(at)) == tree.root


@given(st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=60))
def test_the_tree_is_a_huffman_tree(weights: list[int]) -> None:
    """No tree has a smaller sum of weight times depth: merging the two lightest gives the least."""
    tree = grow([bytes([at]) * 32 for at in range(len(weights))], huffman(weights))
    cost = sum(weight * len(tree.path(at)) for at, weight in enumerate(weights))
    left, least = sorted(weights), 0
    while len(left) > 1:
        merged = left[0] + left[1]
        least += merged
        left = sorted([*left[2:], merged])
    assert cost == least


def spend_of(script: bytes) -> tuple[bytes, bytes]:
    """A control block for a lone leaf beside another, and the program it belongs to."""
    path = [leaf_hash(b"other")]
    key, parity = output_key(KEY, climb(leaf_hash(script), path))
    return control_block(KEY, parity, path), key


def test_a_committed_leaf_is_revealed_with_its_stack() -> None:
    control, program = spend_of(b"\x51")
    leaf = revealed_leaf((b"one", b"two", b"\x51", control), program)
    assert leaf is not None
    assert (leaf.script, leaf.stack, leaf.annex) == (b"\x51", (b"one", b"two"), None)
    assert leaf.hash == leaf_hash(b"\x51")


def test_an_annex_is_taken_off_first() -> None:
    control, program = spend_of(b"\x51")
    leaf = revealed_leaf((b"\x51", control, b"\x50 annex"), program)
    assert leaf is not None
    assert (leaf.script, leaf.annex) == (b"\x51", b"\x50 annex")


@pytest.mark.parametrize("annex", [(), (b"\x50 annex",)])
@pytest.mark.parametrize("size", [64, 65])
def test_a_lone_signature_is_a_key_path(size: int, annex: tuple[bytes, ...]) -> None:
    assert revealed_leaf((bytes(size), *annex), spend_of(b"\x51")[1]) is None


def test_what_no_node_would_accept_is_refused() -> None:
    control, program = spend_of(b"\x51")
    wrong_parity = bytes([control[0] ^ 1]) + control[1:]
    wrong_version = bytes([control[0] ^ 2]) + control[1:]
    no_point = control[:1] + b"\xff" * 32 + control[33:]
    for witness in (
        (),
        (b"",),
        (bytes(63),),
        (b"\x50",),
        (b"\x52", control),
        (b"\x51", control[:-1]),
        (b"\x51", control[:33]),
        (b"\x51", control[:32]),
        (b"\x51", control + bytes(32 * 128)),
        (b"\x51", wrong_parity),
        (b"\x51", wrong_version),
        (b"\x51", no_point),
    ):
        with pytest.raises(InvalidInput):
            revealed_leaf(witness, program)
    with pytest.raises(InvalidInput):
        revealed_leaf((b"\x51", control), bytes(32))


@given(st.lists(st.binary(max_size=120), max_size=5), st.binary(min_size=32, max_size=32))
def test_any_witness_is_read_or_refused(witness: list[bytes], program: bytes) -> None:
    try:
        revealed_leaf(witness, program)
    except InvalidInput:
        return
    assert len(witness) <= 2


@given(st.data())
def test_a_leaf_of_another_byte_is_not_committed(data: st.DataObject) -> None:
    control, program = spend_of(b"\x51\x52\x53")
    parts = [b"\x51\x52\x53", control]
    which = data.draw(st.integers(0, 1))
    at = data.draw(st.integers(0, len(parts[which]) - 1))
    flip = data.draw(st.integers(1, 255))
    part = parts[which]
    parts[which] = part[:at] + bytes([part[at] ^ flip]) + part[at + 1 :]
    if which == 1 and at == 0 and parts[1][0] == 0x50:
        return  # it reads as an annex: then there is no control block at all
    with pytest.raises(InvalidInput):
        revealed_leaf(parts, program)


def test_the_leaf_version_counts() -> None:
    assert leaf_hash(b"\x51") == leaf_hash(b"\x51", LEAF_VERSION)
    assert leaf_hash(b"\x51") != leaf_hash(b"\x51", 0xC2)


def test_a_branch_does_not_know_left_from_right() -> None:
    assert branch(bytes(32), b"\x01" * 32) == branch(b"\x01" * 32, bytes(32))


def test_only_a_taproot_output_has_a_program() -> None:
    assert program_of(b"\x51\x20" + KEY) == KEY
    for script in (b"", b"\x00\x20" + KEY, b"\x51\x20" + KEY[1:], b"\x51\x20" + KEY + b"\x00"):
        with pytest.raises(InvalidInput):
            program_of(script)
