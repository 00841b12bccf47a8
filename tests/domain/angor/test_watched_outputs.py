from raised.domain.angor.watched_outputs import CoinKind, coins_made, kind_of_coin, names_key
from raised.domain.bitcoin.script import OP_RETURN, p2tr, p2wpkh, p2wsh, push
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut

KEY = bytes([2]) + bytes(32)
FEE = TxOut(1000, p2wpkh(bytes(20)))
MARK = TxOut(0, bytes([OP_RETURN]) + push(KEY))
STAGE = TxOut(50_000, p2tr(bytes(32)))
PENALTY = TxOut(50_000, p2wsh(b"script"))


def tx_of(*outputs: TxOut, inputs: int = 1) -> Tx:
    coins = (TxIn(OutPoint("aa" * 32, n), b"", 0xFFFFFFFF) for n in range(inputs))
    return Tx(1, tuple(coins), outputs, 0)


def with_mark(script: bytes) -> Tx:
    return tx_of(FEE, TxOut(0, script), STAGE)


def test_taproot_outputs_after_the_mark_are_stage_coins() -> None:
    made = coins_made(tx_of(FEE, MARK, STAGE, STAGE, FEE), pays_project=True, spent=())
    assert [(coin.vout, coin.kind) for coin in made] == [(2, CoinKind.STAGE), (3, CoinKind.STAGE)]
    assert made[0].value == 50_000
    assert made[0].script_pubkey == STAGE.script_pubkey


def test_taproot_outputs_before_the_mark_are_not_watched() -> None:
    assert coins_made(tx_of(STAGE, MARK, FEE), pays_project=True, spent=()) == ()


def test_a_payment_without_a_key_makes_no_coins() -> None:
    assert coins_made(tx_of(FEE, STAGE, STAGE), pays_project=True, spent=()) == ()
    assert coins_made(tx_of(FEE), pays_project=True, spent=()) == ()


def test_the_same_outputs_without_a_project_make_no_coins() -> None:
    assert coins_made(tx_of(FEE, MARK, STAGE), pays_project=False, spent=()) == ()


def test_a_key_may_be_followed_by_anything_but_not_be_cut_off() -> None:
    assert names_key(with_mark(bytes([OP_RETURN]) + push(KEY) + b"\x4c"))
    assert names_key(with_mark(bytes([OP_RETURN, 0x4C, 33]) + KEY))
    assert not names_key(with_mark(bytes([OP_RETURN, 33]) + KEY[:-1]))
    assert not names_key(with_mark(bytes([OP_RETURN, 0x4C])))
    assert not names_key(with_mark(bytes([OP_RETURN]) + push(KEY[1:])))
    assert not names_key(with_mark(bytes([OP_RETURN])))
    assert not names_key(with_mark(b""))
    assert not names_key(with_mark(push(KEY)))


def test_the_output_beside_a_spent_stage_coin_may_be_a_penalty() -> None:
    tx = tx_of(PENALTY, PENALTY, PENALTY, inputs=3)
    spent = [(0, CoinKind.STAGE), (2, CoinKind.STAGE)]
    made = coins_made(tx, pays_project=False, spent=spent)
    assert [(coin.vout, coin.kind) for coin in made] == [
        (0, CoinKind.PENALTY),
        (2, CoinKind.PENALTY),
    ]


def test_only_script_hash_outputs_are_penalties() -> None:
    tx = tx_of(FEE, STAGE, inputs=3)
    spent = [(vin, CoinKind.STAGE) for vin in range(3)]
    assert coins_made(tx, pays_project=False, spent=spent) == ()


def test_leaving_the_penalty_is_the_end_of_the_trail() -> None:
    spent = [(0, CoinKind.PENALTY)]
    assert coins_made(tx_of(PENALTY), pays_project=False, spent=spent) == ()


def test_a_transaction_may_leave_one_project_and_enter_another() -> None:
    tx = tx_of(PENALTY, MARK, STAGE)
    made = coins_made(tx, pays_project=True, spent=[(0, CoinKind.STAGE)])
    assert [coin.kind for coin in made] == [CoinKind.PENALTY, CoinKind.STAGE]
    assert [kind_of_coin(coin.script_pubkey) for coin in made] == [coin.kind for coin in made]
