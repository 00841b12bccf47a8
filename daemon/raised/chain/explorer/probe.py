"""The first requests to an explorer: where its routes begin, its flavour, and its network.

Source: docs/chain-api.md 2.
"""

from dataclasses import dataclass
from typing import Final

from raised.chain.explorer.esplora import Esplora
from raised.chain.explorer.http import SMALL, ExplorerHttp
from raised.chain.explorer.http_status import Forbidden
from raised.chain.explorer.json_types import AddressObject, decode, text_of
from raised.chain.explorer.redirects import REDIRECTS
from raised.domain.angor.network import Network
from raised.domain.bitcoin.bech32 import address
from raised.domain.bitcoin.block import target
from raised.domain.bitcoin.script import p2wpkh
from raised.errors import BadData, Refused, SourceError, Unavailable

_UNUSED_SCRIPT: Final = p2wpkh(bytes(20))


@dataclass(frozen=True, slots=True)
class NetworkMarks:
    """What tells a network from the others: a block it has, and a block it must not have.

    All signets share one genesis, so a later block decides. `limit`: the easiest allowed bits.
    """

    limit: int
    has: tuple[int, str] | None = None
    lacks: tuple[int, str] | None = None


_SIGNET_PIN: Final = (
    293175,
    "00000008414aab61092ef93f1aacc54cf9e9f16af29ddad493b908a01ff5c329",
)
# docs/chain-api.md 14, from Bitcoin Core's chain parameters; Angornet's block is from its published
# transactions.
_MARKS: Final = {
    "main": NetworkMarks(
        0x1D00FFFF, (938343, "00000000000000000000ccebd6d74d9194d8dcdc1d177c478e094bfad51ba5ac")
    ),
    "testnet": NetworkMarks(
        0x1D00FFFF, (4842348, "000000007a61e4230b28ac5cb6b5e5a0130de37ac1faf2f8987d2fa6505b67f4")
    ),
    "testnet4": NetworkMarks(
        0x1D00FFFF, (123613, "0000000002368b1e4ee27e2e85676ae6f9f9e69579b29093e9a82c170bf7cf8a")
    ),
    "signet": NetworkMarks(0x1E0377AE, _SIGNET_PIN),
    "angornet": NetworkMarks(
        0x1E0377AE,
        (500287, "000002d4bf3a9018e15c9094995b258bb05b7cb7917544d86a1c0a35404d13bb"),
        _SIGNET_PIN,
    ),
    "regtest": NetworkMarks(0x207FFFFF),
}


def limit_of(network: str) -> int:
    """The largest target a header of this network may have."""
    return target(_MARKS[network].limit)


def pin_of(network: str) -> tuple[int, str] | None:
    """A block of this network that is known beforehand: its height and hash."""
    return _MARKS[network].has


async def probe(http: ExplorerHttp, network: Network, sample: bytes = _UNUSED_SCRIPT) -> Esplora:
    """The adapter for this explorer; `http.base` is set to where its routes begin.

    `sample` is any script: asking about it shows whether and how addresses are served. Raises
    Refused for another network or a flavour that is not supported, Unavailable when the explorer
    does not answer.
    """
    genesis = await _find_base(http)
    if genesis != network.genesis:
        raise Refused(http.name, "serves another network than ours", "wrong_network")
    explorer = Esplora(http, network.hrp)
    await _check_marks(explorer, _MARKS[network.name])
    flavour = await _flavour(http, network.hrp, sample)
    return Esplora(http, network.hrp, flavour)


async def _find_base(http: ExplorerHttp) -> str:
    """Set `http.base` to where the routes begin; the hash of the genesis block given there."""
    root = http.base
    reason: SourceError | None = None
    for base in _bases(root):
        http.base = base
        try:
            body = await http.get("/block-height/0", SMALL)
            text = "" if body is None else text_of(http.name, body)
        except Refused as error:
            # These say more than that a route is not served.
            says_why = isinstance(error, Forbidden) or error.code == REDIRECTS
            reason = error if says_why else reason
            continue
        except BadData:
            continue
        except Unavailable as error:
            # A server error at one base says nothing about the others; no answer is none anywhere.
            if error.code != "retry":
                http.base = root
                raise
            reason = reason or error
            continue
        if len(text) == 64:
            return text
    http.base = root
    raise reason or Refused(http.name, "serves none of the routes we read", "no_routes")


def _bases(root: str) -> list[str]:
    bases = [root, f"{root}/api", f"{root}/api/v1"]
    return [*bases, root.removesuffix("/v1")] if root.endswith("/v1") else bases


async def _check_marks(explorer: Esplora, marks: NetworkMarks) -> None:
    for mark, expected in ((marks.has, True), (marks.lacks, False)):
        if mark is None:
            continue
        block_hash = await explorer.block_hash(mark[0])
        if block_hash is None and expected:
            raise Unavailable(explorer.name, "has not caught up with its chain", "syncing")
        if (block_hash == mark[1]) is not expected:
            raise Refused(explorer.name, "serves another network than ours", "wrong_network")


async def _flavour(http: ExplorerHttp, hrp: str, sample: bytes) -> str:
    body = await http.get(f"/address/{address(hrp, sample)}", SMALL)
    if body is None:
        raise Refused(http.name, "keeps no index of addresses", "no_addresses")
    if decode(http.name, body, AddressObject).electrum:
        raise Refused(
            http.name, "is a mempool backend on an Electrum server, which we cannot read", "flavour"
        )
    return "mempool" if "mempool-electrs" in http.powered_by else "esplora"
