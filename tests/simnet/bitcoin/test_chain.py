from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pbk")

from raised.domain.bitcoin.block import check_block
from raised.domain.bitcoin.hashes import sha256
from raised.domain.bitcoin.script import p2wsh
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut
from raised_simnet.actors.signing import with_witness
from raised_simnet.actors.wallet import NotEnough, Wallet, fan_out, fund
from raised_simnet.bitcoin.chain import RegtestChain, Rejected

START = 1_700_000_000
CLTV, CSV = b"\xb1", b"\xb2"


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[RegtestChain]:
    chain = RegtestChain(tmp_path, START)
    yield chain
    chain.close()


@pytest.fixture
def alice(chain: RegtestChain) -> Wallet:
    """A wallet with twenty coins of a million satoshis."""
    miner, alice = Wallet(chain, "miner"), Wallet(chain, "alice")
    fund(chain, miner, 2)
    chain.mine([fan_out(miner, [alice.script], 1_000_000, each=20)])
    return alice


def locked_coin(chain: RegtestChain, alice: Wallet, script: bytes) -> OutPoint:
    tx = alice.pay([TxOut(500_000, p2wsh(script))])
    chain.mine([tx])
    return OutPoint(tx.txid, 0)


def opened(outpoint: OutPoint, script: bytes, *, sequence: int, locktime: int = 0) -> Tx:
    txin = TxIn(outpoint, b"", sequence, (script,))
    return Tx(2, (txin,), (TxOut(490_000, p2wsh(b"\x51")),), locktime)


def small_number(value: int) -> bytes:
    data = value.to_bytes(5, "little").rstrip(b"\0")
    return bytes([len(data)]) + data


def test_a_mined_block_proves_itself(chain: RegtestChain, alice: Wallet) -> None:
    tx = alice.pay([TxOut(1000, alice.script)])
    chain.accept(tx)
    stored = chain.mine()
    check_block(stored.block)
    assert [tx.txid for tx in stored.txs[1:]] == [tx.txid]
    assert chain.height_of(tx.txid) == chain.height
    assert chain.mempool == ()


def test_the_miner_gets_subsidy_and_fees_also_within_one_block(
    chain: RegtestChain, alice: Wallet
) -> None:
    first = alice.pay([TxOut(700_000, alice.script)])
    txin = TxIn(OutPoint(first.txid, 0), b"", 0xFFFFFFFD)
    child = Tx(2, (txin,), (TxOut(650_000, alice.script),), 0)
    coin = chain.coin(first.inputs[0].outpoint)
    assert coin is not None
    child = alice.sign(child, {0: coin.__class__(txin.outpoint, first.outputs[0], 0, False)})
    stored = chain.mine([first, child])
    fees = stored.txs[0].outputs[0].value - 50 * 100_000_000
    assert fees == 50_000 + 1_000_000 - sum(o.value for o in first.outputs)


def test_a_bad_signature_is_refused_with_the_engines_reason(
    chain: RegtestChain, alice: Wallet
) -> None:
    tx = alice.pay([TxOut(1000, alice.script)])
    bad = with_witness(tx, 0, [bytes(71), alice.pubkey])
    tip = chain.tip_hash
    with pytest.raises(Rejected, match="block-script-verify-flag-failed"):
        chain.mine([bad])
    with pytest.raises(Rejected, match="script-verify-flag-failed"):
        chain.accept(bad)
    assert chain.verify(bad) == [False]
    assert chain.verify(tx) == [True]
    assert chain.tip_hash == tip
    chain.mine([tx])
    assert chain.height_of(tx.txid) == chain.height


def test_a_coin_is_spent_once(chain: RegtestChain, alice: Wallet) -> None:
    tx = alice.pay([TxOut(1000, alice.script)])
    coins = [coin for i in tx.inputs if (coin := chain.coin(i.outpoint))]
    rival = alice.pay([TxOut(2000, alice.script)], coins=coins)
    with pytest.raises(Rejected, match="bad-txns-inputs-missingorspent"):
        chain.mine([tx, rival])
    chain.mine([tx])
    with pytest.raises(Rejected, match="bad-txns-inputs-missingorspent"):
        chain.accept(rival)
    with pytest.raises(Rejected, match="bad-txns-inputs-missingorspent"):
        chain.mine([rival])


def test_money_from_nothing_is_refused(chain: RegtestChain, alice: Wallet) -> None:
    tx = alice.pay([TxOut(1000, alice.script)])
    coin = chain.coin(tx.inputs[0].outpoint)
    assert coin is not None
    greedy = alice.sign(Tx(2, tx.inputs[:1], (TxOut(2_000_000, alice.script),), 0), {0: coin})
    assert chain.verify(greedy) == [True]
    for way in (chain.accept, lambda tx: chain.mine([tx])):
        with pytest.raises(Rejected, match="bad-txns-in-belowout"):
            way(greedy)


def test_a_young_coinbase_cannot_be_spent(chain: RegtestChain) -> None:
    miner = Wallet(chain, "miner")
    chain.mine_many(100, payout=miner.script)
    assert [coin.height for coin in miner.coins()] == [1]
    young = [coin for coin in chain.unspent.values() if coin.height == 2 and coin.output.value]
    tx = miner.pay([TxOut(1000, miner.script)], coins=young)
    for way in (chain.accept, lambda tx: chain.mine([tx])):
        with pytest.raises(Rejected, match="bad-txns-premature-spend-of-coinbase"):
            way(tx)


def test_an_absolute_lock_opens_when_the_median_time_is_past_it(
    chain: RegtestChain, alice: Wallet
) -> None:
    release = chain.tip_time + 86_400
    script = small_number(release) + CLTV
    spend = opened(locked_coin(chain, alice, script), script, sequence=0, locktime=release)
    assert chain.verify(spend) == [True]
    with pytest.raises(Rejected, match="non-final"):
        chain.accept(spend)
    with pytest.raises(Rejected, match="bad-txns-nonfinal"):
        chain.mine([spend])
    while chain.median_time < release:
        chain.mine((), time=max(chain.tip_time + 1, release))
    assert chain.median_time == release
    with pytest.raises(Rejected, match="bad-txns-nonfinal"):
        chain.mine([spend])
    chain.advance(release)
    chain.mine([spend])
    assert chain.height_of(spend.txid) == chain.height


def test_a_final_sequence_switches_the_lock_off_and_the_script_refuses(
    chain: RegtestChain, alice: Wallet
) -> None:
    release = chain.tip_time - 86_400
    script = small_number(release) + CLTV
    outpoint = locked_coin(chain, alice, script)
    spend = opened(outpoint, script, sequence=0xFFFFFFFF, locktime=release)
    assert chain.verify(spend) == [False]


def test_a_relative_lock_counts_from_the_median_time_before_the_coins_block(
    chain: RegtestChain, alice: Wallet
) -> None:
    sequence = 0x400000 | 10
    script = small_number(sequence) + CSV
    outpoint = locked_coin(chain, alice, script)
    begin = chain.median_time_before(chain.height)
    spend = opened(outpoint, script, sequence=sequence)
    for way, reason in (
        (chain.accept, "non-BIP68-final"),
        (lambda tx: chain.mine([tx]), "bad-txns"),
    ):
        with pytest.raises(Rejected, match=reason):
            way(spend)
    chain.advance(begin + 5120 - 1)
    chain.accept(spend)
    chain.mine()
    assert chain.height_of(spend.txid) == chain.height


def test_the_engine_refuses_times_at_the_median_and_far_ahead(chain: RegtestChain) -> None:
    chain.mine_many(12)
    with pytest.raises(Rejected, match="time-too-old"):
        chain.mine((), time=chain.median_time)
    with pytest.raises(Rejected, match="time-too-new"):
        chain.mine((), time=4_000_000_000)


def test_a_replacement_must_pay_more(chain: RegtestChain, alice: Wallet) -> None:
    tx = alice.pay([TxOut(1000, alice.script)], fee_rate=5)
    chain.accept(tx)
    coins = [coin for i in tx.inputs if (coin := chain.coin(i.outpoint))]
    with pytest.raises(Rejected, match="insufficient fee"):
        chain.accept(alice.pay([TxOut(2000, alice.script)], coins=coins, fee_rate=5))
    better = alice.pay([TxOut(2000, alice.script)], coins=coins, fee_rate=6)
    chain.accept(better)
    assert chain.mempool == (better,)
    assert chain.tx(tx.txid) is None


def test_a_replaced_parent_takes_its_children_along(chain: RegtestChain, alice: Wallet) -> None:
    parent = alice.pay([TxOut(1000, alice.script)])
    chain.accept(parent)
    change = [c for c in chain.coins(alice.script, unconfirmed=True) if c.outpoint.vout == 1]
    child = alice.pay(
        [TxOut(1000, alice.script)],
        coins=[c for c in change if c.outpoint.txid == parent.txid],
    )
    chain.accept(child)
    coins = [coin for i in parent.inputs if (coin := chain.coin(i.outpoint))]
    better = alice.pay([TxOut(2000, alice.script)], coins=coins, fee_rate=9)
    chain.accept(better)
    assert chain.mempool == (better,)


def test_a_reorg_returns_transactions_to_the_mempool(chain: RegtestChain, alice: Wallet) -> None:
    tx = alice.pay([TxOut(1000, alice.script)])
    chain.mine([tx])
    before = dict(chain.unspent)
    reorg = chain.reorg(1)
    assert reorg.returned == (tx.txid,)
    assert reorg.lost == ()
    assert chain.height == reorg.fork_height + 2
    assert chain.mempool == (tx,)
    assert chain.height_of(tx.txid) is None
    assert chain.coin(tx.inputs[0].outpoint) is not None
    chain.mine()
    assert set(before) - set(chain.unspent) == {
        OutPoint(chain.block(reorg.old[0]).txs[0].txid, 0),  # type: ignore[union-attr]
        OutPoint(chain.block(reorg.old[0]).txs[0].txid, 1),  # type: ignore[union-attr]
    }


def test_a_reorg_can_confirm_a_conflict_and_lose_the_rest(
    chain: RegtestChain, alice: Wallet
) -> None:
    tx, other = (alice.pay([TxOut(1000, alice.script)]) for _ in range(2))
    coins = [coin for i in tx.inputs if (coin := chain.coin(i.outpoint))]
    rival = alice.pay([TxOut(2000, alice.script)], coins=coins)
    chain.mine([tx, other])
    reorg = chain.reorg(1, [(rival,)])
    assert reorg.lost == (tx.txid,)
    assert reorg.returned == (other.txid,)
    assert chain.height_of(rival.txid) == chain.height - 1
    assert chain.tx(tx.txid) == tx, "an explorer never forgets it"
    again = chain.reorg(2, keep=False)
    assert set(again.lost) == {rival.txid}
    assert chain.mempool == (other,)


def test_a_shorter_branch_waits_and_an_invalid_one_is_refused(
    chain: RegtestChain, alice: Wallet
) -> None:
    chain.mine_many(2)
    tip = chain.tip_hash
    side = chain.fork(2, [(), ()])
    assert chain.tip_hash == tip
    assert [chain.block(h) is not None for h in side] == [True, True]
    bad = with_witness(alice.pay([TxOut(1000, alice.script)]), 0, [b"\1", alice.pubkey])
    with pytest.raises(Rejected, match="block-script-verify-flag-failed"):
        chain.fork(1, [(bad,), ()])
    assert chain.tip_hash == tip


def test_a_wallet_keeps_chosen_coins_apart(chain: RegtestChain, alice: Wallet) -> None:
    first, second = (alice.pay([TxOut(1000, alice.script)]) for _ in range(2))
    assert {i.outpoint for i in first.inputs}.isdisjoint({i.outpoint for i in second.inputs})
    alice.release(first)
    assert alice.pay([TxOut(1000, alice.script)]).inputs[0].outpoint == first.inputs[0].outpoint
    with pytest.raises(NotEnough):
        alice.take(alice.balance() + 1)


def test_wallets_are_the_same_for_the_same_seed(chain: RegtestChain) -> None:
    assert Wallet(chain, "a").secret == sha256(b"simnet wallet a")
    assert Wallet(chain, "a").address.startswith("bcrt1q")
