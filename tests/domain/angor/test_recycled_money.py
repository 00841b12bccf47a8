"""Money that goes round is seen within three hops, whatever else pays for the investment."""

from raised.domain.angor.recycled_money import is_recycled
from raised.domain.bitcoin.tx import OutPoint, Tx, Txid, TxIn, TxOut


def spending(*txids: Txid) -> Tx:
    inputs = tuple(TxIn(OutPoint(txid, 0), b"", 0) for txid in txids)
    return Tx(2, inputs, (TxOut(5, b""),), 0)


CLAIM = "aa" * 32
FRESH = "bb" * 32


def recycled(tx: Tx, *stored: Tx) -> bool:
    known = {tx.txid: tx for tx in stored}
    return is_recycled(tx, known.get, {CLAIM}.__contains__)


def test_one_to_three_hops_count_and_a_fourth_does_not() -> None:
    first = spending(CLAIM)
    second = spending(FRESH, first.txid)
    third = spending(second.txid, FRESH)
    stored = (first, second, third)
    assert recycled(first, *stored)
    assert recycled(second, *stored)
    assert recycled(third, *stored)
    assert not recycled(spending(third.txid), *stored)


def test_a_transaction_that_we_do_not_hold_hides_what_is_behind_it() -> None:
    between = spending(CLAIM)
    assert not recycled(spending(between.txid))
    assert not recycled(spending(FRESH))


def test_many_ways_to_the_same_coin_are_walked_once() -> None:
    asked: list[Txid] = []
    first = spending(FRESH)
    level = [Tx(2, (TxIn(OutPoint(first.txid, 0), b"", n),), (), n) for n in range(50)]
    known = {one.txid: one for one in (first, *level)}

    def stored(txid: Txid) -> Tx | None:
        asked.append(txid)
        return known.get(txid)

    assert not is_recycled(spending(*(one.txid for one in level)), stored, lambda _: False)
    assert len(asked) == len(set(asked)) == 52
