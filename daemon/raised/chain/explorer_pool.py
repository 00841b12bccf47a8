"""All explorers together: who is asked first, who agrees with whom, and the health of each."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from raised.chain.ancestry.disputes import Disputes
from raised.chain.explorer.http import ExplorerHttp
from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.header_chain import HeaderChain
from raised.chain.settings import ExplorerSettings
from raised.domain.angor.network import Network
from raised.domain.observation import SourceHealth
from raised.errors import SourceError
from raised.net.http_client import Transport

# Machines behind one name differ by a block or two (docs/chain-api.md 9): that is not "behind".
_LAG_BLOCKS: Final = 2
_GRACE_SECONDS: Final = 0.5  # for the others, once the first explorer has shown its tip
_LATENCY_STEP_MS: Final = 250  # smaller differences do not change the order


class ExplorerPool:
    """The configured explorers, in the order of the configuration."""

    def __init__(
        self,
        explorers: Sequence[ExplorerSettings],
        network: Network,
        transport: Transport | None = None,
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
        """Poll every peer's tip, all at once, and wait for all of them."""
        async with asyncio.TaskGroup() as polls:
            for peer in self.peers:
                polls.create_task(peer.poll_tip(sample), name=f"poll the tip of {peer.name}")

    async def poll_tips(self, polls: asyncio.TaskGroup) -> None:
        """Poll the tip of every peer that may be asked, without waiting for one that stalls.

        Once a peer answers, the others have a moment to do so, too. A peer that takes longer is
        not available until it does; the tip it shows then counts at the next poll.
        """
        pending = {
            polls.create_task(peer.poll_tip(), name=f"poll the tip of {peer.name}")
            for peer in self.peers
            # One that was late last time must not cost the grace time at every poll.
            if peer.available and peer.name not in self._late
        }
        answered = False
        while pending and not answered:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            answered = any(task.result() for task in done)
        if pending:
            await asyncio.wait(pending, timeout=_GRACE_SECONDS)
        self._late = {peer.name for peer in self.peers if peer.polling}

    def by_preference(self, chain: HeaderChain | None) -> list[ExplorerPeer]:
        """The peers that can be asked, best first: by tip, raw blocks, latency, configuration.

        Those on another chain than ours come last, however new their tips are; before them those
        that did not answer a while ago.
        """
        usable = [
            peer
            for peer in self.peers
            if peer.available and peer.may_take_turn and peer.explorer and peer.tip_hash
        ]
        return sorted(usable, key=lambda peer: _rank(peer, chain))

    async def compare_chains(self, chain: HeaderChain) -> None:
        """Find out of each peer whether it shows our chain, as far as that is not known."""
        async with asyncio.TaskGroup() as comparisons:
            for peer in self.peers:
                place_peer(peer, chain)
                if len(self.peers) > 1 and _is_to_compare(peer):
                    comparisons.create_task(_compare(peer, chain))

    def unresponsive(self, current: ExplorerPeer) -> ExplorerPeer | None:
        """The peer that keeps the turn of `current` waiting.

        That is `current` itself only when another one can be asked instead; else another peer that
        the turn asks for a comparison.
        """
        others = [peer for peer in self.peers if peer is not current]
        replaceable = any(peer.available and peer.tip_hash and not peer.stalled for peer in others)
        late = (peer for peer in self.peers if peer.http.is_late and not peer.polling)
        return next((peer for peer in late if replaceable or peer is not current), None)

    def others_serve_blocks(self, current: ExplorerPeer) -> bool:
        """Whether another peer can be asked for raw blocks, and is not on another chain."""
        return any(
            peer.has_raw_blocks
            and peer.available
            and not peer.stalled
            and peer.on_our_chain is not False
            for peer in self.peers
            if peer is not current
        )

    def at_our_tip(self, current: ExplorerPeer) -> list[ExplorerPeer]:
        """The peers that show the tip of `current` and can be asked now, that one first."""
        others = [
            peer
            for peer in self.peers
            if peer is not current
            and peer.available
            and not peer.stalled
            and peer.explorer is not None
            and peer.tip_hash == current.tip_hash
        ]
        return [current, *others]

    def reset_chain_membership(self) -> None:
        """Our chain is another one now: which peers show it is to be found out again."""
        for peer in self.peers:
            peer.on_our_chain = None

    async def count_agreement(
        self, height: int, block_hash: str, current: ExplorerPeer
    ) -> tuple[int, int]:
        """How many peers have this block at this height, and how many could have it.

        `current` has it. A peer far behind can say nothing about a new block, so it does not count.
        """
        able = [
            peer
            for peer in self.peers
            if peer is not current
            and peer.available
            and peer.explorer is not None
            and (peer.tip_height is None or peer.tip_height >= height - _LAG_BLOCKS)
        ]
        hashes = await asyncio.gather(*(_hash_at(peer, height) for peer in able))
        for peer, named in zip(able, hashes, strict=True):
            if named:
                self.disputes.record(current.name, peer.name, agree=named == block_hash)
        return 1 + hashes.count(block_hash), 1 + len(hashes) - hashes.count(None)

    def count_voices(self) -> int:
        """How many explorers can say something about our chain now.

        Not those that are down or on another chain; one that was not asked yet counts.
        """
        return len(self.peers) - sum(
            peer.on_our_chain is False or (peer.state == "down" and peer.was_asked)
            for peer in self.peers
        )

    def health(self, verify: str) -> list[SourceHealth]:
        """One report for each peer."""
        return [self._health(peer, verify) for peer in self.peers]

    def _health(self, peer: ExplorerPeer, verify: str) -> SourceHealth:
        health = peer.health(verify, self._opponents(peer))
        is_doubtful = health.state == "ok" and self.disputes.is_doubtful(peer.name)
        return replace(health, state="degraded") if is_doubtful else health

    def _opponents(self, peer: ExplorerPeer) -> tuple[str, ...]:
        disputed = self.disputes.opponents_of(peer.name)
        return tuple(
            other.name
            for other in self.peers
            if other.name in disputed or _are_on_different_chains(peer, other)
        )


def place_peer(peer: ExplorerPeer, chain: HeaderChain) -> None:
    """Set the height of a peer's tip, and whether it lags, where our own chain tells."""
    height = chain.height_of(peer.tip_hash) if peer.tip_hash else None
    if height is not None:
        peer.on_our_chain = True
        _set_height(peer, height, chain)


def _set_height(peer: ExplorerPeer, height: int, chain: HeaderChain) -> None:
    peer.tip_height = height
    if height < chain.height - _LAG_BLOCKS:
        peer.set_chain_problem("behind", "is behind: newer blocks of our chain are missing")
    else:
        peer.clear_chain_problem()


def _are_on_different_chains(peer: ExplorerPeer, other: ExplorerPeer) -> bool:
    both = (peer.on_our_chain, other.on_our_chain)
    return None not in both and both[0] is not both[1]


def _rank(peer: ExplorerPeer, chain: HeaderChain | None) -> tuple[bool, bool, int, bool, int]:
    """What `by_preference` sorts by: the lower the better."""
    height = chain.height_of(peer.tip_hash) if chain and peer.tip_hash else None
    # A tip that we do not know is most likely a new block, so it comes before all we know.
    behind = 0 if chain is None or height is None else 1 + chain.height - height
    latency = (peer.http.stats.latency_ms or 0) // _LATENCY_STEP_MS
    return peer.on_our_chain is False, peer.stalled, behind, not peer.has_raw_blocks, latency


async def _hash_at(peer: ExplorerPeer, height: int) -> str | None:
    """The block a peer has at this height, empty for none; None when it does not answer."""
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
        await _find_chain_membership(peer, chain)
    except SourceError as error:
        await peer.on_error(error)


async def _find_chain_membership(peer: ExplorerPeer, chain: HeaderChain) -> None:
    """Ask for the block at our height; when the peer has none, look up its tip in our chain."""
    assert peer.explorer is not None, "a peer with a tip was probed"
    block_hash = await peer.explorer.block_hash(chain.height)
    if block_hash is not None:
        peer.on_our_chain = block_hash == chain.tip.hash
        return
    height, header = (await peer.explorer.headers())[0]
    ours = chain.at(height)
    peer.on_our_chain = None if ours is None else ours.hash == header.hash
    _set_height(peer, height, chain)
