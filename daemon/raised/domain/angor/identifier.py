"""Project identifiers: derived from the founder key under the network's root key.

An identifier is a 20-byte program in disguise: the same program is the project's address. Nothing
in it tells by which rule it was derived. Source: docs/angor.md 3.
"""

from functools import lru_cache
from typing import Final, Literal

from raised.domain.angor.network import Network
from raised.domain.bitcoin.bech32 import decode, encode
from raised.domain.bitcoin.bip32 import ExtendedKey
from raised.domain.bitcoin.hashes import hash160, sha256d
from raised.domain.bitcoin.script import p2wpkh
from raised.errors import InvalidInput

Rule = Literal["v2", "v3", "legacy"]
RULES: Final[tuple[Rule, ...]] = ("v2", "legacy", "v3")

_PREFIX: Final = "angor"
_INDEX_MASK: Final = 0x7FFFFFFF
_KEY_SIZE: Final = 33
_PROGRAM_SIZE: Final = 20
_DORMANT_SINCE: Final = 3


def program_of(project_id: str) -> bytes:
    """The 20 bytes that an identifier stands for.

    Raises InvalidInput for another prefix, a bad or bech32m checksum, another witness version or
    length, mixed case.
    """
    version, program = decode(_PREFIX, project_id)
    if version != 0 or len(program) != _PROGRAM_SIZE:
        raise InvalidInput("a project identifier is a version 0 program of 20 bytes")
    return program


@lru_cache(maxsize=16_384)
def project_script(project_id: str) -> bytes:
    """The script_pubkey of the project's address. Raises InvalidInput."""
    return p2wpkh(program_of(project_id))


def identifier(founder_key: bytes, network: Network, rule: Rule) -> str:
    """The identifier of the project of this founder key (33 bytes, compressed), by one rule."""
    return _identifier(founder_key, network.root, rule)


@lru_cache(maxsize=65_536)
def _identifier(founder_key: bytes, root: ExtendedKey, rule: Rule) -> str:
    if len(founder_key) != _KEY_SIZE:
        raise InvalidInput("a founder key has 33 bytes")
    key = root
    for index in _indices(founder_key, rule):
        key = key.child(index)
    return encode(_PREFIX, 0, hash160(key.pubkey))


def _indices(founder_key: bytes, rule: Rule) -> tuple[int, ...]:
    low64 = int.from_bytes(sha256d(founder_key)[:8], "little")
    if rule == "v3":
        return (low64 & _INDEX_MASK, low64 >> 31 & _INDEX_MASK)
    return ((low64 & 0xFFFFFFFF) // 2,) if rule == "legacy" else (low64 & _INDEX_MASK,)


def derivation_rule(
    founder_key: bytes, project_id: str, network: Network, version: int
) -> Rule | None:
    """The rule by which the identifier derives from the key, or None.

    `version` is what the event says of itself: only those that claim the dormant version 3 are
    tried by its rule, and first. Source: docs/angor.md 3.2, 3.3.
    """
    rules: tuple[Rule, ...] = ("v2", "legacy")
    if version >= _DORMANT_SINCE:
        rules = ("v3", *rules)
    for rule in rules:
        if identifier(founder_key, network, rule) == project_id:
            return rule
    return None
