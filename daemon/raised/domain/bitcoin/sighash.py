"""What signatures cover, and whether those of a spend hold.

A txid does not cover witnesses, so a spend that was not seen in a raw block counts only when its
scripts and signatures check here. The scripts are Angor's few shapes: every opcode they use is
executed as consensus does, and any other makes the answer no.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from raised.domain.bitcoin.curve import ecdsa_verify, schnorr_verify
from raised.domain.bitcoin.hashes import sha256, sha256d, tagged
from raised.domain.bitcoin.script import is_p2wsh, p2wsh
from raised.domain.bitcoin.script_eval import Checks, run_script
from raised.domain.bitcoin.taproot import program_of, revealed_leaf, split_annex
from raised.domain.bitcoin.tx import Tx, TxOut, serialize_outpoint, serialize_output, varbytes
from raised.errors import InvalidInput

SIGHASH_DEFAULT: Final = 0x00
SIGHASH_ALL: Final = 0x01
SIGHASH_NONE: Final = 0x02
SIGHASH_SINGLE: Final = 0x03
SIGHASH_ANYONECANPAY: Final = 0x80
_TAPROOT_TYPES: Final = frozenset((0x00, 0x01, 0x02, 0x03, 0x81, 0x82, 0x83))
_NO_CODE_SEPARATOR: Final = b"\xff\xff\xff\xff"
_NO_HASH: Final = bytes(32)


@dataclass(frozen=True, eq=False)
class Spending:
    """A transaction with the outputs it spends, in the order of its inputs.

    The hashes that all its signatures share are made once: a claim may have a thousand inputs.
    """

    tx: Tx
    spent: tuple[TxOut, ...]

    def __post_init__(self) -> None:
        if len(self.spent) != len(self.tx.inputs):
            raise InvalidInput("not one spent output for each input")

    @cached_property
    def prevouts(self) -> bytes:
        """All outpoints."""
        return b"".join(serialize_outpoint(txin.outpoint) for txin in self.tx.inputs)

    @cached_property
    def sequences(self) -> bytes:
        """All sequence numbers."""
        return b"".join(_u32(txin.sequence) for txin in self.tx.inputs)

    @cached_property
    def outputs(self) -> bytes:
        """All outputs."""
        return b"".join(map(serialize_output, self.tx.outputs))

    @cached_property
    def taproot_inputs(self) -> bytes:
        """The four hashes over all inputs, as taproot signatures cover them."""
        amounts = b"".join(_u64(output.value) for output in self.spent)
        scripts = b"".join(varbytes(output.script_pubkey) for output in self.spent)
        return b"".join(map(sha256, (self.prevouts, amounts, scripts, self.sequences)))

    @cached_property
    def taproot_outputs(self) -> bytes:
        """The hash over all outputs, as taproot signatures cover them."""
        return sha256(self.outputs)


def taproot_sighash(
    spending: Spending,
    vin: int,
    hash_type: int,
    *,
    leaf_hash: bytes | None = None,
    annex: bytes | None = None,
) -> bytes:
    """The message of a taproot signature: through a leaf when its hash is given, else key path.

    Raises InvalidInput for a hash type that does not exist, or SINGLE without its output.
    Source: BIP341 (signature validation rules), BIP342 (the extension).
    """
    if hash_type not in _TAPROOT_TYPES:
        raise InvalidInput("no such signature hash type")
    tx = spending.tx
    one_input = bool(hash_type & SIGHASH_ANYONECANPAY)
    extension = b"" if leaf_hash is None else leaf_hash + b"\x00" + _NO_CODE_SEPARATOR
    spend_type = 2 * bool(extension) + (annex is not None)
    parts = [
        bytes([0, hash_type]) + _u32(tx.version) + _u32(tx.locktime),
        b"" if one_input else spending.taproot_inputs,
        spending.taproot_outputs if hash_type & 3 in (SIGHASH_DEFAULT, SIGHASH_ALL) else b"",
        bytes([spend_type]),
        _this_input(spending, vin) if one_input else _u32(vin),
        b"" if annex is None else sha256(varbytes(annex)),
        sha256(_same_output(tx, vin)) if hash_type & 3 == SIGHASH_SINGLE else b"",
        extension,
    ]
    return tagged("TapSighash", b"".join(parts))


def _this_input(spending: Spending, vin: int) -> bytes:
    txin, output = spending.tx.inputs[vin], spending.spent[vin]
    coin = serialize_outpoint(txin.outpoint) + serialize_output(output)
    return coin + _u32(txin.sequence)


def _same_output(tx: Tx, vin: int) -> bytes:
    if vin >= len(tx.outputs):
        raise InvalidInput("no output beside this input")
    return serialize_output(tx.outputs[vin])


def segwit_sighash(spending: Spending, vin: int, hash_type: int, script_code: bytes) -> bytes:
    """The message of an ECDSA signature in a version 0 witness. Source: BIP143."""
    tx = spending.tx
    txin = tx.inputs[vin]
    one_input = bool(hash_type & SIGHASH_ANYONECANPAY)
    kind = hash_type & 0x1F
    every = kind not in (SIGHASH_NONE, SIGHASH_SINGLE)
    parts = [
        _u32(tx.version),
        _NO_HASH if one_input else sha256d(spending.prevouts),
        sha256d(spending.sequences) if every and not one_input else _NO_HASH,
        serialize_outpoint(txin.outpoint) + varbytes(script_code),
        _u64(spending.spent[vin].value) + _u32(txin.sequence),
        _segwit_outputs(spending, vin, kind),
        _u32(tx.locktime) + _u32(hash_type),
    ]
    return sha256d(b"".join(parts))


def _segwit_outputs(spending: Spending, vin: int, kind: int) -> bytes:
    if kind == SIGHASH_SINGLE and vin < len(spending.tx.outputs):
        return sha256d(serialize_output(spending.tx.outputs[vin]))
    return _NO_HASH if kind in (SIGHASH_NONE, SIGHASH_SINGLE) else sha256d(spending.outputs)


def verify_script_spend(tx: Tx, vin: int, spent_outputs: Sequence[TxOut]) -> bool:
    """Whether the witness of this input really spends its stage or penalty output.

    `spent_outputs` are those of all inputs, in order. To check several inputs of one transaction
    make one `Spending` and use `verify_spend`.
    """
    return verify_spend(Spending(tx, tuple(spent_outputs)), vin)


def verify_spend(spending: Spending, vin: int) -> bool:
    """Whether the witness of one input really spends its stage or penalty output.

    Covers script, control block, signatures, hash preimages and the lock times the script asks for;
    not whether the transaction's own lock time has come: only a block decides that.
    """
    try:
        if is_p2wsh(spending.spent[vin].script_pubkey):
            return _verify_witness_script(spending, vin)
        return _verify_taproot(spending, vin)
    except InvalidInput:
        return False


def _verify_taproot(spending: Spending, vin: int) -> bool:
    program = program_of(spending.spent[vin].script_pubkey)
    witness = spending.tx.inputs[vin].witness
    leaf = revealed_leaf(witness, program)
    hash_of = None if leaf is None else leaf.hash
    annex = split_annex(witness)[1]

    def signed(signature: bytes, pubkey: bytes) -> bool:
        hash_type = signature[64] if len(signature) == 65 else SIGHASH_DEFAULT
        if len(signature) == 65 and hash_type == SIGHASH_DEFAULT:
            raise InvalidInput("the default hash type is not written out")
        message = taproot_sighash(spending, vin, hash_type, leaf_hash=hash_of, annex=annex)
        return schnorr_verify(signature[:64], message, pubkey)

    if leaf is None:
        return signed(witness[0], program)
    return run_script(leaf.script, leaf.stack, Checks(spending.tx, vin, 32, signed))


def _verify_witness_script(spending: Spending, vin: int) -> bool:
    witness = spending.tx.inputs[vin].witness
    if not witness or p2wsh(witness[-1]) != spending.spent[vin].script_pubkey:
        return False
    script = witness[-1]

    def signed(signature: bytes, pubkey: bytes) -> bool:
        message = segwit_sighash(spending, vin, signature[-1], script)
        return ecdsa_verify(signature[:-1], message, pubkey)

    return run_script(script, witness[:-1], Checks(spending.tx, vin, 33, signed))


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "little")
