"""Bech32 and bech32m against the examples of their specifications, and round trips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raised.domain.bitcoin.bech32 import address, decode, encode, script_from_address
from raised.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "script"),
    [
        (
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            "0014751e76e8199196d454941c45d1b3a323f1433bd6",
        ),
        (
            "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
            "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
        ),
        ("BC1SW50QGDZ25J", "6002751e"),
        ("bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", "5210751e76e8199196d454941c45d1b3a323"),
        (
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        ),
    ],
)
def test_the_valid_addresses_of_bip350(text: str, script: str) -> None:
    hrp = text[:2].lower()
    assert script_from_address(hrp, text).hex() == script
    assert address(hrp, bytes.fromhex(script)) == text.lower()


@pytest.mark.parametrize(
    ("hrp", "text"),
    [
        ("bc", "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut"),
        ("bc", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd"),
        ("tb", "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf"),
        ("bc", "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL"),
        ("bc", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh"),
        ("tb", "tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47"),
        ("bc", "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4"),
        ("bc", "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R"),
        ("bc", "bc1pw5dgrnzv"),
        ("bc", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav"),
        ("tb", "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq"),
        ("bc", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf"),
        ("bc", "bc1gmk9yu"),
        ("bc", ""),
    ],
)
def test_the_invalid_addresses_of_bip350(hrp: str, text: str) -> None:
    with pytest.raises(InvalidInput):
        script_from_address(hrp, text)


@given(st.integers(0, 16), st.binary(min_size=2, max_size=40))
def test_what_is_encoded_is_decoded(version: int, program: bytes) -> None:
    if version == 0:
        program = program.ljust(32, b"\x00")[:20]
    text = encode("angor", version, program)
    assert decode("angor", text) == (version, program)
    assert decode("angor", text.upper()) == (version, program)


@given(st.text(max_size=100))
def test_any_text_is_an_address_or_a_clear_error(text: str) -> None:
    for candidate in (text, "bc1" + text):
        try:
            decode("bc", candidate)
        except InvalidInput:
            continue


@pytest.mark.parametrize("script", ["", "6a", "76a914", "5120ff", "0015" + "00" * 20, "6120" * 8])
def test_a_script_that_is_no_witness_program_has_no_address(script: str) -> None:
    assert address("bc", bytes.fromhex(script)) is None
