"""The scheduled pulls: whatever the webhooks do, these find it. Source: btcpay.md 12.4."""

import asyncio
from typing import Final, Literal

import structlog

from raised.btcpay.client.invoice_query import InvoiceAnswer
from raised.btcpay.full_sweep import FullSweepState
from raised.btcpay.health import LOCKED_OUT
from raised.btcpay.paginator import PAGE, InvoicePaginator
from raised.btcpay.publisher import InvoicePublisher, StoreContext
from raised.btcpay.refunds import RefundFetcher
from raised.btcpay.timing import StoreTiming
from raised.domain.observation import Progress, Sweep, SweepDone, SweepReached
from raised.errors import BadData, Refused

_DAY: Final = 86_400
_MARGIN: Final = 3600  # windows overlap: clocks differ, answers are late
_LEAST_RECENT: Final = 3 * _DAY
_LATE: Final = 30 * _DAY
_USUAL_TERMS: Final = 900 + 86_400  # of a store whose settings the key may not read
_FEW: Final = 20  # more single invoices than this are found sooner in a list

_log = structlog.get_logger()


Left = Literal["nothing", "pages", "later"]


class SweepRunner:
    """What each sweep of one store does. Every one raises SourceError when it cannot go on.

    `covered_until`: what was made before has been seen by a sweep. `rests_until`: when the next
    page of a full sweep is due, by the event loop's clock. `is_at_its_first`: that one has told how
    far it is, and has not ended.
    """

    def __init__(
        self,
        follower: StoreContext,
        telling: InvoicePublisher,
        refunds: RefundFetcher,
        pauses: StoreTiming,
    ) -> None:
        self._follower = follower
        self._telling = telling
        self._refunds = refunds
        self._pauses = pauses
        self._full: FullSweepState | None = None
        self._made_full = False  # the record may not have heard of it yet
        self._unread = 0
        self.covered_until: int | None = None
        self.rests_until = float("-inf")
        self.is_at_its_first = False

    async def make(self, kind: Sweep) -> Left:
        """Make a sweep, or one page of a full one; what is left of it."""
        if kind == "full":
            return await self._full_page()
        self._unread = 0
        match kind:
            case "active":
                await self._active()
            case "recent":
                await self._recent()
            case "late":
                await self._late()
        self._follower.health.set_unreadable(kind, self._unread)
        return "nothing"

    async def _active(self) -> None:
        """What is open, and what was and is not any more."""
        me = self._follower
        held = await me.record.open_invoices(me.label)
        shown = await self._read(
            "active", InvoicePaginator(me.server, statuses=("new", "processing"))
        )
        await self._fetch_all("active", [one for one in held if one not in shown])

    async def _recent(self) -> None:
        """What was made lately, as long as an invoice can be of interest, and since we looked."""
        me = self._follower
        began_at = me.clock()
        since = began_at - max(_LEAST_RECENT, 2 * await self._terms() + _MARGIN)
        if self.covered_until is not None:
            since = min(since, self.covered_until - _MARGIN)
        await self._read("recent", InvoicePaginator(me.server, start=max(0, since)))
        await self._refunds.pull()
        await me.outbox.put(SweepDone(me.label, me.clock(), "recent", began_at, max(0, since)))
        self.covered_until = began_at

    async def _late(self) -> None:
        """Money for what has expired, and payments that took long."""
        me = self._follower
        since = me.clock() - _LATE
        held = await me.record.late_invoices(me.label, since)
        shown: set[str] = set()
        if len(held) > _FEW:
            made_since = max(0, since - await self._terms() - _MARGIN)
            shown = await self._read(
                "late", InvoicePaginator(me.server, statuses=("expired",), start=made_since)
            )
        await self._fetch_all("late", [one for one in held if one not in shown])

    async def _terms(self) -> int:
        """Seconds for which an invoice is watched."""
        terms = await self._follower.server.store_terms()
        return (
            _USUAL_TERMS if terms is None else terms.expiration_seconds + terms.monitoring_seconds
        )

    async def _read(self, kind: Sweep, walk: InvoicePaginator) -> set[str]:
        """Tell of every invoice of a list; their ids."""
        shown: set[str] = set()
        time = asyncio.get_running_loop().time
        while not walk.ended:
            started = time()
            answer = await self._page(kind, walk)
            shown.update(one.id for one in answer.invoices)
            self._unread += sum(answer.bad.values())
            if not walk.ended:
                await asyncio.sleep(started + self._pauses.page - time())
        return shown

    async def _page(self, kind: Sweep, walk: InvoicePaginator) -> InvoiceAnswer:
        with self._telling.turns.turn() as turn:
            answer = await walk.read()
            await self._telling.tell(turn, kind, answer.asked_at, answer.invoices)
        walk.move(answer)
        return answer

    async def _fetch_all(self, kind: Sweep, ids: list[str]) -> None:
        """One by one; an invoice that cannot be read does not keep the others from us."""
        for invoice_id in ids:
            try:
                await self._telling.fetch(invoice_id, kind)
            except (BadData, Refused) as error:
                if error.code in LOCKED_OUT:
                    raise
                self._unread += 1

    async def _full_page(self) -> Left:
        """A page of everything there is; a large store is left alone after each month."""
        me = self._follower
        if self._full is None:
            self._full = await FullSweepState.begin(me, fresh=self._made_full)
        full = self._full
        started = asyncio.get_running_loop().time()
        answer = await self._page("full", full.walk)
        full.read(answer)
        if full.walk.ended:
            await self._end_full(full)
            return "nothing"
        # Nothing keeps what could not be read: who goes on after us must meet it again.
        if full.walk.end is not None and not full.unread:
            await me.outbox.put(SweepReached(me.label, me.clock(), full.began_at, full.walk.end))
        await self._tell_progress(full)
        rests = full.takes_a_rest()
        self.rests_until = started + (self._pauses.rest if rests else self._pauses.page)
        return "later" if rests else "pages"

    async def _end_full(self, full: FullSweepState) -> None:
        """All was seen. Rows that could not be read are not missing, only unreadable."""
        me = self._follower
        self._full, self._made_full = None, True
        self.rests_until = float("-inf")
        self.covered_until = max(full.began_at, self.covered_until or 0)
        since = full.began_at if full.unread else 0
        await me.outbox.put(SweepDone(me.label, me.clock(), "full", full.began_at, since))
        me.health.set_unreadable("full", full.unread)
        await self._tell_progress(full)
        _log.info("all invoices read", store=me.label, invoices=full.done)

    async def _tell_progress(self, full: FullSweepState) -> None:
        """Of the very first one only: figures are incomplete until it has ended."""
        if full.is_first:
            me = self._follower
            total = full.done + (0 if full.walk.ended else PAGE)  # nobody tells how many there are
            self.is_at_its_first = not full.walk.ended
            progress = Progress(progress_name(me.label), full.done, total, me.clock())
            await me.outbox.put(progress)


def progress_name(label: str) -> str:
    """What the first full sweep of a store is called among all progress."""
    return f"btcpay {label}"
