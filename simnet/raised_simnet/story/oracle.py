"""The totals that must come out, added up from what the actors know they did.

No rule of the product is used, and no transaction is taken apart: an investment is one because its
investor made it one, by the terms of the event whose id the first founding transaction names.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.btcpay.shop_oracle import SAT_MSATS, ShopTotals, shop_totals
from raised_simnet.btcpay.shop_player import Receipts
from raised_simnet.story.journal import Exit, Investment, Journal
from raised_simnet.story.steps import Founds, Invests, Label, Mimics

Json = dict[str, object]
RETURNED = frozenset(Exit) - {Exit.CLAIM}


@dataclass(frozen=True, slots=True)
class ProjectOutcome:
    """What became of a project: its status, and the event whose terms hold once it is founded."""

    status: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of everybody's money."""

    invested: dict[Label, Invests]
    unconfirmed: int
    rejected: int
    by_exit: dict[Exit, int]
    freed: int


def summary(book: Journal, chain: RegtestChain, receipts: Receipts | None = None) -> Json:
    """What `/api/v1/summary` must show of this story at this tip, without as_of and last_…."""
    with chain.lock:
        fates = project_outcomes(book, chain)
        outcome = money(book, chain, fates)
    shops = shop_totals(book, receipts or Receipts())
    angor = _angor(outcome)
    return {
        "network": "regtest",
        "projects": {
            status: sum(fate.status == status for fate in fates.values())
            for status in ("announced", "committed", "confirmed", "rejected", "event_missing")
        },
        "totals": _totals(outcome, angor, shops),
        "angor": angor,
        "btcpay": shops.btcpay,
    }


def _totals(outcome: Outcome, angor: dict[str, int], shops: ShopTotals) -> Json:
    """Both rails: millisatoshis are summed, then cut."""
    invested = [_worth(invests) * SAT_MSATS for invests in outcome.invested.values()]
    amounts = sorted([*invested, *shops.received.values()])
    raised = sum(amounts)
    returned = angor["returned_sats"] + shops.returned // SAT_MSATS
    return {
        "raised_sats": raised // SAT_MSATS,
        "returned_sats": returned,
        "net_sats": raised // SAT_MSATS - returned,
        "unconfirmed_sats": outcome.unconfirmed + shops.pending // SAT_MSATS,
        "contributions": len(amounts),
        "contributors": angor["investors"] + len(shops.received),
        "average_contribution_sats": raised // len(amounts) // SAT_MSATS if amounts else 0,
        "median_contribution_sats": _median(amounts) // SAT_MSATS,
    }


def project_outcomes(book: Journal, chain: RegtestChain) -> dict[str, ProjectOutcome]:
    """Every identifier that was announced soundly or not, or founded on the chain."""
    announced = {step.identifier for step in book.published if step.identifier}
    founded = {meaning.identifier for _, _, meaning in _foundings(book, chain)}
    fates = ((name, _fate(name, book, chain)) for name in sorted(announced | founded))
    return {name: fate for name, fate in fates if fate is not None}


def money(book: Journal, chain: RegtestChain, fates: dict[str, ProjectOutcome]) -> Outcome:
    """Investments, exits and releases, as far as they are on the chain."""
    invested: dict[Label, Invests] = {}
    unconfirmed, rejected = 0, 0
    waiting = {tx.txid for tx in chain.mempool}
    for label, paid in book.paid.items():
        verdict = _verdict(paid, fates)
        if verdict is None:
            continue
        if chain.height_of(paid.tx.txid) is None:
            here = verdict is True and paid.tx.txid in waiting
            unconfirmed += _worth(paid.meaning) if here else 0
        elif verdict:
            assert isinstance(paid.meaning, Invests), "only investments hold"
            invested[label] = paid.meaning
        else:
            rejected += 1
    by_exit = dict.fromkeys(Exit, 0)
    for _, kind, value in _exits(book, chain, invested):
        by_exit[kind] += value
    return Outcome(invested, unconfirmed, rejected, by_exit, _freed(book, chain, invested))


def _fate(identifier: str, book: Journal, chain: RegtestChain) -> ProjectOutcome | None:
    events = [step for step in book.published if step.identifier == identifier]
    sound = {step.event["id"]: step.sound for step in events}
    places = [(place, m) for place, _, m in _foundings(book, chain) if m.identifier == identifier]
    if places:
        event_id = min(places)[1].event_id
        if event_id not in sound:
            return ProjectOutcome("event_missing")
        return (
            ProjectOutcome("confirmed", event_id) if sound[event_id] else ProjectOutcome("rejected")
        )
    withdrawn = {step.withdraws for step in book.published}
    standing = {name for name, good in sound.items() if good and name not in withdrawn}
    if not standing:
        return ProjectOutcome("rejected") if events else None
    return ProjectOutcome("committed" if standing & _named_in_mempool(book, chain) else "announced")


def _foundings(book: Journal, chain: RegtestChain) -> Iterator[tuple[tuple[int, int], str, Founds]]:
    """Founding transactions on the chain, by (height, position)."""
    for label, paid in book.paid.items():
        height = chain.height_of(paid.tx.txid)
        if isinstance(paid.meaning, Founds) and height is not None:
            txids = [tx.txid for tx in chain.block_at(height).txs]
            yield (height, txids.index(paid.tx.txid)), label, paid.meaning


def _named_in_mempool(book: Journal, chain: RegtestChain) -> set[str]:
    waiting = {tx.txid for tx in chain.mempool}
    found = (paid for paid in book.paid.values() if paid.tx.txid in waiting)
    return {paid.meaning.event_id for paid in found if isinstance(paid.meaning, Founds)}


def _verdict(paid: Investment, fates: dict[str, ProjectOutcome]) -> bool | None:
    """Whether this payment is an investment, or poses as one; None when it is neither."""
    match paid.meaning:
        case Invests(identifier, event_id):
            fate = fates.get(identifier)
            return fate.event_id == event_id if fate and fate.status == "confirmed" else None
        case Mimics():
            return False
        case _:
            return None


def _exits(
    book: Journal, chain: RegtestChain, invested: dict[Label, Invests]
) -> Iterator[tuple[tuple[Label, int], Exit, int]]:
    """Stage outputs left on the chain: (label and input), how, and what each was worth."""
    for label, left in book.left.items():
        if chain.height_of(left.tx.txid) is None:
            continue
        for vin, (ref, kind) in enumerate(zip(left.coins, left.exits, strict=True)):
            if ref.label in invested:
                yield (label, vin), kind, book.value(ref)


def _freed(book: Journal, chain: RegtestChain, invested: dict[Label, Invests]) -> int:
    penalties = {
        place: value
        for place, kind, value in _exits(book, chain, invested)
        if kind is Exit.RECOVERY
    }
    confirmed = [f for f in book.freed.values() if chain.height_of(f.tx.txid) is not None]
    return sum(penalties.get((f.recovery, vin), 0) for f in confirmed for vin in f.vins)


def _angor(outcome: Outcome) -> dict[str, int]:
    raised = sum(map(_worth, outcome.invested.values()))
    returned = sum(value for kind, value in outcome.by_exit.items() if kind in RETURNED)
    claimed = outcome.by_exit[Exit.CLAIM]
    investors = {(i.identifier, i.investor_key) for i in outcome.invested.values()}
    return {
        "raised_sats": raised,
        "returned_sats": returned,
        "net_sats": raised - returned,
        "locked_sats": raised - returned - claimed,
        "claimed_sats": claimed,
        "unknown_sats": 0,
        "in_penalty_sats": outcome.by_exit[Exit.RECOVERY] - outcome.freed,
        "penalty_released_sats": outcome.freed,
        "unconfirmed_sats": outcome.unconfirmed,
        "investments": len(outcome.invested),
        "investors": len(investors),
        "rejected_investments": outcome.rejected,
    }


def _worth(meaning: object) -> int:
    assert isinstance(meaning, Invests), "only investments have a worth"
    return sum(stage.value for stage in meaning.placement.stages)


def _median(amounts: list[int]) -> int:
    if not amounts:
        return 0
    middle = len(amounts) // 2
    return amounts[middle] if len(amounts) % 2 else (amounts[middle - 1] + amounts[middle]) // 2
