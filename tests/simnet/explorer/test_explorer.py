from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("pbk")

from raised.domain.bitcoin.block import check_block, fold_merkle_proof, parse_block
from raised.domain.bitcoin.tx import TxOut, parse_tx
from raised.errors import InvalidInput
from raised_simnet.actors.wallet import Wallet, fan_out, fund
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.explorer.faults import BadBlock, Faults, altered_witness
from raised_simnet.explorer.server import Explorer, Flavour

UNKNOWN = "ab" * 32


class Setting:
    """A chain, a wallet with coins, a server in front and a client of it."""

    def __init__(self, directory: Path) -> None:
        self.chain = RegtestChain(directory, 1_700_000_000)
        miner = Wallet(self.chain, "miner")
        self.alice = Wallet(self.chain, "alice")
        fund(self.chain, miner, 2)
        self.chain.mine([fan_out(miner, [self.alice.script], 1_000_000, each=60)])
        self.explorer = Explorer(self.chain)
        self.explorer.start()
        self.client = httpx.Client(base_url=self.explorer.url, verify=False)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def close(self) -> None:
        self.client.close()
        self.explorer.stop()
        self.chain.close()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Setting]:
    setting = Setting(tmp_path)
    yield setting
    setting.close()


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/tx/zz", 400, "Invalid hex string"),
        ("/block-height/abc", 400, "Invalid number"),
        ("/scripthash/00", 400, "Invalid scripthash"),
        ("/address/tb1q924sac60pdyr3fgtd8pckz7pj8z0qtu8n4a0vc", 400, "base58 error"),
        ("/address/bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", 400, "Address on invalid network"),
        (f"/tx/{UNKNOWN}", 404, "Transaction not found"),
        (f"/tx/{UNKNOWN}/outspends", 404, "Transaction not found"),
        (f"/tx/{UNKNOWN}/status", 200, '{"confirmed":false}'),
        (f"/tx/{UNKNOWN}/outspend/0", 200, '{"spent":false}'),
        (f"/tx/{UNKNOWN}/merkle-proof", 404, "Transaction not found or is unconfirmed"),
        (f"/tx/{UNKNOWN}/merkleblock-proof", 404, "Transaction not found or is unconfirmed"),
        (f"/block/{UNKNOWN}", 404, "Block not found"),
        ("/block-height/999999", 404, "Block not found"),
        ("/nope", 404, 'endpoint does not exist "/nope"'),
    ],
)
def test_wrong_questions_get_the_original_words(
    here: Setting, path: str, status: int, text: str
) -> None:
    response = here.get(path)
    assert (response.status_code, response.text[: len(text)]) == (status, text)


def test_block_transactions_come_in_pages_of_25(here: Setting) -> None:
    here.chain.mine([here.alice.pay([TxOut(1000, here.alice.script)]) for _ in range(30)])
    block = f"/block/{here.chain.tip_hash}/txs"
    first, second = here.get(block).json(), here.get(block + "/25").json()
    assert (len(first), len(second)) == (25, 6)
    assert [tx["txid"] for tx in first + second] == here.get(block[:-1] + "ids").json()
    assert here.get(block + "/7").text == "start index must be a multipication of 25"
    assert here.get(block + "/50").text == "start index out of range"


def test_a_mempool_part_stops_at_50_and_the_chain_part_at_25(here: Setting) -> None:
    nobody = Wallet(here.chain, "nobody")
    paid = [here.alice.pay([TxOut(1000, nobody.script)]) for _ in range(58)]
    here.chain.mine(paid[:2])
    for tx in paid[2:]:
        here.chain.accept(tx)
    history = here.get(f"/address/{nobody.address}/txs").json()
    assert [tx["txid"] for tx in history[:50]] == [tx.txid for tx in paid[2:52]]
    assert {tx["txid"] for tx in history[50:]} == {tx.txid for tx in paid[:2]}
    here.chain.mine()
    last = ""
    seen: list[str] = []
    while page := here.get(f"/address/{nobody.address}/txs/chain{last}").json():
        assert len(page) <= 25
        seen.extend(tx["txid"] for tx in page)
        last = "/" + page[-1]["txid"]
    raws = [bytes.fromhex(txid)[::-1] for txid in seen[:56]]
    assert raws == sorted(raws, reverse=True), "inside a block by descending internal bytes"
    assert set(seen) == {tx.txid for tx in paid}
    stats = here.get(f"/address/{nobody.address}").json()["chain_stats"]
    assert (stats["tx_count"], stats["funded_txo_sum"]) == (58, 58_000)


def test_a_proof_folds_to_the_header(here: Setting) -> None:
    here.chain.mine([here.alice.pay([TxOut(1000, here.alice.script)]) for _ in range(5)])
    header = here.chain.tip.block.header
    for tx in here.chain.tip.txs:
        proof = here.get(f"/tx/{tx.txid}/merkle-proof").json()
        assert fold_merkle_proof(tx.txid, proof["merkle"], proof["pos"]) == header.merkle_root


def test_a_broadcast_is_judged_by_the_engine(here: Setting) -> None:
    tx = here.alice.pay([TxOut(1000, here.alice.script)])
    url = here.explorer.url + "/tx"
    assert httpx.post(url, content="00").status_code == 400
    bad = httpx.post(url, content=altered_witness(tx).serialize().hex())
    assert (bad.status_code, "script-verify-flag-failed" in bad.text) == (400, True)
    good = httpx.post(url, content=tx.serialize().hex())
    assert (good.status_code, good.text) == (200, tx.txid)
    assert here.get("/mempool/txids").json() == [tx.txid]
    outpoint = tx.inputs[0].outpoint
    spend = here.get(f"/tx/{outpoint.txid}/outspend/{outpoint.vout}").json()
    assert spend == {"spent": True, "txid": tx.txid, "vin": 0, "status": {"confirmed": False}}


def test_a_transaction_of_a_lost_branch_is_a_zombie(here: Setting) -> None:
    tx = here.alice.pay([TxOut(1000, here.alice.script)])
    here.chain.mine([tx])
    stale = here.chain.tip_hash
    here.chain.reorg(1, keep=False)
    assert here.get(f"/tx/{tx.txid}").json()["status"] == {"confirmed": False}
    assert here.get(f"/tx/{tx.txid}/hex").status_code == 200
    outpoint = tx.inputs[0].outpoint
    assert here.get(f"/tx/{outpoint.txid}/outspend/{outpoint.vout}").json() == {"spent": False}
    assert tx.txid in here.get(f"/block/{stale}/txids").json()
    assert here.get(f"/block/{stale}").status_code == 404
    status = {"in_best_chain": False, "height": None, "next_best": None}
    assert here.get(f"/block/{stale}/status").json() == status


def test_a_late_server_still_has_the_newest_transactions_waiting(here: Setting) -> None:
    tx = here.alice.pay([TxOut(1000, here.alice.script)])
    here.chain.mine([tx])
    late = Explorer(here.chain)
    late.view.lag = 1
    late.start()
    try:
        assert httpx.get(late.url + "/blocks/tip/height").text == str(here.chain.height - 1)
        assert httpx.get(late.url + f"/tx/{tx.txid}/status").json() == {"confirmed": False}
        assert httpx.get(late.url + "/mempool/txids").json() == [tx.txid]
        coin = tx.inputs[0].outpoint
        spend = httpx.get(f"{late.url}/tx/{coin.txid}/outspend/{coin.vout}").json()
        assert (spend["txid"], spend["status"]) == (tx.txid, {"confirmed": False})
        assert here.get(f"/tx/{tx.txid}/status").json()["confirmed"]
    finally:
        late.stop()


def test_a_tip_can_go_back(here: Setting) -> None:
    heights = []
    for lag in (0, 3, 0):
        here.explorer.view.lag = lag
        heights.append(int(here.get("/blocks/tip/height").text))
    assert heights == [here.chain.height, here.chain.height - 3, here.chain.height]


def test_a_server_may_stay_on_another_branch_of_the_same_height(here: Setting) -> None:
    tx = here.alice.pay([TxOut(1000, here.alice.script)])
    here.chain.mine([tx])
    (other,) = here.chain.fork(1, [()])
    here.explorer.view.pinned = other
    assert here.get("/blocks/tip/hash").text == other
    assert here.get("/blocks/tip/height").text == str(here.chain.height)
    assert here.get(f"/tx/{tx.txid}/status").json() == {"confirmed": False}
    here.chain.mine_many(2)
    assert here.get("/blocks/tip/hash").text == other, "it stays behind"
    heights = [block["height"] for block in here.get("/blocks").json()]
    assert heights == list(range(heights[0], heights[0] - 10, -1))
    below = here.get(f"/block-height/{heights[0] - 1}").text
    assert below == here.chain.block_at(heights[0] - 1).hash


def test_requests_are_counted_by_route(here: Setting) -> None:
    here.explorer.forget()
    for height in (0, 1):
        here.get(f"/block-height/{height}")
    here.get("/blocks/tip/hash")
    assert here.explorer.counts == {"block-height/:height": 2, "blocks/tip/hash": 1}
    assert list(here.explorer.recent_paths) == [
        "/block-height/0",
        "/block-height/1",
        "/blocks/tip/hash",
    ]


def test_one_connection_serves_many_requests(here: Setting) -> None:
    ports = {
        here.get("/blocks/tip/hash").extensions["network_stream"].get_extra_info("client_addr")
    }
    ports |= {here.get("/blocks").extensions["network_stream"].get_extra_info("client_addr")}
    assert len(ports) == 1


def test_a_server_that_is_down_refuses_and_comes_back_on_its_port(here: Setting) -> None:
    here.get("/blocks/tip/hash")
    here.explorer.down()
    with pytest.raises(httpx.TransportError):
        here.get("/blocks/tip/hash")
    with pytest.raises(httpx.ConnectError):
        httpx.get(here.explorer.url + "/blocks/tip/hash")
    here.explorer.up()
    assert here.get("/blocks/tip/hash").status_code == 200


def test_faults_strike_the_named_routes_as_often_as_told(here: Setting) -> None:
    here.explorer.faults = Faults(status=429, retry_after=7, only={"blocks/tip/hash"}, left=2)
    answers = [here.get("/blocks/tip/hash") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert here.get("/blocks/tip/height").status_code == 200
    here.explorer.faults = Faults(status=503)
    assert here.get("/nope").headers["content-type"] == "text/html"


def test_a_portal_page_is_a_200_with_html(here: Setting) -> None:
    here.explorer.faults = Faults(html=True)
    response = here.get("/blocks")
    assert (response.status_code, response.text[:6]) == (200, "<html>")


def test_a_cut_answer_breaks_its_promise(here: Setting) -> None:
    here.explorer.faults = Faults(cut=True)
    with pytest.raises(httpx.RemoteProtocolError):
        here.get("/blocks")


def test_a_slow_answer_comes_late(here: Setting) -> None:
    here.explorer.faults = Faults(delay_seconds=30)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(here.explorer.url + "/blocks", timeout=0.05)


@pytest.mark.parametrize("how", list(BadBlock))
def test_a_falsified_block_does_not_check(here: Setting, how: BadBlock) -> None:
    here.chain.mine([here.alice.pay([TxOut(1000, here.alice.script)])])
    here.explorer.faults = Faults(bad_block=how)
    raw = here.get(f"/block/{here.chain.tip_hash}/raw").content
    block = parse_block(raw)
    another = block.header.hash != here.chain.tip_hash
    assert another == (how in (BadBlock.OTHER, BadBlock.HEADER))
    if not another:
        with pytest.raises(InvalidInput):
            check_block(block)


def test_a_lie_about_a_transaction_is_told_everywhere(here: Setting) -> None:
    tx, other = (here.alice.pay([TxOut(1000, here.alice.script)]) for _ in range(2))
    here.chain.mine([tx, other])
    here.explorer.faults = Faults(lies={tx.txid: other})
    assert here.get(f"/tx/{tx.txid}").json()["txid"] == other.txid
    assert parse_tx(here.get(f"/tx/{tx.txid}/raw").content) == other
    here.explorer.faults = Faults(lies={tx.txid: altered_witness(tx)})
    told = parse_tx(bytes.fromhex(here.get(f"/tx/{tx.txid}/hex").text))
    assert (told.txid, told.wtxid == tx.wtxid) == (tx.txid, False)


def test_a_hidden_transaction_is_nowhere_but_in_its_block(here: Setting) -> None:
    tx = here.alice.pay([TxOut(1000, here.alice.script)])
    here.chain.mine([tx])
    here.explorer.view.hidden = frozenset({tx.txid})
    assert here.get(f"/tx/{tx.txid}").status_code == 404
    history = here.get(f"/address/{here.alice.address}/txs").json()
    assert tx.txid not in [item["txid"] for item in history]
    outpoint = tx.inputs[0].outpoint
    assert here.get(f"/tx/{outpoint.txid}/outspend/{outpoint.vout}").json() == {"spent": False}
    block = parse_block(here.get(f"/block/{here.chain.tip_hash}/raw").content)
    assert tx.txid in [item.txid for item in block.txs]


@pytest.fixture
def other(here: Setting, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client of a second server of another flavour before the same chain."""
    server = Explorer(here.chain, request.param)
    server.start()
    with httpx.Client(base_url=server.url) as client:
        yield client
    server.stop()


@pytest.mark.parametrize("other", [Flavour.MEMPOOL], indirect=True)
def test_a_mempool_server_has_two_halves(here: Setting, other: httpx.Client) -> None:
    page = other.get(f"/v1/address/{here.alice.address}")
    assert (page.status_code, page.headers["content-type"][:9]) == (404, "text/html")
    address = other.get(f"/address/{here.alice.address}")
    assert address.headers["x-powered-by"].startswith("mempool-electrs")
    assert "electrum" not in address.json()
    blocks = other.get("/v1/blocks").json()
    assert len(blocks) == 15
    assert blocks[0]["extras"]["header"] == here.chain.tip.block.header.serialize().hex()
    assert len(other.get("/blocks").json()) == 10
    assert other.get("/address/nonsense").text == "Invalid Bitcoin address"
    assert other.get("/txs/outspends?txids=" + UNKNOWN).json() == [[]]
    many = ",".join([UNKNOWN] * 51)
    assert other.get("/txs/outspends?txids=" + many).status_code == 400


@pytest.mark.parametrize("other", [Flavour.ELECTRUM], indirect=True)
def test_a_backend_on_an_electrum_server_never_names_spenders(
    here: Setting, other: httpx.Client
) -> None:
    tx = here.alice.pay([TxOut(1000, here.alice.script)])
    here.chain.accept(tx)
    parent = tx.inputs[0].outpoint
    assert other.get(f"/tx/{parent.txid}/outspends").json()[parent.vout] == {"spent": True}
    assert other.get(f"/address/{here.alice.address}").json()["electrum"] is True
    unknown = other.get(f"/tx/{UNKNOWN}")
    assert unknown.json() == {"error": "No such mempool or blockchain transaction"}
    assert other.get("/block-height/99999").status_code == 500
    batch = f"/txs/outspends?txids={tx.txid},{UNKNOWN}"
    assert other.get(batch).status_code == 500
    assert other.get("/nope").headers["content-type"].startswith("text/html")
    assert other.get(f"/address/{here.alice.address}/txs/mempool").status_code == 404
    assert other.get("/fees/recommended").json()["fastestFee"] == 1


@pytest.mark.parametrize("other", [Flavour.ELECTRUM], indirect=True)
def test_an_electrum_walk_with_an_unknown_cursor_begins_again(
    here: Setting, other: httpx.Client
) -> None:
    nobody = Wallet(here.chain, "nobody")
    here.chain.mine([here.alice.pay([TxOut(1000, nobody.script)]) for _ in range(12)])
    route = f"/address/{nobody.address}/txs"
    first = [tx["txid"] for tx in other.get(route).json()]
    assert first == [tx.txid for tx in here.chain.tip.txs[1:11]], "ascending inside a block"
    again = [tx["txid"] for tx in other.get(f"{route}?after_txid={UNKNOWN}").json()]
    assert again == first
    rest = other.get(f"{route}?after_txid={first[-1]}").json()
    assert [tx["txid"] for tx in rest] == [tx.txid for tx in here.chain.tip.txs[11:]]
