"""`raised check`: the configuration and every source, tried once."""

import asyncio
import time
from dataclasses import dataclass, replace

import click

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.settings import StoreSettings
from raised.btcpay.store import is_outdated
from raised.chain.explorer_pool import ExplorerPool
from raised.config.load import Config
from raised.config.stores import WEBHOOK_SECRET, Store
from raised.domain.angor.network import network_named
from raised.errors import ConfigError, Refused, SourceError
from raised.nostr.sdk_client import RelayEndpoint, close_client, use_running_loop
from raised.nostr.settings import RelayTiming
from raised.service.source_settings import (
    explorer_settings,
    proxy_settings,
    relay_settings,
    settings_of_store,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One source, and what trying it showed."""

    kind: str
    name: str
    ok: bool
    words: str


async def check_sources(config: Config) -> int:
    """Print a table of what works and what does not; the exit code."""
    click.echo(f"configuration {config.path}: ok, network {config.network}")
    for warning in config.warnings:
        click.echo(f"warning: {warning}")
    use_running_loop()
    relays = asyncio.gather(*(_check_relay(endpoint) for endpoint in _endpoints(config)))
    explorers = _check_explorers(config)
    stores = asyncio.gather(*(_check_configured(config, store) for store in config.stores))
    findings = [*await relays, *await explorers, *await stores]
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        mark = "ok    " if finding.ok else "FAILED"
        click.echo(f"{mark}  {finding.kind:8}  {finding.name:{width}}  {finding.words}")
    return 0 if all(finding.ok for finding in findings) else 1


def _endpoints(config: Config) -> list[RelayEndpoint]:
    proxy = proxy_settings(config)
    return [RelayEndpoint(relay, proxy, RelayTiming()) for relay in relay_settings(config)]


async def _check_configured(config: Config, store: Store) -> Finding:
    """A store; one whose key cannot be read is a finding like any other."""
    try:
        settings = settings_of_store(config, store)
    except ConfigError as error:
        return Finding("store", store.label, ok=False, words="; ".join(error.problems))
    finding = await _check_store(settings)
    file = config.environment.secret_files.get((store.label, WEBHOOK_SECRET))
    if file is None or store.label in config.environment.webhook_secrets:
        return finding
    words = (
        f"{finding.words}; {file.variable}: {file.path} is not there, so deliveries are answered "
        f"503: run raised btcpay setup {store.label}"
    )
    return replace(finding, ok=False, words=words)


async def _check_relay(endpoint: RelayEndpoint) -> Finding:
    name = endpoint.settings.url
    begun = time.monotonic()
    try:
        client = endpoint.client()
        try:
            await endpoint.connect(client)
        finally:
            await close_client(client)
    except (SourceError, ConfigError) as error:
        return Finding("relay", name, ok=False, words=str(error).removeprefix(f"{name}: "))
    millis = round((time.monotonic() - begun) * 1000)
    return Finding("relay", name, ok=True, words=f"connected in {millis} ms")


async def _check_explorers(config: Config) -> list[Finding]:
    pool = ExplorerPool(explorer_settings(config), network_named(config.network))
    try:
        await pool.probe_all(None)
        return [
            Finding(
                "explorer",
                peer.name,
                ok=peer.tip_hash is not None,
                words=(
                    f"{peer.explorer.flavour}, tip {peer.tip_hash}"
                    if peer.explorer and peer.tip_hash
                    else _trouble(peer.http.stats.last_error)
                ),
            )
            for peer in pool.peers
        ]
    finally:
        await pool.close()


async def _check_store(settings: StoreSettings) -> Finding:
    server = Greenfield(settings)
    try:
        await server.is_synchronized()  # needs no key: tells a wrong address from a wrong key
        info = await server.server()
        await server.check_access()
        refunds = await _refunds_hidden(server)
    except SourceError as error:
        return Finding("store", settings.label, ok=False, words=error.detail)
    finally:
        await server.close()
    words = f"version {info.version}"
    words += ", older than 2.4.2: upgrade" if is_outdated(info.version) else ""
    words += "" if info.synchronized else ", its node has not all blocks yet"
    words += "" if settings.expects_events else ", no webhook: payments come by pulls"
    words += "" if refunds is None else f"; refunds are unknown: {refunds}"
    return Finding("store", settings.label, ok=refunds is None, words=words)


async def _refunds_hidden(server: Greenfield) -> str | None:
    """Why the key shows no refunds; None when it does."""
    try:
        await server.pull_payments()
        await server.payouts()
    except Refused as error:
        return error.detail
    return None


def _trouble(last_error: tuple[str, str] | None) -> str:
    return f"{last_error[1]} ({last_error[0]})" if last_error else "no answer"
