"""What an answer changes: the invoice, its payments, and the changes that are announced."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from raised.domain.btcpay.invoice import Invoice, InvoiceStatus, Payment, PaymentStatus
from raised.domain.btcpay.invoice_snapshot import (
    EventTimes,
    InvoiceSnapshot,
    PaymentKey,
    PaymentSnapshot,
    bitcoin_references,
    expected_events,
    invoice_changes,
    invoice_snapshot,
    key_of,
    payment_snapshots,
    subject_of,
    with_settled_at,
)
from raised.domain.campaign import Membership

NOW = 1_800_000_000
SHOP = Membership("shop")


def payment(
    name: str, status: PaymentStatus = "Settled", value_msats: int | None = 1000
) -> Payment:
    return Payment("BTC-LN", "BTC", name, "0.00000001", value_msats, status, NOW - 100, "1")


def invoice(*payments: Payment, status: InvoiceStatus = "Settled", unread: int = 0) -> Invoice:
    return Invoice(
        id="one",
        status=status,
        additional_status="None",
        type="Standard",
        currency="BTC",
        amount="1",
        paid_amount=None,
        created_at=NOW - 500,
        expires_at=NOW,
        monitored_until=NOW,
        archived=False,
        payments=payments,
        unreadable_payments=unread,
    )


def snapshot(
    status: InvoiceStatus = "Settled", old: InvoiceSnapshot | None = None
) -> InvoiceSnapshot:
    return invoice_snapshot(invoice(status=status), "shop", frozenset(), SHOP, old)


def paid(
    *payments: Payment,
    old: Mapping[PaymentKey, PaymentSnapshot] | None = None,
    events: EventTimes = EventTimes(),  # noqa: B008 - it is frozen
    unread: int = 0,
) -> dict[PaymentKey, PaymentSnapshot]:
    return payment_snapshots(invoice(*payments, unread=unread), old or {}, events, NOW)


def statuses(payments: Mapping[PaymentKey, PaymentSnapshot]) -> dict[str, str]:
    return {paid.id: paid.status for paid in payments.values()}


def test_an_event_says_when_an_invoice_settled_and_our_clock_about_when() -> None:
    about = with_settled_at(snapshot(), EventTimes(), NOW)
    assert (about.settled_at, about.settled_at_approximate) == (NOW, True)
    later = snapshot(old=about)
    assert with_settled_at(later, EventTimes(), NOW + 50) == about
    exact = with_settled_at(later, EventTimes(NOW - 9, NOW + 40), NOW + 50)
    assert (exact.settled_at, exact.settled_at_approximate) == (NOW - 9, False)
    assert with_settled_at(snapshot(old=exact), EventTimes(NOW + 7, NOW + 55), NOW + 60) == exact


def test_an_event_of_the_first_time_does_not_say_when_an_invoice_settled_again() -> None:
    stale = EventTimes(NOW - 9000, NOW - 8999)
    again = with_settled_at(snapshot(), stale, NOW, open_at=NOW - 5000)
    assert (again.settled_at, again.settled_at_approximate) == (NOW, True)
    assert with_settled_at(snapshot(old=again), stale, NOW + 50) == again
    # the second event; also one that the server sent a little before it showed what it tells
    for sent_at in (NOW - 10, NOW - 5100):
        exact = with_settled_at(snapshot(), EventTimes(sent_at, NOW), NOW, open_at=NOW - 5000)
        assert (exact.settled_at, exact.settled_at_approximate) == (sent_at, False)
    late = with_settled_at(snapshot(old=again), EventTimes(NOW - 10, NOW + 3600), NOW + 3601)
    assert (late.settled_at, late.settled_at_approximate) == (NOW - 10, False)


def test_what_is_not_settled_never_did() -> None:
    settled = with_settled_at(snapshot(), EventTimes(), NOW)
    fallen = with_settled_at(snapshot("Invalid", settled), EventTimes(NOW, NOW), NOW)
    assert (fallen.settled_at, fallen.settled_at_approximate) == (None, False)
    again = with_settled_at(snapshot("Settled", fallen), EventTimes(), NOW + 9)
    assert again.settled_at == NOW + 9


def test_a_payment_settled_when_its_event_says_unless_that_is_older_than_the_payment() -> None:
    (announced,) = paid(payment("a"), events=EventTimes(payment_settled_at=NOW - 5)).values()
    (stale,) = paid(payment("a"), events=EventTimes(payment_settled_at=NOW - 500)).values()
    (waiting,) = paid(payment("a", "Processing")).values()
    assert (announced.settled_at, stale.settled_at, waiting.settled_at) == (NOW - 5, NOW, None)
    (kept,) = payment_snapshots(
        invoice(payment("a")), {announced.key: announced}, EventTimes(), NOW + 70
    ).values()
    assert kept == announced


def test_a_payment_that_is_not_named_counts_no_more() -> None:
    old = paid(payment("a"), payment("b"))
    assert statuses(paid(payment("b"), old=old)) == {"a": "Invalid", "b": "Settled"}
    assert statuses(paid(payment("b"), old=old, unread=1)) == {"a": "Settled", "b": "Settled"}
    silent = replace(invoice(), payments=None)
    assert payment_snapshots(silent, old, EventTimes(), NOW) == old


def test_a_new_invoice_is_announced_and_then_each_of_its_payments() -> None:
    after = paid(payment("a"), payment("b", "Processing"), payment("c", "Invalid"))
    changes = list(invoice_changes(None, snapshot(), {}, after))
    assert [(change.type, change.reference) for change in changes] == [
        ("invoice.settled", "shop/one"),
        ("payment.settled", "a"),
        ("payment.pending", "b"),
        ("payment.invalid", "c"),
    ]
    assert {change.subject for change in changes} == {"shop/one"}


def test_a_payment_that_changes_alone_is_announced_alone() -> None:
    before = paid(payment("a", "Processing"))
    changes = invoice_changes(snapshot(), snapshot(), before, paid(payment("a")))
    assert [change.type for change in changes] == ["payment.settled"]


@pytest.mark.parametrize(
    "after", [paid(payment("a", value_msats=7)), paid(payment("a"), payment("b", "Other"))]
)
def test_what_no_change_of_a_payment_announces_the_invoice_does(
    after: dict[PaymentKey, PaymentSnapshot],
) -> None:
    before = paid(payment("a"))
    assert [change.type for change in invoice_changes(snapshot(), snapshot(), before, after)] == [
        "invoice.settled"
    ]
    archived = replace(snapshot(), archived=True)
    assert [change.type for change in invoice_changes(snapshot(), archived, before, before)] == [
        "invoice.settled"
    ]
    assert list(invoice_changes(snapshot(), snapshot(), before, before)) == []


@pytest.mark.parametrize(
    ("status", "event"),
    [
        ("Processing", {"InvoiceProcessing"}),
        ("Settled", {"InvoiceSettled"}),
        ("Expired", {"InvoiceExpired"}),
        ("Invalid", {"InvoiceInvalid"}),
        ("New", set[str]()),
        ("Other", set[str]()),
    ],
)
def test_a_status_has_its_event_but_falling_back_has_none(
    status: InvoiceStatus, event: set[str]
) -> None:
    other: InvoiceStatus = "New" if status != "New" else "Processing"
    assert expected_events(snapshot(other), snapshot(status), {}, {}) == event
    assert expected_events(snapshot(status), snapshot(status), {}, {}) == set()
    assert expected_events(None, snapshot(status), {}, {}) == event | {"InvoiceCreated"}


def test_a_payment_has_an_event_when_it_comes_and_one_when_it_settles() -> None:
    waiting, settled = paid(payment("a", "Processing")), paid(payment("a"))
    received = {"InvoiceReceivedPayment"}
    assert expected_events(snapshot(), snapshot(), {}, waiting) == received
    assert expected_events(snapshot(), snapshot(), waiting, settled) == {"InvoicePaymentSettled"}
    assert expected_events(snapshot(), snapshot(), {}, settled) == received | {
        "InvoicePaymentSettled"
    }
    assert expected_events(snapshot(), snapshot(), {}, paid(payment("a", "Invalid"))) == set()


def test_only_bitcoin_is_a_coin_of_ours() -> None:
    assert bitcoin_references(paid(payment("a"), payment("b", value_msats=None)).values()) == {"a"}


def test_a_subject_names_its_invoice() -> None:
    assert key_of(subject_of(("shop", "one"))) == ("shop", "one")
