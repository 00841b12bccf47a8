"""Evidence: everything that is needed to check a project without trusting us."""

import asyncio
from typing import Any

from raised.db.queries.evidence import EvidenceFacts, read_evidence_facts
from raised.domain.audit.evidence import build_evidence
from raised_api.http.route import BASE, RequestContext, Route
from raised_api.routes.projects import require_project


async def project_evidence(context: RequestContext) -> dict[str, object]:
    """The document that `raised verify` prints, too."""
    grounds = await read_evidence_facts(context.conn, await require_project(context))
    # A large project takes seconds of curve arithmetic, and streams must not wait for it.
    return await asyncio.to_thread(_document, grounds)


def _document(grounds: EvidenceFacts) -> dict[str, object]:
    found = build_evidence(
        grounds.network,
        grounds.event,
        grounds.txs,
        tip=grounds.tip,
        project_id=grounds.project_id,
    )
    return found.document


EVIDENCE = Route(
    path=f"{BASE}/projects/{{project_id}}/evidence",
    name="project_evidence",
    about="Event, transactions, merkle paths, leaves and spends: check them with any library.",
    answer=project_evidence,
    shape=dict[str, Any],
)
