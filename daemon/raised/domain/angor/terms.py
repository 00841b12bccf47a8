"""A project's terms: the fields of its event on which money depends.

Parsed as leniently as the clients do, for the scripts decide which coins are bound to the terms;
what no client could read or compute with is refused. Source: docs/angor.md 5.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Final, Literal

from raised.domain.angor.amounts import net_decimal
from raised.domain.angor.identifier import Rule, derivation_rule, program_of
from raised.domain.angor.network import Network, may_belong_to
from raised.domain.angor.release_dates import MAX_TIME, Frequency, PayoutDayType
from raised.domain.bitcoin.curve import is_point
from raised.domain.event import Event
from raised.domain.json_object import JsonObject, hex_bytes, parse_object
from raised.errors import InvalidInput

_UNSET_TIME: Final = -62_135_683_200  # a day before the year 1: the unset date of any time zone
_INT64: Final = 1 << 63
_SATS_PER_BTC: Final = 100_000_000
_MAX_SATS: Final = 21_000_000 * _SATS_PER_BTC
# Targets were decimal BTC before this day (2025-02-06), with no mark to tell (docs/angor.md 5.3).
_TARGET_IN_SATS_SINCE: Final = 1_738_800_000
_MAX_BTC: Final = 21_000
# Our limits against hostile terms: no transaction has that many outputs, no byte that many values.
_MAX_STAGES: Final = 1_000
_MAX_PATTERNS: Final = 1_000
_MAX_SECRETS: Final = 10_000


class ProjectType(IntEnum):
    """Invest has one calendar for all; in the other types each investor picks a pattern."""

    INVEST = 0
    FUND = 1
    SUBSCRIBE = 2


@dataclass(frozen=True, slots=True)
class StageTerm:
    """A share of the money and when the founder may claim it."""

    percent: Decimal
    release_at: int


@dataclass(frozen=True, slots=True)
class Seeders:
    """`threshold` of these secrets let others leave freely; hashes in script byte order."""

    threshold: int
    secret_hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A dynamic stage pattern. Frequency and type of day are None for numbers no client knows."""

    pattern_id: int
    name: str
    frequency: Frequency | None
    stage_count: int
    payout_day_type: PayoutDayType | None
    payout_day: int
    amount_sats: int | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What binds the money of a project. Dates before 1970 are not set, so None."""

    version: int
    type: ProjectType
    founder_key: bytes
    founder_recovery_key: bytes
    project_id: str
    nostr_pubkey: str
    network_name: str
    start_at: int | None
    end_at: int | None
    expiry_at: int | None
    penalty_days: int
    target_sats: int | None
    penalty_threshold_sats: int | None
    stages: tuple[StageTerm, ...]
    seeders: Seeders
    patterns: tuple[Pattern, ...]


RejectionReason = Literal["bad_terms", "wrong_network", "not_author", "not_founder_key"]


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event that announces a project, and the rule by which its identifier is derived."""

    event: Event
    terms: Terms
    rule: Rule


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """An event that announces no project of this network, and why."""

    event: Event
    reason: RejectionReason


def check_announcement(event: Event, network: Network) -> Announcement | RejectedEvent:
    """Whether the event announces a project here. Its id and signature must have been checked."""
    try:
        terms = parse_terms(event.content, event.created_at)
    except InvalidInput:
        return RejectedEvent(event, "bad_terms")
    if not may_belong_to(network, terms.network_name):
        return RejectedEvent(event, "wrong_network")
    if terms.nostr_pubkey != event.pubkey:
        return RejectedEvent(event, "not_author")
    rule = derivation_rule(terms.founder_key, terms.project_id, network, terms.version)
    if rule is None:
        return RejectedEvent(event, "not_founder_key")
    return Announcement(event, terms, rule)


def parse_terms(content: str, created_at: int) -> Terms:
    """The terms in the content of a project event of that date.

    Raises InvalidInput when it is not JSON, lacks what scripts are built of, holds keys that are no
    points, or numbers out of all bounds.
    """
    fields = parse_object(content)
    founder_key, recovery_key = _point(fields, "founderKey"), _point(fields, "founderRecoveryKey")
    project_id = fields.text("projectIdentifier")
    program_of(project_id)
    return Terms(
        version=fields.int32("version", 1),
        type=_project_type(fields),
        founder_key=founder_key,
        founder_recovery_key=recovery_key,
        project_id=project_id,
        nostr_pubkey=fields.hex_bytes("nostrPubKey", 32).hex(),
        network_name=fields.text("networkName"),
        start_at=_date(fields, "startDate"),
        end_at=_date(fields, "endDate"),
        expiry_at=_date(fields, "expiryDate"),
        penalty_days=fields.int32("penaltyDays", 0),
        target_sats=_target(fields, created_at),
        penalty_threshold_sats=fields.optional_integer("penaltyThreshold", -_INT64, _INT64 - 1),
        stages=tuple(map(_stage, fields.objects("stages", _MAX_STAGES))),
        seeders=_seeders(fields.inner("projectSeeders")),
        patterns=tuple(map(_pattern, fields.objects("dynamicStagePatterns", _MAX_PATTERNS))),
    )


def _point(fields: JsonObject, name: str) -> bytes:
    key = fields.hex_bytes(name, 33)
    if not is_point(key):
        raise InvalidInput(f"{name} is no point")
    return key


def _project_type(fields: JsonObject) -> ProjectType:
    return ProjectType(fields.optional_integer("projectType", 0, len(ProjectType) - 1) or 0)


def _date(fields: JsonObject, name: str) -> int | None:
    value = fields.optional_integer(name, _UNSET_TIME, MAX_TIME)
    return value if value is not None and value >= 0 else None


def _target(fields: JsonObject, created_at: int) -> int | None:
    """The target in sats. It enters no script, so what makes no sense is no target."""
    target = fields.decimal("targetAmount")
    if target is None or target <= 0 or target > _MAX_SATS:
        return None
    in_btc = target < _MAX_BTC and created_at < _TARGET_IN_SATS_SINCE
    if in_btc or target != target.to_integral_value():
        target *= _SATS_PER_BTC
    # Less than a satoshi is no target either.
    return int(target) or None if target <= _MAX_SATS else None


def _stage(fields: JsonObject) -> StageTerm:
    percent = fields.decimal("amountToRelease")
    if percent is None or not 0 <= percent <= 100:
        raise InvalidInput("amountToRelease is not a percentage")
    return StageTerm(net_decimal(percent), fields.integer("releaseDate", 0, MAX_TIME))


def _seeders(fields: JsonObject | None) -> Seeders:
    if fields is None:
        return Seeders(0, ())
    # Written as numbers are displayed, reversed; scripts hold them as the hash function gives them.
    hashes = tuple(
        hex_bytes(value, 32, "an entry of secretHashes")[::-1]
        for value in fields.values("secretHashes", _MAX_SECRETS)
    )
    return Seeders(fields.int32("threshold", 0), hashes)


def _pattern(fields: JsonObject) -> Pattern:
    frequency, day_type = fields.int32("frequency", 0), fields.int32("payoutDayType", 0)
    return Pattern(
        pattern_id=fields.optional_integer("patternId", 0, 255) or 0,
        name=fields.text("name"),
        frequency=Frequency(frequency) if frequency in set(Frequency) else None,
        stage_count=fields.optional_integer("stageCount", 0, _MAX_STAGES) or 0,
        payout_day_type=PayoutDayType(day_type) if day_type in set(PayoutDayType) else None,
        payout_day=fields.int32("payoutDay", 0),
        amount_sats=fields.optional_integer("amount", 0, _INT64 - 1),
    )
