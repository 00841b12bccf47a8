"""The OP_RETURN scripts that founders and investors write. Source: docs/angor.md 4, 7.2."""

from dataclasses import dataclass
from typing import Final

from raised.domain.bitcoin.script import OP_RETURN, push

KEY_TYPE: Final = 1
_DYNAMIC_EPOCH: Final = 1735689600  # 2025-01-01 UTC
_DAY: Final = 86400


@dataclass(frozen=True, slots=True)
class DynamicChoice:
    """What an investor of a Fund or Subscribe project picks; stage count 0 is the pattern's."""

    start_at: int
    pattern_id: int
    stage_count: int = 0

    def wire(self) -> bytes:
        """Its four bytes."""
        days = (self.start_at - _DYNAMIC_EPOCH) // _DAY
        return days.to_bytes(2, "little") + bytes([self.pattern_id, self.stage_count])


def op_return(*pushes: bytes) -> bytes:
    """An OP_RETURN with these pushes."""
    return bytes([OP_RETURN]) + b"".join(map(push, pushes))


def founding_mark(founder_key: bytes, event_id: str, key_type: int = KEY_TYPE) -> bytes:
    """Founder key, key type and the id of the project event."""
    return op_return(founder_key, key_type.to_bytes(2, "little"), bytes.fromhex(event_id))


def legacy_founding_mark(founder_key: bytes, nostr_pubkey: str) -> bytes:
    """The layout until December 2024."""
    return op_return(founder_key, bytes.fromhex(nostr_pubkey))


def investor_mark(
    investor_key: bytes, secret_hash: bytes | None = None, choice: DynamicChoice | None = None
) -> bytes:
    """Investor key, a seeder's secret hash, a dynamic choice."""
    pushes = [investor_key]
    if secret_hash is not None:
        pushes.append(secret_hash)
    if choice is not None:
        pushes.append(choice.wire())
    return op_return(*pushes)
