"""The changes of the feed: what can happen, and to what."""

from dataclasses import dataclass
from typing import Literal

ChangeType = Literal[
    "project.announced",
    "project.committed",
    "project.confirmed",
    "project.profile",
    "project.rejected",
    "project.conflict",
    "project.event_missing",
    "investment.unconfirmed",
    "investment.confirmed",
    "investment.rejected",
    "investment.dropped",
    "investment.unverified",
    "stage.claim",
    "stage.recovery",
    "stage.unfunded_release",
    "stage.penalty_free_recovery",
    "stage.end_of_project",
    "stage.unknown",
    "penalty.matured",
    "penalty.released",
    "invoice.new",
    "invoice.processing",
    "invoice.settled",
    "invoice.expired",
    "invoice.invalid",
    "invoice.other",
    "payment.settled",
    "payment.pending",
    "payment.invalid",
    "refund.completed",
    "campaign.regrouped",
    "reorg",
    "tip",
    "source.lost",
    "source.restored",
    "source.degraded",
    "record.complete",
    "record.incomplete",
]
ChangeSource = Literal["angor", "btcpay", "chain", "relay", "explorer", "store", "record"]


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to an item, which `subject` names.

    `subject` is a project identifier, a txid of an investment, `<store>/<id>` of an invoice, or the
    name of a source, by type; `reference` is what exactly changed: an outpoint for stages and
    penalties, the id of a payment or payout, else the subject.
    """

    type: ChangeType
    source: ChangeSource
    subject: str
    project_id: str | None = None
    reference: str | None = None
