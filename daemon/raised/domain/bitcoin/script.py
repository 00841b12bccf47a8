"""Script bytes: opcodes, pushes, numbers and the standard output forms."""

from raised.domain.bitcoin.hashes import sha256
from raised.errors import InvalidInput

OP_0 = 0x00
OP_PUSHDATA1 = 0x4C
OP_PUSHDATA2 = 0x4D
OP_PUSHDATA4 = 0x4E
OP_1 = 0x51
OP_RETURN = 0x6A
OP_EQUAL = 0x87
OP_EQUALVERIFY = 0x88
OP_HASH256 = 0xAA
OP_CHECKSIG = 0xAC
OP_CHECKSIGVERIFY = 0xAD
OP_CHECKLOCKTIMEVERIFY = 0xB1
OP_CHECKSEQUENCEVERIFY = 0xB2

_LENGTH_BYTES = {OP_PUSHDATA1: 1, OP_PUSHDATA2: 2, OP_PUSHDATA4: 4}


def push(data: bytes) -> bytes:
    """The shortest push of these bytes by length opcode (never OP_1..OP_16)."""
    size = len(data)
    if size < OP_PUSHDATA1:
        return bytes([size]) + data
    if size <= 0xFF:
        return bytes([OP_PUSHDATA1, size]) + data
    if size <= 0xFFFF:
        return bytes([OP_PUSHDATA2]) + size.to_bytes(2, "little") + data
    return bytes([OP_PUSHDATA4]) + size.to_bytes(4, "little") + data


def number(value: int) -> bytes:
    """The push of a script number, minimal: OP_0, OP_1..OP_16, else little-endian with a sign bit.

    Source: CScriptNum; docs/angor.md 8.2.
    """
    if value == 0:
        return bytes([OP_0])
    if 1 <= value <= 16:
        return bytes([OP_1 - 1 + value])
    magnitude = abs(value)
    data = bytearray(magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "little"))
    if data[-1] & 0x80:
        data.append(0)
    if value < 0:
        data[-1] |= 0x80
    return push(bytes(data))


def parse_ops(script: bytes) -> tuple[tuple[int, bytes | None], ...]:
    """The operations of a script: (opcode, pushed bytes or None).

    OP_0 pushes empty bytes. Raises InvalidInput when a push runs past the end.
    """
    ops: list[tuple[int, bytes | None]] = []
    at, size = 0, len(script)
    while at < size:
        opcode = script[at]
        at += 1
        if opcode > OP_PUSHDATA4:
            ops.append((opcode, None))
            continue
        length = opcode
        if opcode >= OP_PUSHDATA1:
            width = _LENGTH_BYTES[opcode]
            if at + width > size:
                raise InvalidInput("a push without its length")
            length = int.from_bytes(script[at : at + width], "little")
            at += width
        if at + length > size:
            raise InvalidInput("a push runs past the end of the script")
        ops.append((opcode, script[at : at + length]))
        at += length
    return tuple(ops)


def p2wpkh(key_hash: bytes) -> bytes:
    """The script_pubkey of a 20-byte key hash."""
    return b"\x00\x14" + key_hash


def p2wsh(witness_script: bytes) -> bytes:
    """The script_pubkey that commits to a witness script."""
    return b"\x00\x20" + sha256(witness_script)


def p2tr(output_key: bytes) -> bytes:
    """The script_pubkey of a 32-byte taproot output key."""
    return b"\x51\x20" + output_key


def is_p2wpkh(script_pubkey: bytes) -> bool:
    """Whether it pays a 20-byte key hash, segwit version 0."""
    return len(script_pubkey) == 22 and script_pubkey[:2] == b"\x00\x14"


def is_p2wsh(script_pubkey: bytes) -> bool:
    """Whether it pays a 32-byte script hash, segwit version 0."""
    return len(script_pubkey) == 34 and script_pubkey[:2] == b"\x00\x20"


def is_p2tr(script_pubkey: bytes) -> bool:
    """Whether it has the form of a taproot output (the key may still be no point)."""
    return len(script_pubkey) == 34 and script_pubkey[:2] == b"\x51\x20"
