"""An investor of a project as the API shows it: a key, known in this project alone."""

import msgspec

from raised.db.items.instant import Time


class Investor(msgspec.Struct, frozen=True):
    investor_key: str
    investments: int
    raised_sats: int
    returned_sats: int
    first_at: Time | None
    last_at: Time | None
