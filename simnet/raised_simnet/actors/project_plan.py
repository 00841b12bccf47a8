"""A founder's plan of a project, and the JSON that announces it. Source: docs/angor.md 5.2, 9.1."""

import json
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Final

from raised_simnet.actors.amount_split import equal_percents
from raised_simnet.actors.identifiers import identifier_of, script_of
from raised_simnet.actors.op_returns import DynamicChoice
from raised_simnet.actors.release_dates import Pattern, payout_times

_DAY: Final = 86400
_UNSET: Final = -62135596800


class ProjectType(IntEnum):
    """What a project promises its investors."""

    INVEST = 0
    FUND = 1
    SUBSCRIBE = 2


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A share of the money and its date (type Invest)."""

    percent: Decimal
    release_at: int


@dataclass(frozen=True, slots=True)
class ProjectPlan:
    """The terms of a project. `secret_hashes` are in wire order."""

    kind: ProjectType
    founder_key: bytes
    recovery_key: bytes
    nostr_pubkey: str
    start_at: int
    expiry_at: int
    penalty_days: int
    end_at: int | None = None
    target: int = 0
    threshold: int | None = None
    stages: tuple[PlannedStage, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    secrets_needed: int = 0
    secret_hashes: tuple[bytes, ...] = ()
    network_name: str = "Regtest"
    claimed_identifier: str | None = None

    @property
    def identifier(self) -> str:
        """The project identifier (a cheat may claim another one)."""
        return self.claimed_identifier or identifier_of(self.founder_key)

    @property
    def address_script(self) -> bytes:
        """What the project's address is."""
        return script_of(self.identifier)

    def expiry_for(self, gross: int) -> int:
        """The end-of-project date that an investment of this size gets."""
        midnight = self.start_at // _DAY * _DAY
        match self.kind:
            case ProjectType.INVEST:
                return self.expiry_at
            case ProjectType.SUBSCRIBE:
                return self.start_at
            case ProjectType.FUND:
                above = self.threshold is None or gross > self.threshold
                return self.expiry_at if above else midnight

    def pattern(self, pattern_id: int) -> Pattern:
        """The pattern with this id."""
        return next(p for p in self.patterns if p.pattern_id == pattern_id)

    def releases_for(self, choice: DynamicChoice | None) -> tuple[int, ...]:
        """The release dates of an investment, stage by stage."""
        if choice is None:
            return tuple(stage.release_at for stage in self.stages)
        pattern = self.pattern(choice.pattern_id)
        return payout_times(choice.start_at, pattern, choice.stage_count or pattern.stage_count)

    def percents_for(self, choice: DynamicChoice | None) -> tuple[Decimal, ...]:
        """The shares of an investment, stage by stage."""
        if choice is None:
            return tuple(stage.percent for stage in self.stages)
        return equal_percents(len(self.releases_for(choice)))

    def content(self) -> str:
        """The announcement as the clients serialise it."""
        fields: dict[str, object] = {
            "version": 2,
            "projectType": int(self.kind),
            "founderKey": self.founder_key.hex(),
            "founderRecoveryKey": self.recovery_key.hex(),
            "projectIdentifier": self.identifier,
            "nostrPubKey": self.nostr_pubkey,
            "networkName": self.network_name,
            "startDate": self.start_at,
            "endDate": _UNSET if self.end_at is None else self.end_at,
            "penaltyDays": self.penalty_days,
            "expiryDate": self.expiry_at,
            "targetAmount": self.target,
            "penaltyThreshold": self.threshold,
            "stages": [_stage_json(stage) for stage in self.stages],
            "projectSeeders": {
                "threshold": self.secrets_needed,
                "secretHashes": [digest[::-1].hex() for digest in self.secret_hashes],
            },
            "dynamicStagePatterns": [_pattern_json(pattern) for pattern in self.patterns],
            "allowDynamicStages": self.kind != ProjectType.INVEST,
            "requiresInvestmentWindow": self.kind == ProjectType.INVEST,
            "hasPenalty": self.kind != ProjectType.SUBSCRIBE,
            "requiresTargetAmount": self.kind == ProjectType.INVEST,
        }
        return _compact({key: value for key, value in fields.items() if value is not None})


def _stage_json(stage: PlannedStage) -> dict[str, object]:
    # json knows no Decimal: the zero bytes mark a number that keeps its own decimal places.
    return {"amountToRelease": f"\x00{stage.percent}\x00", "releaseDate": stage.release_at}


def _compact(fields: dict[str, object]) -> str:
    text = json.dumps(fields, separators=(",", ":"))
    return text.replace('"\\u0000', "").replace('\\u0000"', "")


def _pattern_json(pattern: Pattern) -> dict[str, object]:
    fields: dict[str, object] = {
        "patternId": pattern.pattern_id,
        "name": pattern.name,
        "description": pattern.name,
        "frequency": int(pattern.frequency),
        "stageCount": pattern.stage_count,
        "payoutDayType": int(pattern.payout),
        "payoutDay": pattern.day,
    }
    if pattern.amount is not None:
        fields["amount"] = pattern.amount
    fields["hasFixedAmount"] = pattern.amount is not None
    fields["displayDescription"] = f"{pattern.stage_count} payments"
    return fields
