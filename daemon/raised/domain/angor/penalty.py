"""The penalty output of a recovery: the investor's coins behind a relative time lock.

Source: docs/angor.md 10.3, 10.4; BIP68 and BIP112.
"""

from typing import Final

from raised.domain.bitcoin.script import (
    OP_CHECKSEQUENCEVERIFY,
    OP_CHECKSIGVERIFY,
    number,
    p2wsh,
    push,
)
from raised.errors import InvalidInput

SECONDS_IN_UNIT: Final = 512
MAX_PENALTY_DAYS: Final = 388  # the last whole day that fits into BIP68's 16 bits
_TIME_FLAG: Final = 0x400000
_DAY_SECONDS: Final = 86_400


def penalty_units(days: int) -> int:
    """The lock in units of 512 seconds. Raises InvalidInput for days that no lock can hold."""
    if not 0 <= days <= MAX_PENALTY_DAYS:
        raise InvalidInput(f"a penalty lasts 0 to {MAX_PENALTY_DAYS} days")
    return days * _DAY_SECONDS // SECONDS_IN_UNIT


def penalty_sequence(days: int) -> int:
    """The relative lock as a sequence number. Raises InvalidInput as `penalty_units`."""
    return _TIME_FLAG | penalty_units(days)


def penalty_witness_script(investor_key: bytes, days: int) -> bytes:
    """The script behind a penalty output: the investor's key as it is, not the tweaked one."""
    lock = number(penalty_sequence(days)) + bytes([OP_CHECKSEQUENCEVERIFY])
    return push(investor_key) + bytes([OP_CHECKSIGVERIFY]) + lock


def penalty_script(investor_key: bytes, days: int) -> bytes:
    """The script_pubkey of an investor's penalty output. Raises InvalidInput as `penalty_units`."""
    return p2wsh(penalty_witness_script(investor_key, days))


def matures_at(mtp_before: int, days: int) -> int:
    """When a penalty output can be spent, as a median time past.

    `mtp_before` is the median time past of the block before the recovery's. A transaction in the
    next block may spend it once the tip's median time past has reached the answer. Source: BIP68.
    """
    return mtp_before + SECONDS_IN_UNIT * penalty_units(days)
