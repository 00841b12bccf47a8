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
        f"          {founding.txid} not accepted: {founding.reason}"
        for founding in report.founding.candidates
        if not founding.accepted
    ]
    for investment in report.investments:
        lines += _investment(investment)
    lines += [
        f"rejected  {tx.txid}: {tx.reason or 'no investment'}"
        for tx in report.transactions
        if tx.role == "rejected"
    ]
    lines += _totals(report)
    lines += [f"PROBLEM   {problem}" for problem in problems]
    lines.append("something does not hold" if problems else "everything holds")
    return "\n".join(lines)


def _investment(state: InvestmentState) -> Iterable[str]:
    flags = f" [{', '.join(state.flags)}]" if state.flags else ""
    yield f"invested  {state.txid}: {state.amount_sats:,} sats, {state.status}{flags}"
    for stage in state.stages:
        spent = "" if stage.spent is None else f" by {stage.spent.txid}"
        value = f"{stage.stage.value_sats:,} sats"
        yield f"          stage {stage.stage.index}: {value}, {stage.state}{spent}"


def _totals(report: AuditReport) -> Iterable[str]:
    for name in report.totals.__slots__:
        value = getattr(report.totals, name)
        if value or name in ("raised_sats", "locked_sats", "investments"):
            yield f"total     {name.removesuffix('_sats').replace('_', ' ')}: {value:,}"
