"""An audit in words for people: what holds, what does not, and where each satoshi is."""

from collections.abc import Iterable, Sequence

from raised.domain.angor.investment_state import InvestmentState
from raised.domain.audit.report import AuditReport


def described(report: AuditReport, problems: Sequence[str]) -> str:
    """The report, line by line, with everything that is wrong at its end."""
    project = report.project
    because = f" ({project.reason})" if project.reason else ""
    flags = f" [{', '.join(project.flags)}]" if project.flags else ""
    lines = [f"project   {project.id or 'none'}: {project.status}{because}{flags}"]
    if report.founding.chosen is not None:
        at = f" at height {report.founding.height}" if report.founding.height is not None else ""
        lines.append(f"founding  {report.founding.chosen.txid}{at}")
    lines += [
        f"          {one.txid} not accepted: {one.reason}"
        for one in report.founding.candidates
        if not one.accepted
    ]
    for standing in report.investments:
        lines += _investment(standing)
    lines += [
        f"rejected  {one.txid}: {one.reason or 'no investment'}"
        for one in report.transactions
        if one.role == "rejected"
    ]
    lines += _totals(report)
    lines += [f"PROBLEM   {problem}" for problem in problems]
    lines.append("something does not hold" if problems else "everything holds")
    return "\n".join(lines)


def _investment(standing: InvestmentState) -> Iterable[str]:
    flags = f" [{', '.join(standing.flags)}]" if standing.flags else ""
    yield f"invested  {standing.txid}: {standing.amount_sats:,} sats, {standing.status}{flags}"
    for one in standing.stages:
        spent = "" if one.spent is None else f" by {one.spent.txid}"
        value = f"{one.stage.value_sats:,} sats"
        yield f"          stage {one.stage.index}: {value}, {one.state}{spent}"


def _totals(report: AuditReport) -> Iterable[str]:
    for name in report.totals.__slots__:
        value = getattr(report.totals, name)
        if value or name in ("raised_sats", "locked_sats", "investments"):
            yield f"total     {name.removesuffix('_sats').replace('_', ' ')}: {value:,}"
