"""Campaigns: which projects and invoices belong together, by configuration.

Membership is looked up, never booked: another configuration regroups the past.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

ORDER_ID = "orderId"


@dataclass(frozen=True, slots=True)
class StoreRule:
    """Invoices of a store that belong to a campaign; without a condition all of them."""

    store: str
    order_id_prefix: str | None = None
    metadata_key: str | None = None
    metadata_equals: str | None = None
    crowdfund_app: str | None = None

    @property
    def is_whole_store(self) -> bool:
        """Whether it takes every invoice."""
        return self.order_id_prefix is None and not (self.metadata_key or self.crowdfund_app)

    @property
    def reads(self) -> str | None:
        """The metadata key that must be kept for it."""
        return ORDER_ID if self.order_id_prefix is not None else self.metadata_key

    def takes(self, metadata: Mapping[str, str], apps: Collection[str]) -> bool:
        """Whether it takes an invoice with this metadata, made by these crowdfund apps."""
        if self.order_id_prefix is not None:
            return metadata.get(ORDER_ID, "").startswith(self.order_id_prefix)
        if self.metadata_key is not None:
            return metadata.get(self.metadata_key) == self.metadata_equals
        return self.crowdfund_app is None or self.crowdfund_app in apps


@dataclass(frozen=True, slots=True)
class Campaign:
    """A [[campaign]] of the configuration: projects, and rules that take invoices of stores."""

    slug: str
    title: str
    projects: tuple[str, ...] = ()
    rules: tuple[StoreRule, ...] = ()
    target_sats: int | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """Where an invoice belongs: a campaign's slug, else its store's label.

    `ambiguous`: rules of two campaigns take it, so none has it.
    """

    campaign: str
    ambiguous: bool = False


def membership(
    store: str,
    metadata: Mapping[str, str],
    apps: Collection[str],
    campaigns: Iterable[Campaign],
) -> Membership:
    """The campaign of an invoice."""
    takers = {
        campaign.slug
        for campaign in campaigns
        for rule in campaign.rules
        if rule.store == store and rule.takes(metadata, apps)
    }
    if len(takers) == 1:
        return Membership(takers.pop())
    return Membership(store, ambiguous=len(takers) > 1)
