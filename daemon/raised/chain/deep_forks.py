"""Chains that left ours below all headers we keep: who shows them, when an operator must decide.

Such a reorg is not followed: finality says that nothing so deep is undone without being asked. One
explorer among several that shows it may be of another network or broken. When several name the same
other block, and nobody shows ours, then our record is of a chain that is gone.
"""

from collections import Counter
from typing import Final

from raised.chain.explorer.peer import ExplorerPeer
from raised.chain.explorer_pool import ExplorerPool
from raised.chain.header_chain import HeaderChain
from raised.chain.settings import ChainSettings
from raised.errors import RecordUnavailable

_FEWEST: Final = 2  # explorers that must name the same block, where there are that many


class DeepFork(RecordUnavailable):
    """All explorers show a chain that left ours deeper than finality."""


class DeepForks:
    """What each explorer shows in place of our oldest kept block, by its name."""

    def __init__(self, settings: ChainSettings, pool: ExplorerPool) -> None:
        self._finality = settings.finality
        self._peers = pool.peers
        self._needed = min(len(pool.peers), max(_FEWEST, settings.agreement))
        self._tips: dict[str, str | None] = {}
        self._blocks: dict[str, str | None] = {}

    def shows(self, peer: ExplorerPeer) -> bool:
        """Whether this tip of the peer is known to be of such a chain."""
        return peer.name in self._tips and self._tips[peer.name] == peer.tip_hash

    def record(self, peer: ExplorerPeer, block_hash: str | None) -> None:
        """The peer's chain left ours; this is its block at the height of our oldest header."""
        self._tips[peer.name], self._blocks[peer.name] = peer.tip_hash, block_hash

    def forget(self, peer: ExplorerPeer) -> None:
        """The peer shows our chain, or one that leaves it where we can follow."""
        self._tips.pop(peer.name, None)
        self._blocks.pop(peer.name, None)

    def mark(self) -> None:
        """Show in their health which explorers are on such a chain."""
        for peer in filter(self.shows, self._peers):
            peer.set_chain_problem("deep_fork", "shows a chain that left ours below finality")

    def check(self, chain: HeaderChain) -> None:
        """Raise DeepFork when enough explorers show the same other chain and none ours."""
        if any(self._may_show_ours(peer) for peer in self._peers):
            return
        blocks = Counter(block for block in self._blocks.values() if block is not None)
        for block_hash, count in blocks.most_common(1):
            if count >= self._needed:
                names = [name for name, block in self._blocks.items() if block == block_hash]
                raise DeepFork(
                    f"{' and '.join(names)} left our chain more than {self._finality} blocks ago, "
                    f"below height {chain.base}: if that is right, undo them with "
                    "`raised db rewind --to HEIGHT`"
                )

    def _may_show_ours(self, peer: ExplorerPeer) -> bool:
        is_asked = peer.available and peer.tip_hash is not None
        return is_asked and peer.name not in self._blocks and peer.on_our_chain is not False
