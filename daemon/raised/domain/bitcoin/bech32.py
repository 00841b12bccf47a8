"""Bech32 and bech32m: segwit addresses and anything of their form. Source: BIP173, BIP350."""

from typing import Final

from raised.errors import InvalidInput

_CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUE: Final = {char: value for value, char in enumerate(_CHARSET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32: Final = 1
_BECH32M: Final = 0x2BC830A3


def encode(hrp: str, version: int, program: bytes) -> str:
    """The text of a witness program: bech32 for version 0, bech32m above."""
    data = [version, *_regroup(program, 8, 5, pad=True)]
    constant = _BECH32M if version else _BECH32
    values = [*_expand(hrp), *data, 0, 0, 0, 0, 0, 0]
    checksum = _polymod(values) ^ constant
    data.extend((checksum >> 5 * (5 - i)) & 31 for i in range(6))
    return hrp + "1" + "".join(_CHARSET[value] for value in data)


def decode(hrp: str, text: str) -> tuple[int, bytes]:
    """Witness version and program of a text with this prefix.

    Raises InvalidInput for another prefix, a bad checksum or the wrong one for the version, mixed
    case, a wrong length, non-zero padding.
    """
    # ASCII alone: the lower case of the kelvin sign is a k.
    if len(text) > 90 or not text.isascii() or (text.lower() != text and text.upper() != text):
        raise InvalidInput("too long, mixed case, or not ASCII")
    prefix, _, payload = text.lower().rpartition("1")
    if prefix != hrp or len(payload) < 7 or any(char not in _VALUE for char in payload):
        raise InvalidInput(f"not a text that begins with {hrp}1")
    data = [_VALUE[char] for char in payload]
    version = data[0]
    if _polymod([*_expand(hrp), *data]) != (_BECH32M if version else _BECH32):
        raise InvalidInput("bad checksum")
    program = bytes(_regroup(data[1:-6], 5, 8, pad=False))
    sizes = range(2, 41) if version else (20, 32)
    if version > 16 or len(program) not in sizes:
        raise InvalidInput("no witness program of a known length")
    return version, program


def address(hrp: str, script_pubkey: bytes) -> str | None:
    """The segwit address of a script_pubkey, or None when it is no witness program."""
    size = len(script_pubkey)
    if not 4 <= size <= 42 or script_pubkey[1] != size - 2:
        return None
    opcode = script_pubkey[0]
    version = opcode - 0x50 if opcode else 0
    if opcode and not 1 <= version <= 16:
        return None
    return encode(hrp, version, script_pubkey[2:])


def script_from_address(hrp: str, text: str) -> bytes:
    """The script_pubkey that a segwit address stands for. Raises InvalidInput."""
    version, program = decode(hrp, text)
    return bytes([0x50 + version if version else 0, len(program)]) + program


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate(_GENERATOR):
            if top >> i & 1:
                checksum ^= generator
    return checksum


def _expand(hrp: str) -> list[int]:
    return [*(ord(char) >> 5 for char in hrp), 0, *(ord(char) & 31 for char in hrp)]


def _regroup(data: bytes | list[int], width: int, new_width: int, *, pad: bool) -> list[int]:
    accumulator, bits = 0, 0
    result: list[int] = []
    for value in data:
        accumulator = accumulator << width | value
        bits += width
        while bits >= new_width:
            bits -= new_width
            result.append(accumulator >> bits & ((1 << new_width) - 1))
        accumulator &= (1 << bits) - 1
    if pad and bits:
        result.append(accumulator << (new_width - bits))
    elif not pad and (bits >= width or accumulator):
        raise InvalidInput("non-zero padding")
    return result
