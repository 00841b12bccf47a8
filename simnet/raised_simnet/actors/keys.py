"""The actors' keys, all derived from a seed and a label: a story repeats to the last byte."""

from dataclasses import dataclass
from functools import cached_property

from raised.domain.bitcoin.curve import pubkey_from_secret, tweak_secret
from raised.domain.bitcoin.hashes import hash160, sha256, tagged
from raised.domain.bitcoin.script import p2wpkh


@dataclass(frozen=True)
class Key:
    """A secret and what follows from it. Test money only: the secret is public knowledge."""

    secret: bytes

    @cached_property
    def public(self) -> bytes:
        """The compressed public key, 33 bytes."""
        return pubkey_from_secret(self.secret)

    @property
    def xonly(self) -> bytes:
        """The x coordinate, 32 bytes."""
        return self.public[1:]

    @property
    def leaf_secret(self) -> bytes:
        """The secret that signs for this key inside a stage leaf. Source: docs/angor.md 8.1."""
        return tweak_secret(self.secret, tagged("TapTweak", self.xonly))

    @property
    def address_script(self) -> bytes:
        """The script_pubkey of this key's ordinary address (P2WPKH)."""
        return p2wpkh(hash160(self.public))


def key_of(seed: int, label: str) -> Key:
    """The key that carries this label in the story with this seed."""
    return Key(sha256(f"raised simnet {seed} {label}".encode()))


def secret_of(seed: int, label: str) -> bytes:
    """A seeder's 32-byte secret."""
    return sha256(f"raised simnet {seed} secret {label}".encode())
