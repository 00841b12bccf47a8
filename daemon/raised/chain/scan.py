"""Finding in a block what concerns us: everything the rule of raised.domain.angor.watch names."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from raised.domain.angor.founding import Founding
from raised.domain.angor.watch import CoinKind, NewCoin, coins_made, names_key
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


class Watched:
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
        bit = 1 << (2 * outpoint.vout + _BIT[kind])
        self._coins[outpoint.txid] = self._coins.get(outpoint.txid, 0) | bit

    def add_made(self, txid: Txid, made: Iterable[NewCoin]) -> None:
        """Watch the coins a transaction made."""
        for coin in made:
            self.add_coin(OutPoint(txid, coin.vout), coin.kind)

    def kind_of(self, outpoint: OutPoint) -> CoinKind | None:
        """The kind of a watched coin."""
        mask = self._coins.get(outpoint.txid)
        if mask is None:
            return None
        match mask >> (2 * outpoint.vout) & 3:
            case 0:
                return None
            case 2:
                return CoinKind.PENALTY
            case _:
                return CoinKind.STAGE

    def paid(self, tx: Tx) -> str | None:
        """The first watched project that a transaction pays."""
        scripts = self._scripts
        for _, script in tx.outputs:
            if script in scripts:
                return scripts[script]
        return None

    def spends(self, tx: Tx) -> list[tuple[int, CoinKind]]:
        """The watched coins a transaction spends: (input number, kind)."""
        coins = self._coins
        found: list[tuple[int, CoinKind]] = []
        for vin, txin in enumerate(tx.inputs):
            if txin.outpoint.txid in coins and (kind := self.kind_of(txin.outpoint)):
                found.append((vin, kind))
        return found


@dataclass(frozen=True, slots=True)
class Concern:
    """Why a transaction is reported, and what it added to what is watched."""

    project_id: str | None
    founded: str | None
    spent: tuple[tuple[int, CoinKind], ...]
    made: tuple[NewCoin, ...]


def concern(tx: Tx, watched: Watched, founding_of: FoundingTest) -> Concern | None:
    """What a transaction has to do with us; None for nothing.

    What it founds and makes is watched from here on, so that a spend further down the same block
    is seen, too.
    """
    spent = watched.spends(tx)
    founding = founding_of(tx) if _could_found(tx) else None
    if founding is not None:
        watched.add_project(founding.project_id)
    paid = watched.paid(tx)
    if paid is None and not spent:
        return None
    made = coins_made(tx, pays_project=paid is not None, spent=spent)
    watched.add_made(tx.txid, made)
    return Concern(paid, founding.project_id if founding else None, tuple(spent), made)


def _could_found(tx: Tx) -> bool:
    # The whole test costs a point addition; nearly everything fails this glance.
    return names_key(tx)


def read_block(raw: bytes, block_hash: str) -> Block:
    """The block in these bytes, once it is the one asked for and proves itself.

    Raises InvalidInput.
    """
    block = parse_block(raw)
    if block.header.hash != block_hash:
        raise InvalidInput("another block than asked for")
    check_block(block)
    return block


def scan_block(block: Block, watched: Watched, founding_of: FoundingTest) -> tuple[PlacedTx, ...]:
    """The transactions of a checked block that concern us, in block order, with their branches."""
    found = [
        (position, tx)
        for position, tx in enumerate(block.txs)
        if concern(tx, watched, founding_of) is not None
    ]
    if not found:
        return ()
    levels = _levels(block)
    return tuple(_placed(levels, position, tx) for position, tx in found)


def read_and_scan(
    raw: bytes, block_hash: str, watched: Watched, founding_of: FoundingTest
) -> tuple[PlacedTx, ...]:
    """`read_block` and `scan_block` in one go, for a thread. Raises InvalidInput."""
    return scan_block(read_block(raw, block_hash), watched, founding_of)


def _placed(levels: Sequence[Sequence[bytes]], position: int, tx: Tx) -> PlacedTx:
    branch = merkle_branch(levels, position)
    return PlacedTx(tx, position, tuple(map(hex_from_raw, branch)), "block")


def _levels(block: Block) -> list[list[bytes]]:
    # Every level of the tree: the branches of many transactions share it.
    return merkle_levels([raw_from_hex(tx.txid) for tx in block.txs])
