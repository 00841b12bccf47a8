"""Asking the other explorers which old blocks they have: one request for each block of each."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from raised.chain.ancestry.disputes import Disputes, find_contradicting
from raised.chain.ancestry.header_links import FOREIGN_BLOCK
from raised.chain.explorer.api import Explorer
from raised.chain.explorer.peer import ExplorerPeer
from raised.errors import BadData, SourceError

BlockAbove = Callable[[int], tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Answers:
    """What others say of some blocks, by height: `confirmed` or `denied`.

    A denial stays until the explorer that made it was asked to prove it.
    """

    confirmed: frozenset[int]
    denied: frozenset[int]


class CrossCheck:
    """All explorers but the one that is read from.

    `above`: height and hash of the lowest known block of our chain above a height.
    """

    def __init__(
        self, peers: Sequence[ExplorerPeer], disputes: Disputes, above: BlockAbove
    ) -> None:
        self._peers = peers
        self._disputes = disputes
        self._above = above
        self._hashes: defaultdict[str, dict[int, str]] = defaultdict(dict)
        self._asked: set[tuple[str, int]] = set()
        self._denials: set[tuple[str, int, str]] = set()  # the peer, the height and the block

    def reset(self) -> None:
        """Ask anew: the answers may be about another chain."""
        self._hashes.clear()
        self._asked.clear()
        self._denials.clear()

    def others_than(self, explorer: Explorer) -> list[ExplorerPeer]:
        """The other peers that can be asked now."""
        others = (peer for peer in self._peers if peer.name != explorer.name)
        return [peer for peer in others if peer.available and peer.explorer is not None]

    def seconds(self, explorer: Explorer, blocks: int) -> float | None:
        """How long it takes to ask all others for so many blocks; None without others."""
        rates = [peer.http.rate_limit.per_second for peer in self.others_than(explorer)]
        return blocks / min(rates) if rates else None

    def heights_not_asked(self, explorer: Explorer, heights: Iterable[int]) -> set[int]:
        """Those heights that `ask_about` has not tried with every other."""
        names = [peer.name for peer in self.others_than(explorer)]
        return {at for at in heights if any((name, at) not in self._asked for name in names)}

    async def ask_about(self, explorer: Explorer, height: int) -> None:
        """Ask all others for the block at this height, and remember the answers."""
        for peer in self.others_than(explorer):
            self._asked.add((peer.name, height))
            try:
                await self._hash_at(peer, height)
            except SourceError as error:
                await peer.on_error(error)

    async def ask_all(self, explorer: Explorer, blocks: Mapping[int, str]) -> Answers:
        """What all others say of these blocks, hash by height.

        The error of another peer counts against that peer. Raises BadData when the explorer itself
        contradicts itself, and Unavailable when it does not answer.
        """
        confirmed: set[int] = set()
        for peer in self.others_than(explorer):
            confirmed |= await self._ask_peer(explorer, peer, blocks)
        denied = {at for _, at, block_hash in self._denials if blocks.get(at) == block_hash}
        return Answers(frozenset(confirmed), frozenset(denied))

    async def _ask_peer(
        self, explorer: Explorer, peer: ExplorerPeer, blocks: Mapping[int, str]
    ) -> set[int]:
        """The heights at which a peer names the same block."""
        confirmed: set[int] = set()
        try:
            for height, block_hash in blocks.items():
                named = await self._hash_at(peer, height)
                if named is None:
                    continue
                if named != block_hash and not await self._agrees_when_asked_again(
                    explorer, peer, height, block_hash
                ):
                    return set()
                confirmed.add(height)
        except SourceError as error:
            if error.source != peer.name:
                raise
            await peer.on_error(error)
            if isinstance(error, BadData):
                # Whoever contradicts itself denies nothing any more.
                self._denials = {denial for denial in self._denials if denial[0] != peer.name}
                return set()
        return confirmed

    async def _hash_at(self, peer: ExplorerPeer, height: int) -> str | None:
        known = self._hashes[peer.name].get(height)
        if known is None:
            assert peer.explorer is not None, "others_than gives only peers that were probed"
            known = await peer.explorer.block_hash(height)
            if known is not None:
                self._hashes[peer.name][height] = known
        return known

    async def _agrees_when_asked_again(
        self, explorer: Explorer, peer: ExplorerPeer, height: int, block_hash: str
    ) -> bool:
        """Whether a peer that denied a block names it now. False when it shows another chain.

        Raises BadData of the one that contradicts itself. The denial stays when that fails half
        way: then nobody can say who is right.
        """
        denial = (peer.name, height, block_hash)
        self._denials.add(denial)
        self._hashes.pop(peer.name, None)
        agrees = await self._compare(explorer, peer, height, block_hash)
        self._denials.discard(denial)
        return agrees

    async def _compare(
        self, explorer: Explorer, peer: ExplorerPeer, height: int, block_hash: str
    ) -> bool:
        assert peer.explorer is not None, "others_than gives only peers that were probed"
        above = self._above(height)
        if await peer.explorer.block_hash(above[0]) != above[1]:
            return False
        if await self._hash_at(peer, height) == block_hash:
            return True
        self._disputes.record(explorer.name, peer.name, agree=False)
        wrong = await find_contradicting(explorer, peer.explorer, height, above)
        # When nobody is named, the explorer itself names another block now than in its proof.
        guilty = peer.name if wrong == {peer.name} else explorer.name
        self._disputes.resolve(explorer.name, peer.name, guilty)
        raise BadData(guilty, "names an old block that is not below ours", FOREIGN_BLOCK)
