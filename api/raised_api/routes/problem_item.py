"""The item of a problem, which all lists of problems show."""

from raised.db.items.items import Item


def problem_item(  # noqa: PLR0913 - the fields of the item
    source: object,
    code: object,
    detail: object,
    since_at: object,
    *,
    subject: str | None = None,
    last_at: object = None,
    tries: int | None = None,
    severity: str = "degraded",
) -> Item:
    """`subject` names the item concerned, null for the whole source. `severity`: warning, degraded
    or down. `tries`: how often it was met, null where that is not counted.
    """
    return {
        "source": source,
        "code": code,
        "subject": subject,
        "detail": detail,
        "since_at": since_at,
        "last_at": last_at,
        "tries": tries,
        "severity": severity,
    }
