"""The history of one project by addresses: what was there before blocks were followed.

Everything an explorer says here is checked: a transaction by its id, its block by a merkle proof
and by the chain we follow (`ancestry.linker`), and the meaning of a spend, which none of these
covers, by the signatures in its witness (docs/chain-api.md 14).
Requests: the pages of the address, one for the spenders of each transaction that makes coins, one
for each spending transaction, one proof for each transaction that is reported.

Anybody can announce a project at an address that receives a thousand payments a day. So of a
payment that can neither found nor invest only the txid is kept, and no proof is asked for, unless
its change pays for an investment: money of a claim may have come that way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from raised.chain.ancestry.linker import AncestryLinker
from raised.chain.ancestry.outcomes import Proven, Ready, Unfinished
from raised.chain.explorer.api import Explorer, Proof, SeenTx, Spender
from raised.chain.explorer.merkle_proof import check_inclusion
from raised.chain.header_chain import ref_without_medians
from raised.domain.angor.identifier import project_script
from raised.domain.angor.spend_proof import is_forged
from raised.domain.angor.watched_outputs import (
    CoinKind,
    NewCoin,
    coins_made,
    names_any_key,
)
from raised.domain.bitcoin.sighash import Spending
from raised.domain.bitcoin.tx import OutPoint, Tx, Txid, TxOut
from raised.domain.observation import BlockRef, HistorySeen, PlacedTx
from raised.errors import BadData, InvalidInput, SourceError, Unavailable
from raised.net.backoff import loop_time

_TRIES: Final = 3
_MOST_PARENTS: Final = 50  # transactions asked for what another one spends
_PAYMENT_HOPS: Final = 2  # between a claim and an investment that it pays for (docs/numbers.md)
_MOST_TXS: Final = 100_000  # of one address: 15 MB of txids
_TOO_MANY: Final = "shows more transactions of its address than are read"
_TOO_MANY_SECONDS: Final = 86_400
_FULL_PAGE: Final = 25  # a shorter one is the last, when the count of the address agrees


@dataclass(slots=True)
class _History:
    """What was collected so far of one project."""

    script: bytes
    height: int  # of the tip: nothing above it is collected
    txs: dict[Txid, SeenTx] = field(default_factory=dict[Txid, SeenTx])
    coins: dict[OutPoint, CoinKind] = field(default_factory=dict[OutPoint, CoinKind])
    spends: set[tuple[Txid, int]] = field(default_factory=set[tuple[Txid, int]])


@dataclass(slots=True)
class _Pages:
    """The confirmed transactions of an address: the ids of all, and those to keep, by id."""

    txids: dict[Txid, None] = field(default_factory=dict[Txid, None])  # in the explorer's order
    txs: list[SeenTx] = field(default_factory=list[SeenTx])

    @property
    def last(self) -> Txid | None:
        """The cursor of the next page."""
        return next(reversed(self.txids), None)

    def add(self, page: Sequence[SeenTx], keeps: Callable[[Tx], bool]) -> int:
        """Add what is confirmed and new in a page; how many that are."""
        before = len(self.txids)
        for seen in page:
            if seen.placement is None or seen.tx.txid in self.txids:
                continue
            self.txids[seen.tx.txid] = None
            if keeps(seen.tx):
                self.txs.append(seen)
        return len(self.txids) - before


@dataclass(slots=True)
class PartialHistory:
    """The pages of an address that one explorer gave so far, where reading goes on later.

    `until`: the event loop's time after which no further page is asked for.
    """

    until: float = float("inf")
    pages: _Pages = field(default_factory=_Pages)
    before: _Pages | None = None  # another reading to the last page
    readings: int = 0


async def read_history(
    explorer: Explorer,
    project_id: str,
    at: int,
    linker: AncestryLinker,
    *,
    partial: PartialHistory | None = None,
    with_payments: bool = False,
) -> HistorySeen | Unfinished | PartialHistory:
    """Everything confirmed that concerns the project, up to the linker's tip.

    Or what its old blocks need before they can be checked. Blocks that come meanwhile do not
    matter: they are scanned as a whole. `partial`: where to go on, until when; it is returned when
    that time comes before the last page. `with_payments`: what pays its address is reported, too,
    when it can neither found nor invest. Raises Unavailable when the tip left the chain, and as the
    explorer and the linker do.
    """
    tip = linker.tip
    history = _History(project_script(project_id), tip.height)
    keeps = _is_any if with_payments else names_any_key
    partial = partial or PartialHistory()
    reading = await _all_pages(explorer, history.script, keeps, partial)
    if reading is None:
        return partial
    pages, whole = reading
    confirmed = [seen for seen in pages.txs if _height(seen) <= tip.height]
    # Before the many requests for proofs, which would be made again after the headers are read.
    preparation = await linker.prepare(explorer, [_place(seen) for seen in confirmed])
    if not isinstance(preparation, Ready):
        return preparation
    await _collect(explorer, history, confirmed)
    await _add_payments(explorer, history, pages)
    proven = [await _proven(explorer, history, seen) for seen in history.txs.values()]
    _check_depths(explorer, proven)
    if await explorer.block_hash(tip.height) != tip.hash:
        raise Unavailable(explorer.name, "changed its chain while we read it", "moved")
    headers = [(_height(seen), proof.header) for seen, proof in proven]
    verdict = await linker.verify(explorer, headers)
    if not isinstance(verdict, Proven):
        return verdict
    placed = [_placed(seen, proof) for seen, proof in proven]
    placed.sort(key=lambda pair: (pair[0].height, pair[1].position))
    return HistorySeen(project_id, tuple(placed), tip, explorer.name, at, whole)


async def _collect(explorer: Explorer, history: _History, confirmed: Sequence[SeenTx]) -> None:
    """These transactions and all that spend their coins, oldest first."""
    history.txs.update((seen.tx.txid, seen) for seen in confirmed)
    pending = sorted(confirmed, key=_height)
    while pending:
        pending += await _spenders(explorer, history, pending.pop(0))


async def _add_payments(explorer: Explorer, history: _History, pages: _Pages) -> None:
    """The payments to the address that were left out, and that a transaction kept here spends."""
    newest = list(history.txs.values())
    for _ in range(_PAYMENT_HOPS):
        parents = {txin.outpoint.txid for seen in newest for txin in seen.tx.inputs}
        left_out = (parents & pages.txids.keys()) - history.txs.keys()
        found = [await explorer.tx(txid) for txid in sorted(left_out)]
        newest = [seen for seen in found if seen is not None and _is_below(seen, history.height)]
        history.txs.update((seen.tx.txid, seen) for seen in newest)


def _is_below(seen: SeenTx, height: int) -> bool:
    return seen.placement is not None and seen.placement.height <= height


def _height(seen: SeenTx) -> int:
    assert seen.placement is not None, "only what is in a block is collected"
    return seen.placement.height


def _place(seen: SeenTx) -> tuple[int, str]:
    assert seen.placement is not None, "only what is in a block is collected"
    return seen.placement.height, seen.placement.block_hash


async def _all_pages(
    explorer: Explorer, script: bytes, keeps: Callable[[Tx], bool], partial: PartialHistory
) -> tuple[_Pages, bool] | None:
    """The confirmed transactions of an address; whether the explorer counts no more.

    None when the time is up before.

    The explorer's count of all says early that nothing is missing. It is only a statistic, and
    some keep it wrong for ever (mempool/electrs#112), or do not give it: two readings to the last
    page that agree outweigh it. A single one does not, for a cursor that the explorer lost looks
    like the end.
    """
    while partial.readings < _TRIES:
        pages, before = partial.pages, partial.before
        while new := pages.add(await explorer.history_page(script, pages.last), keeps):
            if new < _FULL_PAGE and await _is_all(explorer, script, pages):
                return pages, True
            if loop_time() > partial.until:
                return None
            if len(pages.txids) > _MOST_TXS:
                raise Unavailable(explorer.name, _TOO_MANY, "too_long", _TOO_MANY_SECONDS)
        is_all = await _is_all(explorer, script, pages)
        if is_all or (before is not None and before.txids.keys() == pages.txids.keys()):
            # Nothing at all, and no count to go with it, is how a host without an index looks.
            return pages, is_all or (is_all is None and bool(pages.txids))
        partial.before, partial.pages = pages, _Pages()
        partial.readings += 1
    raise Unavailable(explorer.name, "lost our place in a list while we read it", "restart_paging")


def _is_any(tx: Tx) -> bool:
    del tx
    return True


async def _is_all(explorer: Explorer, script: bytes, pages: _Pages) -> bool | None:
    """Whether these are as many as the explorer counts; None when it does not say how many.

    A host that answers nothing at all refuses the next page, too.
    """
    try:
        return len(pages.txids) >= (await explorer.counts(script)).confirmed
    except SourceError:
        return None


async def _spenders(explorer: Explorer, history: _History, seen: SeenTx) -> list[SeenTx]:
    """Add the coins a transaction made; the transactions that spend them, where new."""
    made = _made(history, seen)
    if not made:
        return []
    for coin in made:
        history.coins[OutPoint(seen.tx.txid, coin.vout)] = coin.kind
    spenders = await _named_spenders(explorer, seen)
    spending: list[SeenTx] = []
    for coin in made:
        spender = spenders[coin.vout]
        if spender is None or spender.placement is None:
            continue
        if spender.placement.height > history.height:
            continue
        if spender.placement.height < _height(seen):
            raise BadData(
                explorer.name,
                "says an output is spent before it is made",
                "wrong_spender",
            )
        new = await _spend(explorer, history, OutPoint(seen.tx.txid, coin.vout), spender)
        spending += [new] if new is not None else []
    return spending


async def _named_spenders(explorer: Explorer, seen: SeenTx) -> Sequence[Spender | None]:
    spenders = await explorer.spenders(seen.tx.txid)
    if spenders is None:
        raise Unavailable(explorer.name, "gives no spends for a transaction it showed", "no_spends")
    if len(spenders) != len(seen.tx.outputs):
        raise BadData(explorer.name, "gives no spends for outputs it has shown", "wrong_spends")
    return spenders


def _made(history: _History, seen: SeenTx) -> tuple[NewCoin, ...]:
    pays = any(script == history.script for _, script in seen.tx.outputs)
    spent = [
        (vin, history.coins[txin.outpoint])
        for vin, txin in enumerate(seen.tx.inputs)
        if txin.outpoint in history.coins
    ]
    return coins_made(seen.tx, pays_project=pays, spent=spent)


async def _spend(
    explorer: Explorer, history: _History, coin: OutPoint, spender: Spender
) -> SeenTx | None:
    """Add the transaction that spends a coin; None when it was known before."""
    known = history.txs.get(spender.txid)
    seen = known or await explorer.tx(spender.txid)
    if seen is None or seen.placement is None:
        raise Unavailable(explorer.name, "names a spender that it does not know", "moved")
    vins = [vin for vin, txin in enumerate(seen.tx.inputs) if txin.outpoint == coin]
    if not vins:
        raise BadData(explorer.name, "names a spender that does not spend", "wrong_spender")
    history.spends.add((spender.txid, vins[0]))
    history.txs[spender.txid] = seen
    return None if known else seen


async def _proven(explorer: Explorer, history: _History, seen: SeenTx) -> tuple[SeenTx, Proof]:
    assert seen.placement is not None, "only what is in a block is collected"
    tx = seen.tx
    vins = [vin for txid, vin in history.spends if txid == tx.txid]
    # The txid does not cover the witness, and the witness says what the spend means.
    if vins and _any_made_up(Spending(tx, await _spent_outputs(explorer, seen)), vins):
        raise BadData(explorer.name, "sent a witness whose signatures do not hold", "wrong_witness")
    proof = await explorer.proof(tx.txid, seen.placement.block_hash)
    if proof is None:
        raise Unavailable(explorer.name, "has no proof for a confirmed transaction", "moved")
    try:
        check_inclusion(tx, proof)
    except InvalidInput as error:
        raise BadData(explorer.name, f"sent a proof with {error}", "forged_proof") from error
    return seen, proof


async def _spent_outputs(explorer: Explorer, seen: SeenTx) -> tuple[TxOut, ...]:
    """What a transaction's inputs spend, asked for where the explorer left it out."""
    missing = {
        txin.outpoint.txid
        for txin, output in zip(seen.tx.inputs, seen.spent, strict=True)
        if output is None
    }
    if len(missing) > _MOST_PARENTS:
        raise Unavailable(explorer.name, "leaves out what too many inputs spend", "no_prevouts")
    parents = {txid: await explorer.tx(txid) for txid in missing}
    spent: list[TxOut] = []
    for txin, output in zip(seen.tx.inputs, seen.spent, strict=True):
        parent = parents.get(txin.outpoint.txid)
        outputs = () if parent is None else parent.tx.outputs
        known = [output] if output is not None else outputs[txin.outpoint.vout :]
        if not known:
            raise Unavailable(explorer.name, "does not give what an input spends", "no_prevouts")
        spent.append(known[0])
    return tuple(spent)


def _check_depths(explorer: Explorer, proven: Sequence[tuple[SeenTx, Proof]]) -> None:
    """Raise BadData when two transactions of one block are not at one depth of its tree."""
    depths: dict[str, int] = {}
    for _, proof in proven:
        depth = len(proof.siblings)
        if depths.setdefault(proof.header.hash, depth) != depth:
            raise BadData(explorer.name, "sent proofs of two depths for a block", "forged_proof")


def _placed(seen: SeenTx, proof: Proof) -> tuple[BlockRef, PlacedTx]:
    block = ref_without_medians(_height(seen), proof.header)
    return block, PlacedTx(seen.tx, proof.position, proof.siblings, "spv")


def _any_made_up(spending: Spending, vins: list[int]) -> bool:
    return any(is_forged(spending, vin) for vin in vins)
