"""What is wrong with the sources that are followed, and which of their items are set aside."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.schema import problem
from raised.db.stored_settings import StoredSettings
from raised.domain.observation import SourceProblem


@dataclass(frozen=True, slots=True)
class StandingProblem(SourceProblem):
    """A problem of the source `name`, or of a group of sources."""

    kind: str = ""
    name: str = ""


async def standing_problems(
    conn: AsyncConnection, settings: StoredSettings
) -> list[StandingProblem]:
    """The problems of all sources that are followed, the newest first."""
    rows = await conn.execute(
        select(problem).order_by(
            problem.c.since_at.desc(), problem.c.name, problem.c.code, problem.c.subject
        )
    )
    followed: dict[str, Collection[str] | None] = {
        "relay": settings.relays,
        "explorer": settings.explorers,
        "store": settings.store_labels,
    }
    problems = [StandingProblem(**row._asdict()) for row in rows]
    return [
        standing
        for standing in problems
        if (names := followed.get(standing.kind)) is None or standing.name in names
    ]
