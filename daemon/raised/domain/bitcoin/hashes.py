"""The hash functions of Bitcoin and taproot."""

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash  # pyright: ignore[reportPrivateUsage] - the only name it has


def sha256(data: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()


def sha256d(data: bytes) -> bytes:
    """SHA-256 of SHA-256, 32 bytes in the order the function returns them (not reversed)."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def hash160(data: bytes) -> bytes:
    """RIPEMD-160 of SHA-256, 20 bytes. Needs an OpenSSL that has RIPEMD-160 (3.0.7+)."""
    return hashlib.new("ripemd160", hashlib.sha256(data).digest()).digest()


@lru_cache(maxsize=32)
def _midstate(tag: str) -> "_Hash":
    digest = sha256(tag.encode())
    return hashlib.sha256(digest + digest)


def tagged(tag: str, data: bytes) -> bytes:
    """The tagged hash SHA256(SHA256(tag) || SHA256(tag) || data). Source: BIP340."""
    state = _midstate(tag).copy()
    state.update(data)
    return state.digest()
