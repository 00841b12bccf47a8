"""Scripts as explorers print and name them."""

from typing import Final

from raised.domain.bitcoin.bech32 import address
from raised.domain.bitcoin.script import OP_RETURN, is_p2tr, is_p2wpkh, is_p2wsh, parse_ops
from raised.errors import InvalidInput

_HRP: Final = "bcrt"
_NAMES: Final = {
    0x00: "OP_0",
    0x61: "OP_NOP",
    0x63: "OP_IF",
    0x67: "OP_ELSE",
    0x68: "OP_ENDIF",
    0x69: "OP_VERIFY",
    0x6A: "OP_RETURN",
    0x75: "OP_DROP",
    0x76: "OP_DUP",
    0x82: "OP_SIZE",
    0x87: "OP_EQUAL",
    0x88: "OP_EQUALVERIFY",
    0xA8: "OP_SHA256",
    0xA9: "OP_HASH160",
    0xAA: "OP_HASH256",
    0xAC: "OP_CHECKSIG",
    0xAD: "OP_CHECKSIGVERIFY",
    0xAE: "OP_CHECKMULTISIG",
    0xB1: "OP_CLTV",
    0xB2: "OP_CSV",
    0xBA: "OP_CHECKSIGADD",
    **{0x50 + n: f"OP_PUSHNUM_{n}" for n in range(1, 17)},
    **{n: f"OP_PUSHBYTES_{n}" for n in range(1, 76)},
    0x4C: "OP_PUSHDATA1",
    0x4D: "OP_PUSHDATA2",
    0x4E: "OP_PUSHDATA4",
}


def asm(script: bytes) -> str:
    """The script in words; pushes are named with their length and followed by their bytes."""
    try:
        ops = parse_ops(script)
    except InvalidInput:
        return "<push past end>"
    words: list[str] = []
    for opcode, pushed in ops:
        words.append(_NAMES.get(opcode, f"OP_UNKNOWN_{opcode}"))
        if pushed:
            words.append(pushed.hex())
    return " ".join(words)


def script_type(script_pubkey: bytes) -> str:
    """Esplora's name for the form of an output script."""
    if not script_pubkey:
        return "empty"
    if script_pubkey[0] == OP_RETURN:
        return "op_return"
    forms = {
        "v0_p2wpkh": is_p2wpkh(script_pubkey),
        "v0_p2wsh": is_p2wsh(script_pubkey),
        "v1_p2tr": is_p2tr(script_pubkey),
        "p2pkh": len(script_pubkey) == 25 and script_pubkey[:3] == b"\x76\xa9\x14",
        "p2sh": len(script_pubkey) == 23 and script_pubkey[:2] == b"\xa9\x14",
        "p2pk": len(script_pubkey) in (35, 67) and script_pubkey[-1] == 0xAC,
    }
    return next((name for name, fits in forms.items() if fits), "unknown")


def segwit_address(script_pubkey: bytes) -> str | None:
    """The regtest address of a witness program; older forms have none here."""
    return address(_HRP, script_pubkey)
