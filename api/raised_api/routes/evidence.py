"""Evidence: everything that is needed to check a project without trusting us."""

import asyncio
from typing import Any

from litestar.di import NamedDependency

from raised.db.queries.evidence import EvidenceFacts, read_evidence_facts
from raised.domain.audit.evidence import build_evidence
from raised_api.http.endpoint import read
from raised_api.http.request_context import RequestContext
from raised_api.routes.projects import require_project


@read(
    "/projects/{project_id:str}/evidence",
    name="project_evidence",
    summary="Event, transactions, merkle paths, leaves and spends: check them with any library.",
    schema=dict[str, Any],
)
async def project_evidence(context: NamedDependency[RequestContext]) -> dict[str, object]:
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


EVIDENCE = (project_evidence,)
