"""Pages of transactions, read one by one, so that an odd one among them costs only itself.

Anybody can pay a project with transactions so large that a page of them is longer than we read, or
so unusual that a server writes JSON of another form. Of a page that is cut off the transactions
that came whole are read; the last of them is the cursor for the next page (docs/chain-api.md 5).
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from raised.chain.explorer.json_types import Transaction, decode
from raised.domain.bitcoin.tx import Txid
from raised.errors import BadData

# What brackets may stand in: strings, whose own brackets mean nothing.
_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')
# The transaction names itself before its inputs name others, in every flavour.
_TXID: Final = re.compile(rb'\s*,?\s*\{\s*"txid"\s*:\s*"([0-9a-f]{64})"')


class _Named(msgspec.Struct, frozen=True):
    txid: Txid


def split_page(source: str, body: bytes, *, is_cut: bool) -> Sequence[Transaction | Txid]:
    """The transactions of a page; of one that cannot be read only its id.

    Raises BadData for another form than a list, or when not even the first one has an id.
    """
    if not is_cut:
        all_rows = decode(source, body, tuple[msgspec.Raw, ...])
        return [_transaction(source, bytes(row)) for row in all_rows]
    rows, rest = _whole_rows(body)
    page: list[Transaction | Txid] = [_transaction(source, row) for row in rows]
    if not page:
        page = [_first_txid(source, rest)]
    return page


def _transaction(source: str, row: bytes) -> Transaction | Txid:
    try:
        return decode(source, row, Transaction)
    except BadData:
        return decode(source, row, _Named).txid


def _whole_rows(body: bytes) -> tuple[list[bytes], bytes]:
    """The rows of a list that came whole, and what follows them."""
    rows: list[bytes] = []
    depth, start, end = 0, 0, body.find(b"[") + 1
    for token in _TOKENS.finditer(body):
        kind = token.group()
        if kind in (b"{", b"["):
            start = token.start() if depth == 1 else start
            depth += 1
        elif kind in (b"}", b"]"):
            depth -= 1
            if depth == 1:
                end = token.end()
                rows.append(body[start:end])
    return rows, body[end:]


def _first_txid(source: str, rest: bytes) -> Txid:
    named = _TXID.match(rest)
    if named is None:
        raise BadData(source, "sent an answer of an unexpected form", "shape")
    return Txid(named.group(1).decode())
