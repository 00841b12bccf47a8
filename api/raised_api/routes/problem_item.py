"""The item of a problem, which all lists of problems show."""

from typing import Literal

import msgspec

from raised.db.items.instant import Time

Severity = Literal["warning", "degraded", "down"]


class Trouble(msgspec.Struct, frozen=True):
    source: str
    code: str
    subject: str | None
    detail: str
    since_at: Time | None
    last_at: Time | None
    tries: int | None
    severity: Severity


def problem_item(  # noqa: PLR0913 - the fields of the item
    source: str,
    code: str,
    detail: str,
    since_at: Time | None,
    *,
    subject: str | None = None,
    last_at: Time | None = None,
    tries: int | None = None,
    severity: Severity = "degraded",
) -> Trouble:
    """`subject` names the item concerned, null for the whole source. `severity`: warning, degraded
    or down. `tries`: how often it was met, null where that is not counted.
    """
    return Trouble(source, code, subject, detail, since_at, last_at, tries, severity)
