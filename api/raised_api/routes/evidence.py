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
)
async def project_evidence(context: NamedDependency[RequestContext]) -> dict[str, Any]:
    """The document that `raised verify` prints, too."""
    facts = await read_evidence_facts(context.conn, await require_project(context))
    # A large project takes seconds of curve arithmetic: in a thread, so that streams go on.
    return await asyncio.to_thread(_document, facts)


def _document(facts: EvidenceFacts) -> dict[str, object]:
    evidence = build_evidence(
        facts.network,
        facts.event,
        facts.txs,
        tip=facts.tip,
        project_id=facts.project_id,
    )
    return evidence.document


EVIDENCE = (project_evidence,)
