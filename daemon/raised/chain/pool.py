"""All explorers together: who is asked first, who agrees with whom, what to report of each."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import httpx

from raised.chain.ancestry.disputes import Disputes
from raised.chain.explorer.http import ExplorerHttp
from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.header_chain import HeaderChain
from raised.chain.settings import ExplorerSettings
from raised.domain.angor.network import Network
from raised.domain.observation import SourceHealth
from raised.errors import SourceError

_LAG_BLOCKS: Final = 2
_GRACE_SECONDS: Final = 0.5  # for those who are not the first to answer
_LATENCY_STEP_MS: Final = 250  # small differences of speed do not decide


class ExplorerPool:
    """The configured explorers, in the order of the configuration."""

    def __init__(
        self,
        explorers: Sequence[ExplorerSettings],
        network: Network,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.peers = tuple(
            ExplorerPeer(ExplorerHttp(settings, transport), network) for settings in explorers
        )
        self._late: set[str] = set()
        self.disputes = Disputes()

    async def close(self) -> None:
        """Close all connections."""
        for peer in self.peers:
            await peer.http.close()

    async def probe_all(self, sample: bytes | None = None) -> None:
        """See every host's tip, all at once, and wait for all of them."""
        async with asyncio.TaskGroup() as looks:
            for peer in self.peers:
                looks.create_task(peer.poll_tip(sample), name=f"poll the tip of {peer.name}")

    async def poll_tips(self, looks: asyncio.TaskGroup) -> None:
        """See the tip of every host that may be asked, and do not wait for one that stalls.

        Once a host answers, the others have a moment to do so, too. Whoever takes longer is not
        available until it does; what it shows then counts at the next glance.
        """
        begun = {
            looks.create_task(peer.poll_tip(), name=f"poll the tip of {peer.name}")
            for peer in self.peers
            if peer.available and peer.name not in self._late
        }
        answered = False
        while begun and not answered:
            done, begun = await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
            answered = any(task.result() for task in done)
        if begun:
            await asyncio.wait(begun, timeout=_GRACE_SECONDS)
        self._late = {peer.name for peer in self.peers if peer.polling}

    def by_preference(self, chain: HeaderChain | None) -> list[ExplorerPeer]:
        """The hosts that can be asked, best first: by tip, raw blocks, latency, then as configured.

        Those on another chain than ours come last, however new their tips are; before them those
        that kept us waiting.
        """
        able = [peer for peer in self.peers if peer.available and peer.explorer and peer.tip_hash]
        return sorted(able, key=lambda peer: _rank(peer, chain))

    async def compare_chains(self, chain: HeaderChain) -> None:
        """Find out of each host whether it shows our chain, as far as that is not known."""
        async with asyncio.TaskGroup() as compared:
            for peer in self.peers:
                place_peer(peer, chain)
                if len(self.peers) > 1 and _is_to_compare(peer):
                    compared.create_task(_compare(peer, chain))

    def unresponsive(self, asked: ExplorerPeer) -> ExplorerPeer | None:
        """Who keeps the turn of a host waiting: itself, when another can be asked, or a witness."""
        others = [peer for peer in self.peers if peer is not asked]
        able = any(one.available and one.tip_hash and not one.stalled for one in others)
        silent = (peer for peer in self.peers if peer.http.is_late and not peer.polling)
        return next((peer for peer in silent if able or peer is not asked), None)

    def others_serve_blocks(self, asked: ExplorerPeer) -> bool:
        """Whether another host than this one can be asked for raw blocks, and is not behind."""
        return any(
            peer.has_raw_blocks
            and peer.available
            and not peer.stalled
            and peer.on_our_chain is not False
            for peer in self.peers
            if peer is not asked
        )

    def reset_chain_membership(self) -> None:
        """Our chain is another one now: who shows it must be found out again."""
        for peer in self.peers:
            peer.on_our_chain = None

    async def count_agreement(
        self, height: int, block_hash: str, asked: ExplorerPeer
    ) -> tuple[int, int]:
        """How many hosts have this block at this height, and how many could have it.

        A host far behind can say nothing about a new block, so it does not count.
        """
        able = [
            peer
            for peer in self.peers
            if peer is not asked
            and peer.available
            and peer.explorer is not None
            and (peer.tip_height is None or peer.tip_height >= height - _LAG_BLOCKS)
        ]
        words = await asyncio.gather(*(_hash_at(peer, height) for peer in able))
        for peer, word in zip(able, words, strict=True):
            if word:
                self.disputes.record(asked.name, peer.name, agree=word == block_hash)
        return 1 + words.count(block_hash), 1 + len(words) - words.count(None)

    def health(self, verify: str) -> list[SourceHealth]:
        """One report for each host."""
        return [self._health(peer, verify) for peer in self.peers]

    def _health(self, peer: ExplorerPeer, verify: str) -> SourceHealth:
        health = peer.health(verify, self._opponents(peer))
        doubtful = health.state == "ok" and self.disputes.is_doubtful(peer.name)
        return replace(health, state="degraded") if doubtful else health

    def _opponents(self, peer: ExplorerPeer) -> tuple[str, ...]:
        disputed = self.disputes.opponents_of(peer.name)
        return tuple(
            other.name
            for other in self.peers
            if other.name in disputed
            or (
                None not in (peer.on_our_chain, other.on_our_chain)
                and other.on_our_chain is not peer.on_our_chain
            )
        )


def place_peer(peer: ExplorerPeer, chain: HeaderChain) -> None:
    """Set the height of a host's tip, and whether it lags, where our own chain tells."""
    height = chain.height_of(peer.tip_hash) if peer.tip_hash else None
    if height is not None:
        peer.on_our_chain = True
        _place(peer, height, chain)


def _place(peer: ExplorerPeer, height: int, chain: HeaderChain) -> None:
    peer.tip_height = height
    if height < chain.height - _LAG_BLOCKS:
        peer.set_chain_problem("behind", "is behind: newer blocks of our chain are missing")
    else:
        peer.clear_chain_problem()


def _rank(peer: ExplorerPeer, chain: HeaderChain | None) -> tuple[bool, bool, int, bool, int]:
    known = chain.height_of(peer.tip_hash) if chain and peer.tip_hash else None
    behind = 0 if chain is None or known is None else 1 + chain.height - known
    latency = (peer.http.stats.latency_ms or 0) // _LATENCY_STEP_MS
    return peer.on_our_chain is False, peer.stalled, behind, not peer.has_raw_blocks, latency


async def _hash_at(peer: ExplorerPeer, height: int) -> str | None:
    """The block a host has at this height, empty for none; None when it cannot say."""
    assert peer.explorer is not None, "checked by the caller"
    try:
        return await peer.explorer.block_hash(height) or ""
    except SourceError as error:
        await peer.on_error(error)
        return None


def _is_to_compare(peer: ExplorerPeer) -> bool:
    unknown = peer.on_our_chain is None and peer.tip_hash is not None
    return unknown and peer.available and not peer.stalled


async def _compare(peer: ExplorerPeer, chain: HeaderChain) -> None:
    try:
        await _take_stance(peer, chain)
    except SourceError as error:
        await peer.on_error(error)


async def _take_stance(peer: ExplorerPeer, chain: HeaderChain) -> None:
    assert peer.explorer is not None, "a host with a tip was met"
    ours = await peer.explorer.block_hash(chain.height)
    if ours is not None:
        peer.on_our_chain = ours == chain.tip.hash
        return
    height, header = (await peer.explorer.headers())[0]
    held = chain.at(height)
    peer.on_our_chain = None if held is None else held.hash == header.hash
    _place(peer, height, chain)
