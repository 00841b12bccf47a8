"""A project's terms as the API shows them: what the committed event promises."""

import msgspec

from raised.db.items.instant import Time, instant
from raised.domain.angor import terms as angor


class StageTerm(msgspec.Struct, frozen=True):
    percent: float
    release_at: Time | None


class Pattern(msgspec.Struct, frozen=True):
    pattern_id: int
    name: str | None
    frequency: str | None
    stage_count: int
    amount_sats: int | None


class Seeders(msgspec.Struct, frozen=True):
    threshold: int
    secret_hashes: list[str]


class Terms(msgspec.Struct, frozen=True):
    """What the committed event promises."""

    version: int
    type: str
    founder_key: str
    founder_recovery_key: str
    nostr_pubkey: str
    network_name: str
    start_at: Time | None
    end_at: Time | None
    expiry_at: Time | None
    penalty_days: int
    penalty_threshold_sats: int | None
    target_sats: int | None
    stages: list[StageTerm]
    patterns: list[Pattern]
    seeders: Seeders


def terms_item(terms: angor.Terms) -> Terms:
    """The terms of a parsed event."""
    return Terms(
        version=terms.version,
        type=terms.type.name.lower(),
        founder_key=terms.founder_key.hex(),
        founder_recovery_key=terms.founder_recovery_key.hex(),
        nostr_pubkey=terms.nostr_pubkey,
        network_name=terms.network_name,
        start_at=instant(terms.start_at),
        end_at=instant(terms.end_at),
        expiry_at=instant(terms.expiry_at),
        penalty_days=terms.penalty_days,
        penalty_threshold_sats=terms.penalty_threshold_sats,
        target_sats=terms.target_sats,
        stages=[
            StageTerm(float(stage.percent), instant(stage.release_at)) for stage in terms.stages
        ],
        patterns=[_pattern(pattern) for pattern in terms.patterns],
        seeders=_seeders(terms),
    )


def _pattern(pattern: angor.Pattern) -> Pattern:
    return Pattern(
        pattern_id=pattern.pattern_id,
        name=pattern.name,
        frequency=None if pattern.frequency is None else pattern.frequency.name.lower(),
        stage_count=pattern.stage_count,
        amount_sats=pattern.amount_sats,
    )


def _seeders(terms: angor.Terms) -> Seeders:
    hashes = [secret_hash.hex() for secret_hash in terms.seeders.secret_hashes]
    return Seeders(terms.seeders.threshold, hashes)
