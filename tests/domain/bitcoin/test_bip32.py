"""Extended public keys: the chains of BIP32, and bad ones refused."""

import pytest

from raised.domain.bitcoin.bip32 import ExtendedKey, parse_xpub
from raised.errors import InvalidInput

# BIP32, test vector 2: m and m/0.
MASTER = (
    "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY"
    "47LJhkJ8UB7WEGuduB"
)
CHILD = (
    "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap"
    "6r1D3tgFxHmwMkQTPH"
)


def test_a_child_of_bip32() -> None:
    child = parse_xpub(MASTER).child(0)
    assert child == parse_xpub(CHILD)
    assert isinstance(child, ExtendedKey)


@pytest.mark.parametrize("index", [-1, 1 << 31, 1 << 40])
def test_a_public_key_has_no_hardened_children(index: int) -> None:
    with pytest.raises(InvalidInput):
        parse_xpub(MASTER).child(index)


@pytest.mark.parametrize(
    "text",
    [
        "",
        MASTER[:-1],
        MASTER[:-1] + "C",
        MASTER.replace("M", "0", 1),
        "1" * 111,
        "x" * 200,
        # BIP32, test vector 5: a private key's prefix behind an xpub version, and no point.
        "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Q5JXayek4PRsn35jii4veMimro1xefsM58PgBMrvdYre8QyULY",
        "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6N8ZMMXctdiCjxTNq964yKkwrkBJJwpzZS4HS2fxvyYUA4q2Xe4",
    ],
)
def test_a_bad_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_xpub(text)
