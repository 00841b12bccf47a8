"""What Angor writes behind OP_RETURN: who founded a project, and who invested in one.

Pushes count by what they push: a longer push opcode than needed is read as the clients read it.
Source: docs/angor.md 4, 7.2.
"""

from dataclasses import dataclass
from typing import Final

from raised.domain.bitcoin.curve import is_point
from raised.domain.bitcoin.script import OP_RETURN, parse_ops
from raised.errors import InvalidInput

_KEY: Final = 33
_HASH: Final = 32
_KEY_TYPE: Final = 2
_DYNAMIC: Final = 4
_INVESTOR_LAYOUTS: Final[frozenset[tuple[int, ...]]] = frozenset(
    {(_KEY,), (_KEY, _HASH), (_KEY, _DYNAMIC), (_KEY, _HASH, _DYNAMIC)}
)
_LONGEST: Final = 128  # of all layouts, with the longest push opcodes
DYNAMIC_EPOCH: Final = 1_735_689_600  # 2025-01-01T00:00:00Z
_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class FoundingMark:
    """A founder key and the id of the project's event."""

    founder_key: bytes
    key_type: int
    event_id: str


@dataclass(frozen=True, slots=True)
class LegacyFoundingMark:
    """The layout until late 2024: a founder key and the project's nostr key, no event."""

    founder_key: bytes
    nostr_pubkey: str


@dataclass(frozen=True, slots=True)
class DynamicInfo:
    """The calendar an investor picked: start (midnight UTC), pattern, and how many stages.

    A stage count of 0 means the pattern's own.
    """

    start_at: int
    pattern_id: int
    stage_count: int


@dataclass(frozen=True, slots=True)
class InvestorMark:
    """An investor key, a seeder's secret hash in wire order, and the calendar of dynamic stages."""

    investor_key: bytes
    secret_hash: bytes | None
    dynamic: DynamicInfo | None


def parse_founding_mark(script_pubkey: bytes) -> FoundingMark | LegacyFoundingMark | None:
    """What a founding transaction publishes, or None when it is no such script.

    The legacy layout is also that of a seeder's investment: whether the key derives the identifier
    that is paid tells them apart.
    """
    pushes = _pushes(script_pubkey)
    if pushes is None or not pushes or not is_point(pushes[0]):
        return None
    match [len(push) for push in pushes]:
        case [_, 2, 32]:  # _KEY_TYPE, _HASH
            key_type = int.from_bytes(pushes[1], "little", signed=True)
            return FoundingMark(pushes[0], key_type, pushes[2].hex())
        case [_, 32]:
            return LegacyFoundingMark(pushes[0], pushes[1].hex())
        case _:
            return None


def parse_investor_mark(script_pubkey: bytes) -> InvestorMark:
    """What an investment publishes.

    Raises InvalidInput whose only argument is the reason code: `bad_op_return` for another layout,
    `bad_investor_key` when the key is no point.
    """
    pushes = _pushes(script_pubkey) or []
    sizes = tuple(map(len, pushes))
    if sizes not in _INVESTOR_LAYOUTS:
        raise InvalidInput("bad_op_return")
    if not is_point(pushes[0]):
        raise InvalidInput("bad_investor_key")
    secret_hash = pushes[1] if sizes[1:2] == (_HASH,) else None
    dynamic = _dynamic(pushes[-1]) if sizes[-1:] == (_DYNAMIC,) else None
    return InvestorMark(pushes[0], secret_hash, dynamic)


def begins_with_key(script_pubkey: bytes) -> bool:
    """Whether it is an OP_RETURN whose first push has the size of a key, whatever follows."""
    if script_pubkey[:1] != bytes([OP_RETURN]):
        return False
    # Only the first operation is looked at: bytes behind it need not be a script.
    for end in (2 + _KEY, 3 + _KEY, 4 + _KEY, 6 + _KEY):
        try:
            ops = parse_ops(script_pubkey[1:end])
        except InvalidInput:
            continue
        if len(ops) == 1 and ops[0][1] is not None and len(ops[0][1]) == _KEY:
            return True
    return False


def _pushes(script_pubkey: bytes) -> list[bytes] | None:
    """What is pushed behind OP_RETURN; None when anything but pushes is there."""
    if script_pubkey[:1] != bytes([OP_RETURN]) or len(script_pubkey) > _LONGEST:
        return None
    try:
        ops = parse_ops(script_pubkey[1:])
    except InvalidInput:
        return None
    pushes = [data for _, data in ops if data is not None]
    return pushes if len(pushes) == len(ops) else None


def _dynamic(data: bytes) -> DynamicInfo:
    days = int.from_bytes(data[:2], "little")
    return DynamicInfo(DYNAMIC_EPOCH + days * _DAY_SECONDS, data[2], data[3])
