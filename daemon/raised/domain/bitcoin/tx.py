"""Transactions: parse, hash, serialise.

Txids and block hashes are 64 lower-case hex digits in display order everywhere; only here and in
`block` do their raw (reversed) bytes exist, in names that end with `_raw`.
The values are named tuples, not dataclasses: a block holds tens of thousands of them and they are
made three times as fast.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from raised.domain.bitcoin.hashes import sha256d
from raised.errors import InvalidInput

Txid = str

MAX_MONEY: Final = 21_000_000 * 100_000_000
COINBASE_TXID: Final = "00" * 32


class OutPoint(NamedTuple):
    """One output of one transaction."""

    txid: Txid
    vout: int

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"


class TxIn(NamedTuple):
    """An input: what it spends and by what."""

    outpoint: OutPoint
    script_sig: bytes
    sequence: int
    witness: tuple[bytes, ...] = ()


class TxOut(NamedTuple):
    """An output: satoshis and the script they are locked by."""

    value: int
    script_pubkey: bytes


@dataclass(frozen=True)
class Tx:
    """A transaction. `txid` covers all but the witnesses, `wtxid` everything."""

    version: int
    inputs: tuple[TxIn, ...]
    outputs: tuple[TxOut, ...]
    locktime: int

    @cached_property
    def txid(self) -> Txid:
        """The transaction id, display order."""
        return hex_from_raw(sha256d(self.serialize(witness=False)))

    @cached_property
    def wtxid(self) -> str:
        """The id that covers the witnesses too (BIP141), display order."""
        return hex_from_raw(sha256d(self.serialize()))

    @property
    def has_witness(self) -> bool:
        """Whether any input carries a witness."""
        return any(txin.witness for txin in self.inputs)

    @property
    def is_coinbase(self) -> bool:
        """Whether it makes new coins."""
        first = self.inputs[0].outpoint
        return len(self.inputs) == 1 and first.txid == COINBASE_TXID and first.vout == 0xFFFFFFFF

    @property
    def weight(self) -> int:
        """Weight units (BIP141): four for a byte outside the witnesses, one inside."""
        return 3 * len(self.serialize(witness=False)) + len(self.serialize())

    def serialize(self, *, witness: bool = True) -> bytes:
        """The bytes on the wire; without witnesses the form that the txid covers."""
        with_witness = witness and self.has_witness
        parts = [self.version.to_bytes(4, "little"), b"\x00\x01" if with_witness else b""]
        parts.append(compact_size(len(self.inputs)))
        parts.extend(map(_input_bytes, self.inputs))
        parts.append(compact_size(len(self.outputs)))
        parts.extend(map(serialize_output, self.outputs))
        if with_witness:
            parts.extend(_witness_bytes(txin.witness) for txin in self.inputs)
        parts.append(self.locktime.to_bytes(4, "little"))
        return b"".join(parts)


def hex_from_raw(hash_raw: bytes) -> str:
    """Display order from the order on the wire."""
    return hash_raw[::-1].hex()


def raw_from_hex(hash_display: str) -> bytes:
    """The order on the wire from display order."""
    return bytes.fromhex(hash_display)[::-1]


def compact_size(value: int) -> bytes:
    """Bitcoin's variable-length count."""
    if value < 0xFD:
        return bytes([value])
    if value <= 0xFFFF:
        return b"\xfd" + value.to_bytes(2, "little")
    if value <= 0xFFFFFFFF:
        return b"\xfe" + value.to_bytes(4, "little")
    return b"\xff" + value.to_bytes(8, "little")


def varbytes(data: bytes) -> bytes:
    """Bytes behind their count."""
    return compact_size(len(data)) + data


def serialize_outpoint(outpoint: OutPoint) -> bytes:
    """36 bytes: raw txid and index."""
    return raw_from_hex(outpoint.txid) + outpoint.vout.to_bytes(4, "little")


def serialize_output(output: TxOut) -> bytes:
    """Value and script as in a transaction and in signature hashes."""
    return output.value.to_bytes(8, "little") + varbytes(output.script_pubkey)


def _input_bytes(txin: TxIn) -> bytes:
    sequence = txin.sequence.to_bytes(4, "little")
    return serialize_outpoint(txin.outpoint) + varbytes(txin.script_sig) + sequence


def _witness_bytes(witness: Iterable[bytes]) -> bytes:
    items = tuple(witness)
    return compact_size(len(items)) + b"".join(map(varbytes, items))


def parse_tx(raw: bytes) -> Tx:
    """The transaction in these bytes, all of them.

    Raises InvalidInput for anything a node would not deserialise: counts past the end or not
    minimal, no inputs, a witness flag without witnesses, money out of range, trailing bytes.
    """
    tx, end = parse_tx_at(raw, 0)
    if end != len(raw):
        raise InvalidInput("bytes behind the transaction")
    return tx


def parse_tx_at(raw: bytes, start: int) -> tuple[Tx, int]:
    """The transaction that begins at `start`, and where it ends. Raises InvalidInput."""
    try:
        return _parse(raw, start)
    except IndexError as error:
        raise InvalidInput("the transaction is cut off") from error


def _parse(raw: bytes, start: int) -> tuple[Tx, int]:
    segwit = raw[start + 4] == 0
    if segwit and raw[start + 5] != 1:
        raise InvalidInput("a transaction without inputs, or an unknown flag")
    body = start + 6 if segwit else start + 4
    bare, at = _parse_inputs(raw, body)
    outputs, at = _parse_outputs(raw, at)
    body_end = at
    inputs = tuple(TxIn(*parts) for parts in bare)
    if segwit:
        witnesses, at = _parse_witnesses(raw, at, len(bare))
        inputs = tuple(TxIn(*part, items) for part, items in zip(bare, witnesses, strict=True))
    end = at + 4
    if end > len(raw):
        raise InvalidInput("the transaction is cut off")
    version = int.from_bytes(raw[start : start + 4], "little")
    tx = Tx(version, inputs, outputs, int.from_bytes(raw[at:end], "little"))
    # The ids are taken from the bytes at hand: serialising again would cost more than the parse.
    wire = raw[start:end]
    bare_wire = raw[start : start + 4] + raw[body:body_end] + raw[at:end] if segwit else wire
    cache = tx.__dict__
    cache["txid"] = hex_from_raw(sha256d(bare_wire))
    cache["wtxid"] = hex_from_raw(sha256d(wire)) if segwit else cache["txid"]
    return tx, end


def _parse_inputs(raw: bytes, at: int) -> tuple[list[tuple[OutPoint, bytes, int]], int]:
    count, at = read_count(raw, at, 41)
    if count == 0:
        raise InvalidInput("a transaction without inputs")
    inputs: list[tuple[OutPoint, bytes, int]] = []
    for _ in range(count):
        outpoint = OutPoint(
            raw[at : at + 32][::-1].hex(), int.from_bytes(raw[at + 32 : at + 36], "little")
        )
        script_sig, at = _read_bytes(raw, at + 36)
        inputs.append((outpoint, script_sig, int.from_bytes(raw[at : at + 4], "little")))
        at += 4
    return inputs, at


def _parse_outputs(raw: bytes, at: int) -> tuple[tuple[TxOut, ...], int]:
    count, at = read_count(raw, at, 9)
    outputs: list[TxOut] = []
    total = 0
    for _ in range(count):
        value = int.from_bytes(raw[at : at + 8], "little")
        total += value
        script_pubkey, at = _read_bytes(raw, at + 8)
        outputs.append(TxOut(value, script_pubkey))
    if total > MAX_MONEY:
        raise InvalidInput("outputs of more than all money")
    return tuple(outputs), at


def _parse_witnesses(raw: bytes, at: int, inputs: int) -> tuple[list[tuple[bytes, ...]], int]:
    witnesses: list[tuple[bytes, ...]] = []
    for _ in range(inputs):
        count, at = read_count(raw, at, 1)
        items: list[bytes] = []
        for _ in range(count):
            item, at = _read_bytes(raw, at)
            items.append(item)
        witnesses.append(tuple(items))
    if not any(witnesses):
        raise InvalidInput("a witness flag without witnesses")
    return witnesses, at


def read_count(raw: bytes, at: int, smallest: int) -> tuple[int, int]:
    """A compact size at `at`, and where it ends.

    Raises InvalidInput when so many things of `smallest` bytes cannot follow, or when the count is
    not in its shortest form; IndexError at the end of the bytes.
    """
    first = raw[at]
    at += 1
    value = first
    if first >= 0xFD:
        width = 1 << (first - 0xFC)
        value = int.from_bytes(raw[at : at + width], "little")
        at += width
        if value < (0xFD, 0x10000, 0x100000000)[first - 0xFD]:
            raise InvalidInput("a count that is not in its shortest form")
    if value * smallest > len(raw) - at:
        raise InvalidInput("a count that runs past the end")
    return value, at


def _read_bytes(raw: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_count(raw, at, 1)
    end = at + size
    return raw[at:end], end
