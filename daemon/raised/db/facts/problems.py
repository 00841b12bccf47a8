"""The problems that stand with each source, or with a group of sources together."""

from collections.abc import Collection, Iterable
from dataclasses import asdict

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import put
from raised.db.schema import problem
from raised.domain.observation import SourceGroup, SourceKind, SourceProblem, State

_Kind = SourceKind | SourceGroup


async def replace_problems(
    conn: AsyncConnection, kind: _Kind, name: str, problems: Iterable[SourceProblem]
) -> list[State]:
    """Let these be all problems of a source; the states of those that stood before."""
    of_source = and_(problem.c.kind == kind, problem.c.name == name)
    stored = list(await conn.execute(select(problem).where(of_source)))
    rows = {
        (standing.code, standing.subject): {"kind": kind, "name": name, **asdict(standing)}
        for standing in problems
    }
    ended = [row for row in stored if (row.code, row.subject) not in rows]
    await _drop(conn, kind, name, [(row.code, row.subject) for row in ended])
    before = {(row.code, row.subject): row._asdict() for row in stored}
    await put(conn, problem, [row for key, row in rows.items() if before.get(key) != row])
    return [row.state for row in stored]


async def _drop(
    conn: AsyncConnection, kind: _Kind, name: str, keys: Collection[tuple[str, str]]
) -> None:
    for code in sorted({code for code, _ in keys}):
        subjects = [subject for key, subject in keys if key == code]
        await conn.execute(
            delete(problem).where(
                problem.c.kind == kind,
                problem.c.name == name,
                problem.c.code == code,
                problem.c.subject.in_(subjects),
            )
        )


async def drop_problems_of_others(
    conn: AsyncConnection, followed: Iterable[tuple[SourceKind, Collection[str]]]
) -> None:
    """Drop the problems of sources that are not followed any more."""
    gone = [
        and_(problem.c.kind == kind, problem.c.name.not_in(sorted(names)))
        for kind, names in followed
    ]
    await conn.execute(delete(problem).where(or_(*gone)))
