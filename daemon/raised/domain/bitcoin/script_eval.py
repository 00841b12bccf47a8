"""Runs the scripts of stage and penalty outputs: the opcodes they use, and no other.

Consensus would allow more, but an output of ours commits to scripts of these shapes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from raised.domain.bitcoin.hashes import sha256d
from raised.domain.bitcoin.script import (
    OP_1,
    OP_CHECKLOCKTIMEVERIFY,
    OP_CHECKSEQUENCEVERIFY,
    OP_CHECKSIG,
    OP_CHECKSIGVERIFY,
    OP_EQUAL,
    OP_EQUALVERIFY,
    OP_HASH256,
    OP_PUSHDATA4,
    parse_ops,
)
from raised.domain.bitcoin.tx import Tx

_OP_16: Final = OP_1 + 15
_FINAL_SEQUENCE: Final = 0xFFFFFFFF
_LOCKTIME_THRESHOLD: Final = 500_000_000  # below it lock times are heights
_SEQUENCE_DISABLED: Final = 1 << 31
_SEQUENCE_TIME: Final = 1 << 22
_SEQUENCE_VALUE: Final = 0xFFFF
_MAX_ELEMENT: Final = 520
_MAX_NUMBER: Final = 5  # lock times may have one byte more than other numbers

Signed = Callable[[bytes, bytes], bool]


class _Failed(Exception):
    """The script ends here, and the spend is not valid: an answer, not an error."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What a script may ask about the spend: its transaction, input, and signatures.

    `signed(signature, pubkey)` answers for keys of `key_size` bytes.
    """

    tx: Tx
    vin: int
    key_size: int
    signed: Signed


def run_script(script: bytes, stack: Sequence[bytes], checks: Checks) -> bool:
    """Whether the script ends with exactly one true element.

    Raises InvalidInput when the script cannot be parsed.
    """
    if any(len(element) > _MAX_ELEMENT for element in stack):
        return False
    elements = list(stack)
    try:
        for opcode, data in parse_ops(script):
            _step(opcode, data, elements, checks)
    except _Failed:
        return False
    return len(elements) == 1 and _is_true(elements[0])


def _step(opcode: int, data: bytes | None, stack: list[bytes], checks: Checks) -> None:
    if opcode <= OP_PUSHDATA4:
        stack.append(data or b"")
    elif OP_1 <= opcode <= _OP_16:
        stack.append(bytes([opcode - OP_1 + 1]))
    elif opcode in _OPERATIONS:
        _OPERATIONS[opcode](stack, checks)
    else:
        raise _Failed


def _hash256(stack: list[bytes], _checks: Checks) -> None:
    stack.append(sha256d(_pop(stack)))


def _equal(stack: list[bytes], _checks: Checks) -> None:
    stack.append(_truth(_pop(stack) == _pop(stack)))


def _checksig(stack: list[bytes], checks: Checks) -> None:
    stack.append(_truth(_is_signed(stack, checks)))


def _verify(stack: list[bytes], _checks: Checks) -> None:
    _require(_is_true(_pop(stack)))


def _equalverify(stack: list[bytes], checks: Checks) -> None:
    _equal(stack, checks)
    _verify(stack, checks)


def _checksigverify(stack: list[bytes], checks: Checks) -> None:
    _checksig(stack, checks)
    _verify(stack, checks)


def _is_signed(stack: list[bytes], checks: Checks) -> bool:
    pubkey, signature = _pop(stack), _pop(stack)
    _require(len(pubkey) == checks.key_size)
    if not signature:
        return False
    # A signature that is there must hold (BIP342; NULLFAIL for version 0).
    _require(checks.signed(signature, pubkey))
    return True


def _checklocktimeverify(stack: list[bytes], checks: Checks) -> None:
    """Source: BIP65."""
    asked, given = _top_number(stack), checks.tx.locktime
    same_kind = (asked < _LOCKTIME_THRESHOLD) == (given < _LOCKTIME_THRESHOLD)
    final = checks.tx.inputs[checks.vin].sequence == _FINAL_SEQUENCE
    _require(same_kind and asked <= given and not final)


def _checksequenceverify(stack: list[bytes], checks: Checks) -> None:
    """Source: BIP112."""
    asked, given = _top_number(stack), checks.tx.inputs[checks.vin].sequence
    if asked & _SEQUENCE_DISABLED:
        return
    _require(checks.tx.version >= 2 and not given & _SEQUENCE_DISABLED)
    same_kind = asked & _SEQUENCE_TIME == given & _SEQUENCE_TIME
    _require(same_kind and asked & _SEQUENCE_VALUE <= given & _SEQUENCE_VALUE)


def _top_number(stack: list[bytes]) -> int:
    _require(bool(stack) and len(stack[-1]) <= _MAX_NUMBER)
    data = stack[-1]
    if not data:
        return 0
    negative = bool(data[-1] & 0x80)
    _require(not negative)
    return int.from_bytes(data, "little")


def _pop(stack: list[bytes]) -> bytes:
    _require(bool(stack))
    return stack.pop()


def _require(held: bool) -> None:  # noqa: FBT001 - reads as a claim
    if not held:
        raise _Failed


def _is_true(element: bytes) -> bool:
    negative_zero = element[-1:] == b"\x80" and not any(element[:-1])
    return any(element) and not negative_zero


def _truth(value: bool) -> bytes:  # noqa: FBT001 - what a script pushes for it
    return b"\x01" if value else b""


_OPERATIONS: Final[dict[int, Callable[[list[bytes], Checks], None]]] = {
    OP_HASH256: _hash256,
    OP_EQUAL: _equal,
    OP_EQUALVERIFY: _equalverify,
    OP_CHECKSIG: _checksig,
    OP_CHECKSIGVERIFY: _checksigverify,
    OP_CHECKLOCKTIMEVERIFY: _checklocktimeverify,
    OP_CHECKSEQUENCEVERIFY: _checksequenceverify,
}
