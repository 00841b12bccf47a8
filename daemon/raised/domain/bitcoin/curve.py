"""secp256k1 behind one small port: the only file that knows the binding.

Points are 33-byte compressed keys or 32-byte x-only keys, tweaks and secrets 32 bytes.
"""

from btclib_secp256k1 import dsa, keys, ssa, xonly

from raised.errors import InvalidInput


def pubkey_add(pubkey: bytes, tweak: bytes) -> bytes:
    """The compressed point pubkey + tweak*G. Raises InvalidInput for a bad point or tweak."""
    try:
        return keys.pubkey_tweak_add(pubkey, tweak)
    except ValueError as error:
        raise InvalidInput("not a public key, or a tweak that leads nowhere") from error


def xonly_add(internal: bytes, tweak: bytes) -> tuple[bytes, int]:
    """The x coordinate of lift_x(internal) + tweak*G and the parity of its y.

    Raises InvalidInput when `internal` is no x coordinate. Source: BIP341.
    """
    try:
        return xonly.tweak_add(internal, tweak)
    except ValueError as error:
        raise InvalidInput("not an x-only key, or a tweak that leads nowhere") from error


def schnorr_verify(signature: bytes, message: bytes, pubkey: bytes) -> bool:
    """Whether the 64-byte BIP340 signature over the 32-byte message is the x-only key's."""
    try:
        return ssa.verify(message, pubkey, signature)
    except ValueError:
        return False


def ecdsa_verify(signature: bytes, message: bytes, pubkey: bytes) -> bool:
    """Whether the DER signature over the 32-byte message is the compressed key's.

    A high S is as good as a low one: blocks may hold it, only relays refuse it.
    """
    try:
        return dsa.verify(message, pubkey, signature, normalize=True)
    except ValueError:
        return False


def is_point(pubkey: bytes) -> bool:
    """Whether these are the 33 bytes of a compressed point on the curve."""
    return len(pubkey) == 33 and pubkey[0] in (2, 3) and keys.pubkey_verify(pubkey)


def pubkey_from_secret(secret: bytes) -> bytes:
    """The compressed public key of a secret. For the simnet and tests: we hold no secrets."""
    return keys.pubkey_from_prvkey(secret)


def tweak_secret(secret: bytes, tweak: bytes) -> bytes:
    """The secret of xonly_add, negated first when its y is odd. For the simnet and tests."""
    tweaked = xonly.prvkey_tweak_add(secret, tweak)
    assert tweaked is not None, "only None with `into`"
    return tweaked


def schnorr_sign(message: bytes, secret: bytes) -> bytes:
    """A deterministic BIP340 signature, 64 bytes. For the simnet and tests."""
    return ssa.sign(message, secret, bytes(32), verify=False)


def ecdsa_sign(message: bytes, secret: bytes) -> bytes:
    """A deterministic DER signature with low S. For the simnet and tests."""
    return dsa.sign(message, secret, verify=False)
