"""Scan blocks for watched outputs and founding transactions (`angor.watched_outputs`).

A block is scanned in a thread, and a thread cannot be cancelled. So a scan only reads the watch set
and returns what the block adds to it; whoever awaits the scan adds that.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from raised.domain.angor.founding import Founding
from raised.domain.angor.watched_outputs import CoinKind, NewCoin, coins_made, names_key
from raised.domain.bitcoin.block import (
    Block,
    check_block,
    merkle_branch,
    merkle_levels,
    parse_block,
)
from raised.domain.bitcoin.tx import OutPoint, Tx, Txid, hex_from_raw, raw_from_hex
from raised.domain.observation import PlacedTx
from raised.errors import InvalidInput

FoundingTest = Callable[[Tx], Founding | None]
ScriptOf = Callable[[str], bytes]

_BIT: Final = {CoinKind.STAGE: 0, CoinKind.PENALTY: 1}


class WatchSet:
    """What is watched: scripts of projects, and coins as two bits for each output of a txid.

    A number for a transaction instead of an object for a coin: there are hundreds of thousands.
    Nothing is taken out while the process lives: what a reorg undoes may come back.
    """

    def __init__(self, script_of: ScriptOf) -> None:
        self._script_of = script_of
        self._scripts: dict[bytes, str] = {}
        self._projects: set[str] = set()
        self._coins: dict[Txid, int] = {}

    def __contains__(self, project_id: object) -> bool:
        return project_id in self._projects

    @property
    def projects(self) -> frozenset[str]:
        """The identifiers of all watched projects."""
        return frozenset(self._projects)

    def add_project(self, project_id: str) -> None:
        """Watch a project's address. Raises InvalidInput for text that is no identifier."""
        if project_id not in self._projects:
            self._scripts[self._script_of(project_id)] = project_id
            self._projects.add(project_id)

    def add_coin(self, outpoint: OutPoint, kind: CoinKind) -> None:
        """Watch who spends this output."""
        self._add_bits(outpoint.txid, 1 << (2 * outpoint.vout + _BIT[kind]))

    def add_made(self, txid: Txid, made: Iterable[NewCoin]) -> None:
        """Watch the coins a transaction made."""
        for coin in made:
            self.add_coin(OutPoint(txid, coin.vout), coin.kind)

    def add_all(self, added: "WatchOverlay") -> None:
        """Watch everything that a scan added."""
        for project_id in added._projects:  # noqa: SLF001 - of the same family
            self.add_project(project_id)
        for txid, bits in added._coins.items():  # noqa: SLF001
            self._add_bits(txid, bits)

    def kind_of(self, outpoint: OutPoint) -> CoinKind | None:
        """The kind of a watched coin."""
        match self._bits(outpoint.txid) >> (2 * outpoint.vout) & 3:
            case 0:
                return None
            case 2:
                return CoinKind.PENALTY
            case _:
                return CoinKind.STAGE

    def pays(self, tx: Tx) -> bool:
        """Whether a transaction pays a watched project."""
        scripts = self._scripts
        # As a loop, because this runs for every transaction of a block and any() is slower.
        for _, script in tx.outputs:  # noqa: SIM110
            if script in scripts:
                return True
        return False

    def spends(self, tx: Tx) -> list[tuple[int, CoinKind]]:
        """The watched coins a transaction spends: (input number, kind)."""
        coins = self._coins
        spent: list[tuple[int, CoinKind]] = []
        for vin, txin in enumerate(tx.inputs):
            if txin.outpoint.txid in coins and (kind := self.kind_of(txin.outpoint)):
                spent.append((vin, kind))
        return spent

    def _add_bits(self, txid: Txid, bits: int) -> None:
        self._coins[txid] = self._coins.get(txid, 0) | bits

    def _bits(self, txid: Txid) -> int:
        return self._coins.get(txid, 0)


class WatchOverlay(WatchSet):
    """A watch set on top of another one, which it reads and does not change."""

    def __init__(self, below: WatchSet) -> None:
        super().__init__(below._script_of)  # noqa: SLF001 - of the same family
        self._below = below

    def __contains__(self, project_id: object) -> bool:
        return super().__contains__(project_id) or project_id in self._below

    def add_project(self, project_id: str) -> None:
        """Watch a project's address, unless it is watched already. Raises InvalidInput."""
        if project_id not in self:
            super().add_project(project_id)

    def pays(self, tx: Tx) -> bool:
        """Whether a transaction pays a project that one of the two watches."""
        own, below = self._scripts, self._below._scripts  # noqa: SLF001 - of the same family
        for _, script in tx.outputs:  # noqa: SIM110 - as above
            if script in below or script in own:
                return True
        return False

    def spends(self, tx: Tx) -> list[tuple[int, CoinKind]]:
        """The coins a transaction spends that one of the two watches."""
        own, below = self._coins, self._below._coins  # noqa: SLF001 - of the same family
        spent: list[tuple[int, CoinKind]] = []
        for vin, txin in enumerate(tx.inputs):
            txid = txin.outpoint.txid
            if (txid in below or txid in own) and (kind := self.kind_of(txin.outpoint)):
                spent.append((vin, kind))
        return spent

    def _bits(self, txid: Txid) -> int:
        return super()._bits(txid) | self._below._bits(txid)  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class ScannedBlock:
    """The transactions of a block that concern us, in block order, and what they add to watch."""

    txs: tuple[PlacedTx, ...]
    added: WatchOverlay


def add_relevant(tx: Tx, watched: WatchSet, founding_of: FoundingTest) -> bool:
    """Whether a transaction concerns us; then what it founds and makes is watched from here on.

    At once, because a spend further down the same block has to be seen, too.
    """
    spent = watched.spends(tx)
    # The whole test costs a point addition, so nearly every transaction is sorted out before.
    founding = founding_of(tx) if names_key(tx) else None
    if founding is not None:
        watched.add_project(founding.project_id)
    pays_project = watched.pays(tx)
    if not pays_project and not spent:
        return False
    watched.add_made(tx.txid, coins_made(tx, pays_project=pays_project, spent=spent))
    return True


def read_block(raw: bytes, block_hash: str) -> Block:
    """The block in these bytes, once it has this hash and its transactions match its header.

    Raises InvalidInput.
    """
    block = parse_block(raw)
    if block.header.hash != block_hash:
        raise InvalidInput("another block than asked for")
    check_block(block)
    return block


def scan_block(block: Block, watched: WatchSet, founding_of: FoundingTest) -> ScannedBlock:
    """What concerns us in a checked block. `watched` stays as it is."""
    overlay = WatchOverlay(watched)
    relevant = [
        (position, tx)
        for position, tx in enumerate(block.txs)
        if add_relevant(tx, overlay, founding_of)
    ]
    return ScannedBlock(_placed(block, relevant), overlay)


def read_and_scan(
    raw: bytes, block_hash: str, watched: WatchSet, founding_of: FoundingTest
) -> ScannedBlock:
    """`read_block` and `scan_block` in one go, for a thread. Raises InvalidInput."""
    return scan_block(read_block(raw, block_hash), watched, founding_of)


def _placed(block: Block, relevant: Sequence[tuple[int, Tx]]) -> tuple[PlacedTx, ...]:
    if not relevant:
        return ()
    # Every level of the tree once: the branches of many transactions share it.
    levels = merkle_levels([raw_from_hex(tx.txid) for tx in block.txs])
    return tuple(_with_branch(levels, position, tx) for position, tx in relevant)


def _with_branch(levels: Sequence[Sequence[bytes]], position: int, tx: Tx) -> PlacedTx:
    branch = merkle_branch(levels, position)
    return PlacedTx(tx, position, tuple(map(hex_from_raw, branch)), "block")
