"""The chain source: explorers in, blocks and histories out, for ever."""

import asyncio
import contextlib
from functools import partial
from typing import Never

import httpx
import structlog

from raised.chain.branch import Branch, find_branch
from raised.chain.headers import MEDIAN_SPAN, HeaderChain
from raised.chain.host import Host
from raised.chain.index import read_history
from raised.chain.knowledge import ChainRecord
from raised.chain.mempool import read_mempool
from raised.chain.panel import Panel
from raised.chain.scan import Watched, read_and_scan
from raised.chain.settings import ChainSettings
from raised.clock import now
from raised.domain.block import parse_header
from raised.domain.founding import founding_of
from raised.domain.identifier import project_script
from raised.domain.network import Network
from raised.domain.observation import BlockSeen, Observation, Progress, RolledBack, TipSeen
from raised.errors import BadData, InvalidInput, RaisedError, SourceError, Unavailable

_log = structlog.get_logger()
_ACTIVE = 50


class Explorers:
    """The chain source."""

    def __init__(
        self,
        settings: ChainSettings,
        network: Network,
        record: ChainRecord,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._network = network
        self._record = record
        self._panel = Panel(settings.explorers, network, transport)
        self._founding_of = partial(founding_of, network=network)
        self._watched = Watched(project_script)
        self._chain: HeaderChain | None = None
        self._news = asyncio.Event()
        self._doubted_since: dict[str, float] = {}
        self._reported: dict[str, object] = {}
        self._outbox: asyncio.Queue[Observation]

    def wake(self) -> None:
        self._news.set()

    async def close(self) -> None:
        await self._panel.close()

    async def follow(self, outbox: asyncio.Queue[Observation]) -> Never:
        self._outbox = outbox
        await self._load()
        first = True
        while True:
            await self._panel.look(None)
            for host in self._panel.ranked(self._chain):
                try:
                    await self._sync(host)
                    await self._index(host, first)
                    first = False
                    await self._mempool(host)
                    host.believe()
                    break
                except SourceError as error:
                    host.blame(error)
            if self._chain is not None:
                await self._panel.compare(self._chain)
            for health in self._panel.health(self._settings.verify or "blocks"):
                key = (health.state, health.last_error, health.facts.get("height"))
                if self._reported.get(health.name) != key:
                    self._reported[health.name] = key
                    await outbox.put(health)
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll(self._network.name)):
                    await asyncio.Event().wait()

    async def _load(self) -> None:
        for project_id in await self._record.watched_projects():
            self._watched.add_project(project_id)
        async for coin in self._record.watched_coins():
            self._watched.add_coin(coin.outpoint, coin.kind)
        blocks = await self._record.recent_blocks(self._settings.finality + MEDIAN_SPAN)
        linked = []
        for ref in blocks:
            if linked and linked[-1].prev_hash != ref.hash:
                break
            linked.append(ref)
        if linked:
            headers = [parse_header(ref.header) for ref in reversed(linked)]
            self._chain = HeaderChain(linked[-1].height, headers)

    async def _sync(self, host: Host) -> None:
        assert host.explorer is not None
        if self._chain is None:
            page = await host.explorer.headers()
            if page[-1][0] > 0 and len(page) < MEDIAN_SPAN + 1:
                page = (*page, *await host.explorer.headers(page[-1][0] - 1))
            self._chain = HeaderChain(page[-1][0], [h for _, h in reversed(page)])
            ref = self._chain.ref(self._chain.height)
            await self._outbox.put(TipSeen(ref, host.name, now()))
            return
        if host.tip_hash == self._chain.tip.hash:
            return
        branch = await find_branch(
            host.explorer, self._chain, self._settings.catch_up_blocks + 300, self._network.name
        )
        if branch.fork is None:
            raise Unavailable(host.name, "is on a chain that left ours too long ago", "deep")
        if branch.fork < self._chain.height:
            if not self._believes(host, branch):
                return
            to = self._chain.ref(branch.fork)
            old = self._chain
            self._chain = old.cut(branch.fork)
            fresh = HeaderChain(branch.fork, [self._chain.tip, *branch.headers])
            await self._outbox.put(RolledBack(to, fresh.ref(fresh.height), host.name, now()))
        for header in branch.headers:
            raw = await host.explorer.raw_block(header.hash)
            if raw is None:
                raise Unavailable(host.name, "has no raw block", "no_raw")
            try:
                txs = await asyncio.to_thread(
                    read_and_scan, raw, header.hash, self._watched, self._founding_of
                )
            except InvalidInput as error:
                raise BadData(
                    host.name, "sent a block that does not prove itself", "wrong_block"
                ) from error
            self._chain.append(header)
            self._chain.forget(self._settings.finality + 2 * MEDIAN_SPAN)
            await self._outbox.put(
                BlockSeen(self._chain.ref(self._chain.height), txs, host.name, now())
            )

    def _believes(self, host: Host, branch: Branch) -> bool:
        assert self._chain is not None and branch.fork is not None
        if branch.work > self._chain.work_above(branch.fork):
            self._doubted_since.pop(host.name, None)
            return True
        since = self._doubted_since.setdefault(host.name, asyncio.get_running_loop().time())
        return asyncio.get_running_loop().time() - since > self._settings.patience(
            self._network.name
        )

    async def _index(self, host: Host, first: bool) -> None:
        assert self._chain is not None and host.explorer is not None
        waiting = await self._record.unindexed_projects()
        for done, project_id in enumerate(waiting):
            self._watched.add_project(project_id)
            tip = self._chain.ref(self._chain.height)
            seen = await read_history(host.explorer, project_id, tip, now())
            for _, placed in seen.txs:
                from raised.chain.scan import concern

                concern(placed.tx, self._watched, self._founding_of)
            await self._outbox.put(seen)
            if first:
                await self._outbox.put(Progress("index", done, len(waiting), now()))
        if first:
            await self._outbox.put(Progress("index", len(waiting), len(waiting), now()))
        if waiting:
            await self._outbox.join()

    async def _mempool(self, host: Host) -> None:
        assert host.explorer is not None
        projects = await self._record.active_projects(_ACTIVE)
        unconfirmed = await self._record.unconfirmed()
        seen = await read_mempool(
            host.explorer, projects, unconfirmed, self._watched, self._founding_of, now()
        )
        if await host.explorer.tip_hash() == self._chain.tip.hash:
            await self._outbox.put(seen)
