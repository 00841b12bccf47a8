"""The questions that every explorer answers, whatever its flavour, and the types of the answers.

Every answer is checked against the hash it was asked by before it leaves an adapter; what a hash
does not cover (confirmed or not, spent by whom) is a claim, and says so here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from raised.domain.bitcoin.block import Header
from raised.domain.bitcoin.tx import Tx, Txid, TxOut


@dataclass(frozen=True, slots=True)
class Placement:
    """The block an explorer says a transaction is in. A claim until the block is on our chain."""

    height: int
    block_hash: str
    time: int


@dataclass(frozen=True, slots=True)
class SeenTx:
    """A transaction that hashes to its id. Witnesses, spent outputs and placement are claims."""

    tx: Tx
    spent: tuple[TxOut | None, ...]
    placement: Placement | None


@dataclass(frozen=True, slots=True)
class Spender:
    """Who spends an output, as claimed. `placement` None: unconfirmed."""

    txid: Txid
    vin: int
    placement: Placement | None


@dataclass(frozen=True, slots=True)
class Proof:
    """A header and the merkle branch that leads to its root (already folded)."""

    header: Header
    position: int
    siblings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """An address's own statistics: what changes when anything about it does."""

    confirmed: int
    unconfirmed: int
    balance: int


class Explorer(Protocol):
    """One explorer, through the adapter of its flavour.

    All calls raise Unavailable, Refused or BadData; None means that the explorer knows no such
    thing (which, for a transaction, proves nothing).
    """

    @property
    def name(self) -> str:
        """Its address, as configured."""
        ...

    @property
    def flavour(self) -> str:
        """Which family it belongs to: esplora or mempool."""
        ...

    async def tip_hash(self) -> str:
        """The hash of its best block."""
        ...

    async def headers(self, at: int | None = None) -> tuple[tuple[int, Header], ...]:
        """A page of (height, header), newest first, from this height (or the tip) downwards.

        Heights follow one another, each header is the parent of the one before it and meets its
        own target.
        """
        ...

    async def block_hash(self, height: int) -> str | None:
        """The hash of the block at this height of its best chain."""
        ...

    async def raw_block(self, block_hash: str) -> bytes | None:
        """The bytes of a block, not looked into."""
        ...

    async def history_page(self, script: bytes, after: Txid | None) -> tuple[SeenTx, ...]:
        """Confirmed transactions that pay or spend a script, newest block first, after a cursor."""
        ...

    async def unconfirmed(self, script: bytes) -> tuple[SeenTx, ...]:
        """Transactions in its mempool that pay or spend a script, the first 50."""
        ...

    async def counts(self, script: bytes) -> Counts:
        """A script's statistics, to see whether anything changed."""
        ...

    async def tx(self, txid: Txid) -> SeenTx | None:
        """One transaction."""
        ...

    async def spenders(self, txid: Txid) -> tuple[Spender | None, ...] | None:
        """Who spends each output of a transaction, by output number; None where nobody does."""
        ...

    async def proof(self, txid: Txid, block_hash: str) -> Proof | None:
        """The proof that a transaction is in this block."""
        ...

    async def mempool_size(self) -> int:
        """How many transactions its mempool holds."""
        ...

    async def mempool_txids(self) -> Sequence[Txid]:
        """All transaction ids of its mempool, in any order."""
        ...
