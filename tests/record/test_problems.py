"""The problems of sources are stored as they stand, and what has ended is gone."""

from tests.record.conftest import Ledger

from raised.db import schema
from raised.domain.observation import GroupProblems, SourceHealth, SourceProblem

AT = 1_750_000_000
ODD = SourceProblem("retry", "answers 500", "degraded", AT, AT, subject="invoice-1")
WORSE = SourceProblem(
    "too_large", "is larger than we take", "degraded", AT, AT, subject="invoice-2"
)


def health(*problems: SourceProblem, name: str = "shop") -> SourceHealth:
    return SourceHealth("store", name, "degraded" if problems else "ok", AT, problems=problems)


async def stored(ledger: Ledger) -> list[tuple[str, str, str, int]]:
    rows = await ledger.rows(schema.problem)
    return sorted((row["name"], row["code"], row["subject"], row["tries"]) for row in rows)


async def test_a_report_replaces_the_problems_of_its_source_alone(regtest_ledger: Ledger) -> None:
    ledger = regtest_ledger
    await ledger.see(health(ODD, WORSE), health(ODD, name="other"))
    assert len(await stored(ledger)) == 3
    again = SourceProblem("retry", "answers 500", "degraded", AT, AT + 9, "invoice-1", tries=7)
    await ledger.see(health(again))
    assert await stored(ledger) == [
        ("other", "retry", "invoice-1", 1),
        ("shop", "retry", "invoice-1", 7),
    ]
    await ledger.see(health())
    assert await stored(ledger) == [("other", "retry", "invoice-1", 1)]


async def test_what_is_wrong_with_all_explorers_together_is_a_change(
    regtest_ledger: Ledger,
) -> None:
    ledger = regtest_ledger
    project = SourceProblem("history", "cannot be read", "degraded", AT, AT, subject="angor1q")
    for problems in ((project,), (project,), ()):
        await ledger.see(GroupProblems("chain", problems, AT))
    changes = await ledger.rows(schema.change)
    assert [(change["type"], change["source"], change["reference"]) for change in changes] == [
        ("source.degraded", "chain", "chain"),
        ("source.restored", "chain", "chain"),
    ]
