"""The other explorers, asked which old blocks they have: one request for each block of each."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from raised.chain.ancestry.disputes import Disputes, find_contradicting
from raised.chain.ancestry.header_links import FOREIGN
from raised.chain.explorer.api import Explorer
from raised.chain.explorer.peer import ExplorerPeer
from raised.errors import BadData, SourceError

Above = Callable[[int], tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Heard:
    """What others say of some blocks: `agreed` at these heights, `denied` at those.

    Who denied one did not answer for its word since, so nobody can say who is right.
    """

    agreed: frozenset[int]
    denied: frozenset[int]


class CrossCheck:
    """Everybody but the one that is read from. `above`: a block of our chain above a height."""

    def __init__(self, peers: Sequence[ExplorerPeer], disputes: Disputes, above: Above) -> None:
        self._peers = peers
        self._disputes = disputes
        self._above = above
        self._hashes: defaultdict[str, dict[int, str]] = defaultdict(dict)
        self._tried: set[tuple[str, int]] = set()
        self._denials: set[tuple[str, int, str]] = set()  # by whom, the height and the block

    def forget(self) -> None:
        """Ask anew: what they said may have been said of another chain."""
        self._hashes.clear()
        self._tried.clear()
        self._denials.clear()

    def others_than(self, explorer: Explorer) -> list[ExplorerPeer]:
        """Who can be asked about it now."""
        others = (peer for peer in self._peers if peer.name != explorer.name)
        return [peer for peer in others if peer.available and peer.explorer is not None]

    def seconds(self, explorer: Explorer, blocks: int) -> float | None:
        """How long it takes to ask everybody for so many; None when there is nobody."""
        paces = [peer.http.rate_limit.per_second for peer in self.others_than(explorer)]
        return blocks / min(paces) if paces else None

    def heights_not_asked(self, explorer: Explorer, heights: Iterable[int]) -> set[int]:
        """Those heights that `ask` has not tried with everybody."""
        names = [peer.name for peer in self.others_than(explorer)]
        return {at for at in heights if any((name, at) not in self._tried for name in names)}

    async def ask(self, explorer: Explorer, height: int) -> None:
        """Ask everybody for the block at this height, and remember what they say."""
        for peer in self.others_than(explorer):
            self._tried.add((peer.name, height))
            try:
                await self._block_hash(peer, height)
            except SourceError as error:
                await peer.on_error(error)

    async def ask_all(self, explorer: Explorer, blocks: Mapping[int, str]) -> Heard:
        """What all others say of blocks by height.

        A witness that lies or fails costs itself. Raises BadData when one convicts the explorer,
        and Unavailable when that one has no answer.
        """
        agreed: set[int] = set()
        for peer in self.others_than(explorer):
            agreed |= await self._ask_peer(explorer, peer, blocks)
        denied = {at for _, at, block_hash in self._denials if blocks.get(at) == block_hash}
        return Heard(frozenset(agreed), frozenset(denied))

    async def _ask_peer(
        self, explorer: Explorer, peer: ExplorerPeer, blocks: Mapping[int, str]
    ) -> set[int]:
        """The heights at which a host names the same block."""
        agreed: set[int] = set()
        try:
            for height, block_hash in blocks.items():
                word = await self._block_hash(peer, height)
                if word is None:
                    continue
                if word != block_hash and not await self._agrees(
                    explorer, peer, height, block_hash
                ):
                    return set()
                agreed.add(height)
        except SourceError as error:
            if error.source != peer.name:
                raise
            await peer.on_error(error)
            if isinstance(error, BadData):
                self._denials = {one for one in self._denials if one[0] != peer.name}
                return set()
        return agreed

    async def _block_hash(self, peer: ExplorerPeer, height: int) -> str | None:
        held = self._hashes[peer.name].get(height)
        if held is None:
            assert peer.explorer is not None, "only those that were met are asked"
            held = await peer.explorer.block_hash(height)
            if held is not None:
                self._hashes[peer.name][height] = held
        return held

    async def _agrees(
        self, explorer: Explorer, peer: ExplorerPeer, height: int, block_hash: str
    ) -> bool:
        """Whether a host that denied a block names it when asked again, or who is right is settled.

        False when it does not show our chain. Raises BadData of the one that contradicts itself.
        """
        denial = (peer.name, height, block_hash)
        self._denials.add(denial)
        self._hashes.pop(peer.name, None)
        agrees = await self._settle(explorer, peer, height, block_hash)
        self._denials.discard(denial)
        return agrees

    async def _settle(
        self, explorer: Explorer, peer: ExplorerPeer, height: int, block_hash: str
    ) -> bool:
        assert peer.explorer is not None, "only those that were met are asked"
        above = self._above(height)
        if await peer.explorer.block_hash(above[0]) != above[1]:
            return False
        if await self._block_hash(peer, height) == block_hash:
            return True
        self._disputes.record(explorer.name, peer.name, agree=False)
        lost = await find_contradicting(explorer, peer.explorer, height, above)
        # When none is named, the explorer itself names another block now than in its proof.
        guilty = peer.name if lost == {peer.name} else explorer.name
        self._disputes.resolve(explorer.name, peer.name, guilty)
        raise BadData(guilty, "names an old block that is not below ours", FOREIGN)
