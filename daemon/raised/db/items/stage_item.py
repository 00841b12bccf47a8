"""A stage of a project as the API shows it: what its release date holds, and what became of it."""

import msgspec

from raised.db.items.instant import Time


class Stage(msgspec.Struct, frozen=True):
    index: int | None
    release_at: Time | None
    share_percent: float | None
    outputs: int
    value_sats: int
    locked_sats: int
    claimed_sats: int
    recovery_sats: int
    unfunded_release_sats: int
    penalty_free_recovery_sats: int
    end_of_project_sats: int
    unknown_sats: int
