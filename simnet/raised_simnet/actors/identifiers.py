"""Project identifiers as a founder derives them. Source: docs/angor.md 3."""

from functools import cache
from typing import Final, Literal

from raised.domain.bitcoin.bech32 import decode, encode
from raised.domain.bitcoin.bip32 import ExtendedKey, parse_xpub
from raised.domain.bitcoin.hashes import hash160, sha256d
from raised.domain.bitcoin.script import p2wpkh

Rule = Literal["v2", "v3", "legacy"]

TEST_ROOT: Final = (
    "tpubD8JfN1evVWPoJmLgVg6Usq2HEW9tLqm6CyECAADnH5tyQosrL6NuhpL9X1cQC"
    "bSmndVrgLSGGdbRqLfUbE6cRqUbrHtDJgSyQEY2Uu7WwTL"
)
MAIN_ROOT: Final = (
    "xpub661MyMwAqRbcGNxKe9aFkPisf3h32gHLJm8f9XAqx8FB1Nk6KngCY8hkhGqxF"
    "r2Gyb6yfUaQVbodxLoC1f3K5HU9LM1CXE59gkEXSGCCZ1B"
)


def identifier_of(founder_key: bytes, rule: Rule = "v2", root: str = TEST_ROOT) -> str:
    """The `angor1q…` of a founder key; on regtest the test root applies."""
    key = _root(root)
    for index in _indices(founder_key, rule):
        key = key.child(index)
    return encode("angor", 0, hash160(key.pubkey))


def script_of(identifier: str) -> bytes:
    """What pays the project's address, on every network the same."""
    _, program = decode("angor", identifier)
    return p2wpkh(program)


def _indices(founder_key: bytes, rule: Rule) -> tuple[int, ...]:
    low = int.from_bytes(sha256d(founder_key)[:8], "little")
    match rule:
        case "v2":
            return (low % 2**31,)
        case "v3":
            return (low % 2**31, low // 2**31 % 2**31)
        case "legacy":
            return (low % 2**32 // 2,)


@cache
def _root(text: str) -> ExtendedKey:
    return parse_xpub(text)
