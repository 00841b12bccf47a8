"""Identifiers as the server makes them, drawn from a seed so that a story repeats."""

from typing import Final

from raised.domain.bitcoin.hashes import sha256

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
OBJECT: Final = 22
PAYOUT: Final = 28
STORE: Final = 44
_KEY_CHARS: Final = 40


def base58_id(seed: str, length: int = OBJECT) -> str:
    """A base58 text of this length."""
    number = int.from_bytes(sha256(seed.encode()) + sha256(b"more " + seed.encode()), "big")
    chars: list[str] = []
    while len(chars) < length:
        number, digit = divmod(number, len(_ALPHABET))
        chars.append(_ALPHABET[digit])
    return "".join(chars)


def hex_id(seed: str, chars: int = _KEY_CHARS) -> str:
    """Lower-case hex: API keys (40), hashes (64)."""
    return sha256(seed.encode()).hex()[:chars]


class IdGenerator:
    """Hands out identifiers, each once."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def next(self, length: int = OBJECT) -> str:
        """The next one."""
        self._count += 1
        return base58_id(f"{self._seed} {self._count}", length)
