"""A full sweep reads every invoice, resumes after a kill and finds what is missing upstream."""

from tests.rig.fake_greenfield import (
    BORN,
    BROKEN,
    HeldRequests,
    is_list,
)
from tests.rig.memory_store_record import FollowedStore

from raised.btcpay.paginator import PAGE
from raised.btcpay.ports import SweepCheckpoint
from raised.domain.observation import (
    InvoicesSeen,
    Progress,
    RefundsSeen,
    SweepReached,
)
from raised_simnet.http.http_server import Request, Response


def _is_later_full_page(request: Request) -> bool:
    return is_list(request) and "endDate" in request.query and "startDate" not in request.query


async def test_a_first_start_reads_everything_there_is(store: FollowedStore) -> None:
    ids = store.server.add_many(130, status="Settled")
    store.server.add("archived", "Expired", at=BORN - 10**7, archived=True)
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps)
    assert set(store.record.invoices) == {*ids, "archived"}
    assert store.record.invoices["archived"].archived
    assert store.record.full_sweeps[0].since == 0
    ends = [reached.end for reached in store.record.published(SweepReached)]
    assert ends == sorted(ends, reverse=True)
    assert len(ends) == 2
    assert {seen.origin for seen in store.record.published(InvoicesSeen)} <= {"full", "recent"}


def _steps(store: FollowedStore) -> list[tuple[int, int]]:
    """Done and total of each report of progress."""
    return [(update.done, update.total) for update in store.record.published(Progress)]


async def test_the_first_full_sweep_reports_its_progress(store: FollowedStore) -> None:
    store.server.add_many(120, status="Settled")
    async with store.follow() as source:
        await store.until(lambda: _steps(store) and _steps(store)[-1][0] == _steps(store)[-1][1])
        progress = _steps(store)
        await store.sweep(source, "full")
        assert len(store.record.full_sweeps) == 2
    assert {update.what for update in store.record.published(Progress)} == {"btcpay shop"}
    assert all(done < total for done, total in progress[:-1])
    rows = 120 + len(progress) - 3  # pages overlap by a row
    assert progress[0] == (0, PAGE)
    assert progress[-2:] == [(rows, rows + 1), (rows, rows)]
    assert _steps(store) == progress, "only of the first one"


async def test_an_empty_store_has_been_read_once_its_refunds_are(store: FollowedStore) -> None:
    async with store.follow():
        await store.until(lambda: _steps(store)[-1:] == [(0, 0)])
        published = store.record.observations
        refunds = next(n for n, seen in enumerate(published) if isinstance(seen, RefundsSeen))
        assert refunds < published.index(store.record.published(Progress)[-1])
    assert _steps(store) == [(0, PAGE), (0, 1), (0, 0)]


async def test_a_restart_says_again_that_all_is_read(store: FollowedStore) -> None:
    """The end of the first sweep may have come before a kill, its refunds after it."""
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps)
    before = len(_steps(store))
    async with store.follow():
        await store.until(lambda: len(_steps(store)) > before)
    assert _steps(store)[before:] == [(0, 0)]


async def test_a_first_sweep_that_cannot_go_on_is_not_waited_for(store: FollowedStore) -> None:
    store.server.overrides.append(lambda request: BROKEN if _is_of_all(request) else None)
    async with store.follow():
        await store.until(lambda: _steps(store)[-1:] == [(0, 0)])
        assert not store.record.full_sweeps


def _is_of_all(request: Request) -> bool:
    """Whether a page of invoices is asked for, however small; not the check, which ends at 0."""
    return request.path.endswith("/invoices") and request.query.get("endDate") != ["0"]


async def test_a_whole_second_larger_than_a_page_is_read(store: FollowedStore) -> None:
    """Rows of one second swap between two answers: counting them would miss some."""
    ids = {f"same{number:03}" for number in range(130)}
    for invoice_id in ids:
        store.server.add(invoice_id, "Settled", at=BORN)
    store.server.add("newer", "Settled", at=BORN + 1)
    store.server.add("older", "Settled", at=BORN - 1)
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps)
    assert set(store.record.invoices) == {*ids, "newer", "older"}


async def test_rows_that_come_and_go_between_pages_hide_none(store: FollowedStore) -> None:
    ids = store.server.add_many(150, status="Settled")
    pages = [0]

    def change_rows(request: Request) -> None:
        if not is_list(request):
            return
        pages[0] += 1
        store.server.add(f"new{pages[0]}", at=BORN + pages[0])
        for number in range(5):  # unpaid ones of long ago are deleted, also those that were shown
            store.server.invoices.pop(ids[(pages[0] - 1) * 10 + number], None)

    store.server.overrides.append(change_rows)
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps)
        kept = set(store.server.invoices)
    assert kept <= {*store.record.invoices, *(f"new{page}" for page in range(1, pages[0] + 1))}
    assert {invoice_id for invoice_id in kept if invoice_id.startswith("inv")} <= set(
        store.record.invoices
    )


async def test_a_full_sweep_resumes_where_a_kill_ended_it(store: FollowedStore) -> None:
    ids = store.server.add_many(160, status="Settled")
    held = HeldRequests(lambda request: is_list(request) and store.record.published(SweepReached))
    store.server.before_answer = held
    async with store.follow():
        await store.until(held.arrived.is_set)
    store.server.before_answer = None
    checkpoint = store.record.checkpoint
    assert checkpoint is not None
    assert not store.record.full_sweeps
    requests_before = len(store.server.requests)
    store.now += 500
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps)
    pages = [
        request
        for request in store.server.requests[requests_before:]
        if request.startswith("/invoices?") and "&take=1&" not in request  # the check
    ]
    assert "startDate" not in pages[0]
    assert f"endDate={checkpoint.end}" in pages[0]
    assert store.record.full_sweeps[0].began_at == store.now - 500
    assert set(store.record.invoices) == set(ids)
    held.release()


async def test_a_full_sweep_that_fails_resumes_when_the_server_works_again(
    store: FollowedStore,
) -> None:
    ids = store.server.add_many(120, status="Settled")

    def break_down(request: Request) -> Response | None:
        return BROKEN if store.record.published(SweepReached) else None

    store.server.overrides.append(break_down)
    async with store.follow():
        await store.until(lambda: store.record.problem_code == "busy")
        await store.until(lambda: store.record.health.state == "down")
        store.server.overrides.remove(break_down)
        await store.until(lambda: store.record.full_sweeps and store.record.health.state == "ok")
    assert set(store.record.invoices) == set(ids)
    assert store.server.count("/invoices?includeArchived=true&skip=0&take=50") == 1


async def test_a_new_full_sweep_does_not_resume_one_that_has_ended(
    store: FollowedStore,
) -> None:
    """The record may not have committed its end yet."""
    ids = store.server.add_many(3, status="New")
    async with store.follow() as source:
        await store.until(lambda: store.record.published(RefundsSeen))
        store.record.checkpoint = SweepCheckpoint(1, BORN - 7200)
        store.server.add_many(3, status="Settled")
        await store.sweep(source, "full")
        assert {store.record.invoices[invoice_id].status for invoice_id in ids} == {"Settled"}
        assert store.record.full_sweeps[-1].began_at == store.now


async def test_what_a_full_sweep_does_not_show_is_missing(store: FollowedStore) -> None:
    store.server.add_many(3, status="Expired")
    async with store.follow() as source:
        await store.until(lambda: store.record.published(RefundsSeen))
        store.now += 100
        del store.server.invoices["inv0001"]
        await store.sweep(source, "full")
        assert store.record.missing == {"inv0001"}


async def test_rows_that_cannot_be_read_are_not_called_missing(store: FollowedStore) -> None:
    store.server.add_many(3, status="Settled")
    async with store.follow() as source:
        await store.until(lambda: store.record.published(RefundsSeen))
        store.now += 100
        store.server.invoices["inv0001"]["amount"] = {"not": "an amount"}
        await store.sweep(source, "full")
        assert not store.record.missing
        await store.until(lambda: store.record.problem_code == "bad_rows")
        assert store.record.health.facts["bad_rows"] == 1
        store.server.add("inv0001", "Settled")
        await store.sweep(source, "full")
        await store.sweep(source, "recent")
        await store.until(lambda: store.record.problem_code is None)


async def test_what_a_killed_sweep_could_not_read_is_not_called_missing(
    store: FollowedStore,
) -> None:
    store.server.add_many(120, status="Settled")
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps and store.record.published(RefundsSeen))
    newest = max(store.server.invoices, key=lambda key: store.server.invoices[key]["createdTime"])
    store.server.invoices[newest]["amount"] = {"not": "an amount"}
    store.now += 100_000  # the next one is overdue
    held = HeldRequests(_is_later_full_page)
    store.server.before_answer = held
    async with store.follow():
        await store.until(held.arrived.is_set)
    store.server.before_answer = None
    async with store.follow():
        await store.until(lambda: len(store.record.full_sweeps) == 2)
    assert store.record.missing == set()
    held.release()
