"""What a store's health says of many problems has an end."""

from raised.btcpay.health import StoreHealth
from raised.domain.observation import SourceHealth
from raised.net.source_health import MOST_REPORTED, HostStats


def health_of_many(*details: str) -> SourceHealth:
    """The report of a store with a problem for each of these sentences, and down at last."""
    health = StoreHealth("shop", HostStats, lambda: 7, expects_events=False)
    for number, detail in enumerate(details):
        health.begin_problem("busy", detail, subject=f"inv{number}")
        health.begin_problem("odd", detail, "ok", subject=f"inv{number}")
    health.begin_problem("timeout", "gave no answer", "down")
    report = health.due_report(moved=True)
    assert report is not None
    return report


def test_a_sentence_that_many_invoices_share_is_reported_once() -> None:
    facts = health_of_many(*["cannot be read"] * 5_000).facts
    assert facts["troubles"] == ("gave no answer", "cannot be read")
    assert facts["warnings"] == ("cannot be read",)


def test_not_every_one_of_many_sentences_is_reported() -> None:
    facts = health_of_many(*(f"says {number}" for number in range(5_000))).facts
    troubles, warnings = facts["troubles"], facts["warnings"]
    assert isinstance(troubles, tuple)
    assert isinstance(warnings, tuple)
    assert len(troubles) == len(warnings) == MOST_REPORTED
    assert troubles[0] == "gave no answer"
