"""The JSON of Esplora and mempool servers, and the values it becomes (docs/chain-api.md 4).

Unknown keys are ignored; absent things are missing, empty or null by flavour. A transaction is
rebuilt from its JSON, witness included, and must hash to its txid.
"""

from typing import Annotated, TypeVar

import msgspec

from raised.chain.explorer.api import Counts, Placement, SeenTx, Spender
from raised.domain.bitcoin.block import Header, meets_target
from raised.domain.bitcoin.tx import COINBASE_TXID, MAX_MONEY, OutPoint, Tx, TxIn, TxOut, parse_tx
from raised.errors import BadData, InvalidInput

Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
HexText = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2})*$")]
U32 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
_MAX_HEIGHT = 100_000_000  # far above any chain, and fits every database integer
_COINBASE = OutPoint(COINBASE_TXID, 0xFFFFFFFF)

T = TypeVar("T")


class Status(msgspec.Struct, frozen=True):
    confirmed: bool
    block_height: Annotated[int, msgspec.Meta(ge=0, le=_MAX_HEIGHT)] | None = None
    block_hash: Hash | None = None
    block_time: U32 | None = None


class Vout(msgspec.Struct, frozen=True):
    scriptpubkey: HexText
    value: Annotated[int, msgspec.Meta(ge=0, le=MAX_MONEY)]


class Vin(msgspec.Struct, frozen=True):
    txid: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]
    vout: U32
    sequence: U32
    is_coinbase: bool = False
    prevout: Vout | None = None
    scriptsig: HexText = ""
    witness: tuple[HexText, ...] = ()


class Transaction(msgspec.Struct, frozen=True):
    txid: Hash
    version: Annotated[int, msgspec.Meta(ge=-0x80000000, le=0xFFFFFFFF)]
    locktime: U32
    vin: Annotated[tuple[Vin, ...], msgspec.Meta(min_length=1)]
    vout: tuple[Vout, ...]
    status: Status | None = None


class BlockObject(msgspec.Struct, frozen=True):
    id: Hash
    height: Annotated[int, msgspec.Meta(ge=0, le=_MAX_HEIGHT)]
    version: int
    timestamp: U32
    merkle_root: Hash
    nonce: U32
    bits: U32
    previousblockhash: Hash | None = None


class Outspend(msgspec.Struct, frozen=True):
    spent: bool
    txid: Hash | None = None
    vin: int | None = None
    status: Status | None = None


class MerkleProof(msgspec.Struct, frozen=True):
    merkle: tuple[Hash, ...]
    pos: Annotated[int, msgspec.Meta(ge=0)]


class Sums(msgspec.Struct, frozen=True):
    tx_count: int
    funded_txo_sum: int
    spent_txo_sum: int


class AddressObject(msgspec.Struct, frozen=True):
    chain_stats: Sums
    mempool_stats: Sums
    electrum: bool = False


class MempoolObject(msgspec.Struct, frozen=True):
    count: Annotated[int, msgspec.Meta(ge=0)]


def decode(source: str, body: bytes, shape: type[T]) -> T:
    """The JSON body as this shape. Raises BadData."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadData(source, "sent an answer of an unexpected form", "shape") from error


def text_of(source: str, body: bytes) -> str:
    """A bare text answer: hex or a number, as text or as JSON. Raises BadData."""
    text = body.decode("ascii", "replace").strip().strip('"')
    if not text.isalnum():
        raise BadData(source, "sent an answer of an unexpected form", "shape")
    return text


def placement_of(status: Status | None) -> Placement | None:
    """The block a status names; None when it says unconfirmed or leaves the block out."""
    if status is None or not status.confirmed:
        return None
    height, block_hash, time = status.block_height, status.block_hash, status.block_time
    if height is None or block_hash is None or time is None:
        return None
    return Placement(height, block_hash, time)


def tx_of(shape: Transaction) -> Tx:
    """The transaction its JSON describes, whatever txid it claims."""
    return Tx(
        version=shape.version & 0xFFFFFFFF,
        inputs=tuple(map(_input_of, shape.vin)),
        outputs=tuple(map(_output_of, shape.vout)),
        locktime=shape.locktime,
    )


def seen_tx(source: str, shape: Transaction) -> SeenTx:
    """The transaction, once its bytes hash to its txid. Raises BadData."""
    tx = tx_of(shape)
    if tx.txid != shape.txid or not _survives_serialization(tx):
        raise BadData(source, "sent a transaction that does not hash to its txid", "wrong_tx")
    spent = tuple(_output_of(vin.prevout) if vin.prevout else None for vin in shape.vin)
    return SeenTx(tx, spent, placement_of(shape.status))


def _survives_serialization(tx: Tx) -> bool:
    """Whether its bytes parse to the same transaction: JSON can hold what no bytes encode."""
    try:
        return parse_tx(tx.serialize()) == tx
    except InvalidInput:
        return False


def _input_of(vin: Vin) -> TxIn:
    # The mempool backend leaves a coinbase's outpoint empty.
    outpoint = _COINBASE if vin.is_coinbase else OutPoint(vin.txid, vin.vout)
    witness = tuple(map(bytes.fromhex, vin.witness))
    return TxIn(outpoint, bytes.fromhex(vin.scriptsig), vin.sequence, witness)


def _output_of(vout: Vout) -> TxOut:
    return TxOut(vout.value, bytes.fromhex(vout.scriptpubkey))


def header_of(source: str, shape: BlockObject) -> Header:
    """The header rebuilt from a block's JSON; it hashes to its id and meets its target.

    Raises BadData.
    """
    header = Header(
        version=shape.version & 0xFFFFFFFF,
        prev_hash=shape.previousblockhash or "00" * 32,
        merkle_root=shape.merkle_root,
        time=shape.timestamp,
        bits=shape.bits,
        nonce=shape.nonce,
    )
    if header.hash != shape.id or not meets_target(header):
        raise BadData(
            source,
            "sent a block header that does not hash to its id or meet its target",
            "wrong_header",
        )
    return header


def spender_of(shape: Outspend) -> Spender | None:
    """Who spends an output; None when nobody does or it does not say who."""
    if not shape.spent or shape.txid is None or shape.vin is None or shape.vin < 0:
        return None
    return Spender(shape.txid, shape.vin, placement_of(shape.status))


def counts_of(shape: AddressObject) -> Counts:
    """An address's statistics in the form that every flavour gets right (docs/chain-api.md 4)."""
    confirmed, unconfirmed = shape.chain_stats, shape.mempool_stats
    funded = confirmed.funded_txo_sum + unconfirmed.funded_txo_sum
    spent = confirmed.spent_txo_sum + unconfirmed.spent_txo_sum
    return Counts(confirmed.tx_count, unconfirmed.tx_count, funded - spent)
