"""Transactions: every real one round-trips, no bytes crash or hang the parser."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.bitcoin.tx import (
    MAX_MONEY,
    OutPoint,
    Tx,
    TxIn,
    TxOut,
    compact_size,
    parse_tx,
    raw_from_hex,
    varbytes,
)
from raised.errors import InvalidInput

VECTORS = vectors.ROOT


def real_transactions() -> list[dict[str, Any]]:
    found = json.loads((VECTORS / "angor/real_transactions.json").read_text())
    return [*found["angornet"]["transactions"], *found["historic"]]


REAL = {row["txid"]: bytes.fromhex(row["hex"]) for row in real_transactions() if "hex" in row}
ONE = next(iter(REAL.values()))

hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
outpoints = st.builds(OutPoint, hashes, st.integers(0, 0xFFFFFFFF))
scripts = st.binary(max_size=300)
inputs = st.builds(
    TxIn,
    outpoints,
    scripts,
    st.integers(0, 0xFFFFFFFF),
    st.lists(st.binary(max_size=300), max_size=4).map(tuple),
)
outputs = st.builds(TxOut, st.integers(0, MAX_MONEY // 4), scripts)  # four are not too much
transactions = st.builds(
    Tx,
    st.integers(0, 0xFFFFFFFF),
    st.lists(inputs, min_size=1, max_size=4).map(tuple),
    st.lists(outputs, max_size=4).map(tuple),
    st.integers(0, 0xFFFFFFFF),
)


@pytest.mark.parametrize("txid", REAL)
def test_a_real_transaction_has_its_id_and_serialises_to_its_bytes(txid: str) -> None:
    tx = parse_tx(REAL[txid])
    assert tx.txid == txid
    assert tx.serialize() == REAL[txid]


def test_a_template_with_the_version_bit_of_the_reference_client_is_no_transaction() -> None:
    """Upstream prints zero-input templates that begin 01000008 0005 (bitcoin-libs.md 2)."""
    golden = json.loads((VECTORS / "angor/reference_golden.json").read_text())
    for text in (
        golden["recoverySighash"]["investmentTxHexAsWritten"],
        golden["recoverySighash"]["investmentTxHexNormalised"],
    ):
        with pytest.raises(InvalidInput):
            parse_tx(bytes.fromhex(text))


@given(transactions)
def test_what_is_serialised_is_parsed_to_the_same(tx: Tx) -> None:
    parsed = parse_tx(tx.serialize())
    assert parsed == tx
    assert (parsed.txid, parsed.wtxid) == (tx.txid, tx.wtxid)
    assert parsed.weight == tx.weight


@given(st.binary(max_size=600))
def test_any_bytes_are_a_transaction_or_a_clear_error(raw: bytes) -> None:
    try:
        tx = parse_tx(raw)
    except InvalidInput:
        return
    assert tx.serialize() == raw


@given(st.integers(0, len(ONE) - 1), st.integers(0, 255))
def test_a_changed_byte_changes_an_id_or_is_an_error(at: int, value: int) -> None:
    raw = bytearray(ONE)
    raw[at] = value
    try:
        changed = parse_tx(bytes(raw))
    except InvalidInput:
        return
    assert changed.serialize() == bytes(raw)
    assert (changed.wtxid == parse_tx(ONE).wtxid) == (bytes(raw) == ONE)


@pytest.mark.parametrize("cut", range(len(ONE)))
def test_a_cut_transaction_is_an_error(cut: int) -> None:
    with pytest.raises(InvalidInput):
        parse_tx(ONE[:cut])


def plain(**parts: bytes) -> bytes:
    """A one-input transaction with some of its bytes replaced."""
    found = {
        "version": b"\x01\x00\x00\x00",
        "inputs": b"\x01" + bytes(36) + b"\x00" + b"\xff" * 4,
        "outputs": b"\x01" + (1).to_bytes(8, "little") + b"\x00",
        "locktime": bytes(4),
    }
    return b"".join((found | parts).values())


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (plain(locktime=bytes(5)), "bytes behind"),
        (plain(inputs=b"\x00", outputs=b"\x00"), "without inputs"),
        (plain(inputs=b"\x00\x01\x00"), "without inputs"),
        (plain(inputs=b"\xfd\x01\x00" + bytes(36) + b"\x00" + b"\xff" * 4), "shortest form"),
        (plain(inputs=b"\xff" + b"\xff" * 8 + bytes(40)), "runs past"),
        (plain(outputs=b"\xfe\xff\xff\xff\xff"), "runs past"),
        (plain(outputs=b"\x01" + (MAX_MONEY + 1).to_bytes(8, "little") + b"\x00"), "all money"),
        (
            plain(inputs=b"\x00\x01\x01" + bytes(36) + b"\x00" + b"\xff" * 4, locktime=bytes(5)),
            "witness flag",
        ),
    ],
)
def test_what_a_node_would_not_read_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        parse_tx(raw)


def test_the_bytes_around_the_refusals_are_a_transaction() -> None:
    assert parse_tx(plain()).outputs == (TxOut(1, b""),)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "00"), (252, "fc"), (253, "fdfd00"), (65535, "fdffff"), (65536, "fe00000100")],
)
def test_counts_have_their_shortest_form(value: int, text: str) -> None:
    assert compact_size(value).hex() == text
    assert varbytes(bytes(value))[: len(text) // 2].hex() == text


def test_a_count_of_eight_bytes_is_written() -> None:
    assert compact_size(1 << 32) == b"\xff" + (1 << 32).to_bytes(8, "little")


def test_an_outpoint_reads_as_people_write_it() -> None:
    assert str(OutPoint("ab" * 32, 7)) == "ab" * 32 + ":7"
    assert raw_from_hex("01" + "00" * 31)[-1] == 1
