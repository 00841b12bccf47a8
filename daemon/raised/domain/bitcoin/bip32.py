"""BIP32, the public half: extended public keys and their non-hardened children."""

import hmac
from dataclasses import dataclass
from typing import Final

from raised.domain.bitcoin.curve import is_point, pubkey_add
from raised.domain.bitcoin.hashes import sha256d
from raised.errors import InvalidInput

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_HARDENED: Final = 1 << 31
_SIZE: Final = 78


@dataclass(frozen=True, slots=True)
class ExtendedKey:
    """A compressed public key and its chain code."""

    pubkey: bytes
    chain_code: bytes

    def child(self, index: int) -> "ExtendedKey":
        """CKDpub: the child with this non-hardened index. Raises InvalidInput."""
        if not 0 <= index < _HARDENED:
            raise InvalidInput("a public key has no hardened children")
        digest = hmac.digest(self.chain_code, self.pubkey + index.to_bytes(4, "big"), "sha512")
        return ExtendedKey(pubkey_add(self.pubkey, digest[:32]), digest[32:])


def parse_xpub(text: str) -> ExtendedKey:
    """The key in an xpub or tpub. Raises InvalidInput for a bad checksum, length or point."""
    payload = _base58check(text)
    if len(payload) != _SIZE:
        raise InvalidInput("an extended key has 78 bytes")
    if not is_point(payload[45:]):
        raise InvalidInput("not an extended public key")
    return ExtendedKey(payload[45:], payload[13:45])


def _base58check(text: str) -> bytes:
    if not text or len(text) > 120 or any(char not in _ALPHABET for char in text):
        raise InvalidInput("not base58")
    value = 0
    for char in text:
        value = value * 58 + _ALPHABET.index(char)
    leading = len(text) - len(text.lstrip("1"))
    data = bytes(leading) + value.to_bytes((value.bit_length() + 7) // 8, "big")
    if len(data) < 4 or sha256d(data[:-4])[:4] != data[-4:]:
        raise InvalidInput("bad checksum")
    return data[:-4]
