"""Transactions in JSON that no bytes could be: they must not get as far as the record."""

from typing import Any

import msgspec
import pytest

from raised.chain.explorer.json_types import Transaction, decode, seen_tx, tx_of
from raised.domain.bitcoin.tx import MAX_MONEY
from raised.errors import BadData


def described(**changes: Any) -> Transaction:
    """A transaction whose id is always that of what the JSON would be in bytes."""
    vin = {"txid": "11" * 32, "vout": 0, "sequence": 0, **changes.pop("vin", {})}
    whole = {
        "txid": "00" * 32,
        "version": 1,
        "locktime": 0,
        "vin": [vin],
        "vout": [{"scriptpubkey": "51", "value": 1}],
        **changes,
    }
    shape = decode("explorer", msgspec.json.encode(whole), Transaction)
    return msgspec.structs.replace(shape, txid=tx_of(shape).txid)


def test_a_plain_transaction_is_taken() -> None:
    assert seen_tx("explorer", described()).tx.outputs[0].value == 1
    assert seen_tx("explorer", described(vin={"witness": ["aa", ""]})).tx.has_witness


@pytest.mark.parametrize(
    "changes",
    [
        {"vin": {"txid": ""}},
        {"vout": [{"scriptpubkey": "51", "value": MAX_MONEY}, {"scriptpubkey": "", "value": 1}]},
    ],
    ids=["no txid", "more than all money"],
)
def test_a_transaction_that_no_bytes_could_be_is_a_lie(changes: dict[str, Any]) -> None:
    with pytest.raises(BadData):
        seen_tx("explorer", described(**changes))
