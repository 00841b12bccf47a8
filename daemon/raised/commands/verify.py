"""`raised verify`: one project, audited, and the chain of evidence a stranger can follow."""

import json
from pathlib import Path
from typing import Final, assert_never

import click

from raised.chain.ancestry.linker import AncestryLinker, LinkerTimeouts
from raised.chain.ancestry.outcomes import NeedsAnswers, NeedsLink, NeedsOthers
from raised.chain.explorer.api import Explorer
from raised.chain.explorer_pool import ExplorerPool
from raised.chain.fork import read_end_of_chain
from raised.chain.history import PartialHistory, read_history
from raised.clock import now
from raised.commands.report_text import described
from raised.config.load import Config
from raised.db.engine import open_reader, reading
from raised.db.queries.evidence import EvidenceFacts, knows_project, read_evidence_facts
from raised.db.upgrade import require_current
from raised.domain.angor.founding import founding_of
from raised.domain.angor.investment_state import Place, StoredTx, Tip
from raised.domain.angor.network import network_named
from raised.domain.audit.case_file import audit_text
from raised.domain.audit.evidence import Evidence, ProvenTx, build_evidence
from raised.domain.audit.report import EXIT_FOUND_SOMETHING, EXIT_HOLDS, as_json
from raised.domain.event import Event
from raised.domain.observation import BlockRef, HistorySeen, PlacedTx
from raised.errors import InvalidInput, RaisedError, RecordError, SourceError, Unavailable
from raised.nostr.fetch_by_id import find_events
from raised.nostr.sdk_client import RelayEndpoint
from raised.nostr.settings import RelayTiming
from raised.service.source_settings import explorer_settings, proxy_settings, relay_settings

# So long somebody at a terminal waits for proof of old blocks.
_TIMEOUTS: Final = LinkerTimeouts(link_seconds=60.0, wait_seconds=0.0)


def verify_file(path: Path, *, as_object: bool) -> int:
    """Audit the case in a file, offline; the exit code.

    Raises:
        RaisedError: the file cannot be read, or is no case.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a BOM
        if not text.strip():
            raise RaisedError(f"{path}: the file is empty")
        report = audit_text(text)
    except OSError as error:
        raise RaisedError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RaisedError(f"{path}: not a text in UTF-8") from error
    except InvalidInput as error:
        raise RaisedError(f"{path}: {error}") from error
    click.echo(json.dumps(as_json(report)) if as_object else described(report, report.problems))
    return report.exit_code


async def verify_project(config: Config, project_id: str, *, as_object: bool) -> int:
    """Audit a project from the network, and compare with the record where there is one.

    Where no explorer answers, the record alone is audited. The exit code.

    Raises:
        Unavailable: no explorer answers, and the record does not know the project.
    """
    recorded = await _from_record(config, project_id)
    try:
        facts = await _from_network(config, project_id, recorded)
    except SourceError as error:
        if recorded is None:
            raise
        click.echo(f"from the record alone: {error}", err=True)
        facts, recorded = recorded, None
    evidence = _audit(facts)
    problems = [*evidence.problems, *_differences(evidence, recorded)]
    click.echo(json.dumps(evidence.document) if as_object else described(evidence.report, problems))
    if as_object:
        for problem in problems:
            click.echo(problem, err=True)
    return EXIT_FOUND_SOMETHING if problems else EXIT_HOLDS


def _audit(facts: EvidenceFacts) -> Evidence:
    return build_evidence(
        facts.network,
        facts.event,
        facts.txs,
        tip=facts.tip,
        project_id=facts.project_id,
    )


def _differences(evidence: Evidence, recorded: EvidenceFacts | None) -> list[str]:
    """Where the record says something else than the network does now."""
    if recorded is None:
        return []
    ours = _audit(recorded).report
    network = evidence.report
    differences = [
        f"the record has {name} {getattr(ours.totals, name)}, the network {value}"
        for name in network.totals.__slots__
        if (value := getattr(network.totals, name)) != getattr(ours.totals, name)
        and name != "unconfirmed_sats"  # an address history tells nothing of what waits
    ]
    # Nor of a founding transaction that waits.
    if ours.project.status not in (network.project.status, "committed"):
        status = (ours.project.status, network.project.status)
        differences.append("the record has the project {}, the network {}".format(*status))
    return differences


async def _from_record(config: Config, project_id: str) -> EvidenceFacts | None:
    """What the record holds; None without a record, or when it does not know the project."""
    try:
        engine = open_reader(config.environment.database_url)
    except RecordError:
        return None
    try:
        async with reading(engine) as conn:
            await require_current(conn, config.network)
            if not await knows_project(conn, project_id):
                return None
            return await read_evidence_facts(conn, project_id)
    finally:
        await engine.dispose()


async def _from_network(
    config: Config, project_id: str, recorded: EvidenceFacts | None
) -> EvidenceFacts:
    network = network_named(config.network)
    history = await _history(config, project_id)
    txs = [_proven(ref, placed) for ref, placed in history.txs]
    named = [
        founding.event_id
        for tx in txs
        if (founding := founding_of(tx.stored.tx, network)) is not None and founding.event_id
    ]
    event = await _event(config, named, recorded)
    tip = Tip(history.tip.height, history.tip.hash, config.chain.confirmations)
    return EvidenceFacts(network, project_id, event, tuple(txs), tip)


async def _history(config: Config, project_id: str) -> HistorySeen:
    pool = ExplorerPool(explorer_settings(config), network_named(config.network))
    linker = AncestryLinker(pool.peers, config.network, pool.disputes, timeouts=_TIMEOUTS)
    last_error: SourceError | None = None
    try:
        await pool.probe_all(None)
        for peer in pool.by_preference(None):
            assert peer.explorer is not None, "only hosts that were met are ranked"
            try:
                linker.set_chain(await read_end_of_chain(peer.explorer, config.network))
                return await _read(peer.explorer, project_id, linker)
            except SourceError as error:
                last_error = error
        raise last_error or SourceError("explorers", "none of them answers", "unavailable")
    finally:
        await pool.close()


async def _read(explorer: Explorer, project_id: str, linker: AncestryLinker) -> HistorySeen:
    while True:
        outcome = await read_history(explorer, project_id, now(), linker, with_payments=True)
        match outcome:
            case HistorySeen():
                return outcome
            case PartialHistory():
                raise AssertionError("it is read without a time limit")
            case NeedsLink() | NeedsAnswers():
                while not await linker.step(explorer):
                    pass
            case NeedsOthers():
                raise Unavailable(explorer.name, "is the only one that names old blocks", "alone")
            case _:
                assert_never(outcome)


def _proven(ref: BlockRef, placed: PlacedTx) -> ProvenTx:
    place = Place(ref.height, ref.hash, placed.position, ref.time)
    stored = StoredTx(placed.tx, place, ref.time, gone=False)
    return ProvenTx(stored, ref.header, placed.siblings, raw_block=False)


async def _event(config: Config, named: list[str], recorded: EvidenceFacts | None) -> Event | None:
    """The event the first founding transaction names: from the relays, else from the record."""
    if not named:
        return None if recorded is None else recorded.event
    proxy = proxy_settings(config)
    endpoints = [RelayEndpoint(relay, proxy, RelayTiming()) for relay in relay_settings(config)]
    events = await find_events(endpoints, named[:1])
    if named[0] in events:
        return events[named[0]]
    event = None if recorded is None else recorded.event
    return event if event is not None and event.id == named[0] else None
