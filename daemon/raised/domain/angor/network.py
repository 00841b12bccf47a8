"""The Bitcoin networks that Angor knows, and the root keys compiled into its clients.

The private key of the test networks' root is public in the unit tests of the clients: anybody can
spend what is paid to a project address there. Source: docs/angor.md 2.
"""

from dataclasses import dataclass
from typing import Final

from raised.domain.bitcoin.bip32 import ExtendedKey, parse_xpub
from raised.errors import InvalidInput

_MAIN_ROOT: Final = parse_xpub(
    "xpub661MyMwAqRbcGNxKe9aFkPisf3h32gHLJm8f9XAqx8FB1Nk6KngCY8hkhGqxFr2Gyb6yfUaQVbodxLoC1f3K5HU9"
    "LM1CXE59gkEXSGCCZ1B"
)
_TEST_ROOT: Final = parse_xpub(
    "tpubD8JfN1evVWPoJmLgVg6Usq2HEW9tLqm6CyECAADnH5tyQosrL6NuhpL9X1cQCbSmndVrgLSGGdbRqLfUbE6cRqUb"
    "rHtDJgSyQEY2Uu7WwTL"
)
_SIGNET_GENESIS: Final = "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"


@dataclass(frozen=True, slots=True)
class Network:
    """A network: `name` as in our configuration, `angor_name` as in project events.

    `genesis` is the hash of its first block; all signets share one, so it does not tell Angornet
    from the public signet.
    """

    name: str
    angor_name: str
    hrp: str
    is_main: bool
    root: ExtendedKey
    genesis: str


def _test(name: str, angor_name: str, genesis: str, hrp: str = "tb") -> Network:
    return Network(name, angor_name, hrp, is_main=False, root=_TEST_ROOT, genesis=genesis)


NETWORKS: Final = (
    Network(
        "main",
        "Main",
        "bc",
        is_main=True,
        root=_MAIN_ROOT,
        genesis="000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
    ),
    _test(
        "testnet",
        "Testnet",
        "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
    ),
    _test(
        "testnet4",
        "Testnet4",
        "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
    ),
    _test("signet", "Signet", _SIGNET_GENESIS),
    _test("angornet", "Angornet", _SIGNET_GENESIS),
    _test(
        "regtest",
        "Regtest",
        "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
        hrp="bcrt",
    ),
)
_BY_NAME: Final = {network.name: network for network in NETWORKS}
_MAIN: Final = _BY_NAME["main"]
# Declared by the clients, with no transactions ever built for it: no network of ours.
_LIQUID: Final = "liquid"


def network_named(text: str) -> Network:
    """The network with this name, whatever its case. Raises InvalidInput."""
    network = _BY_NAME.get(text.lower())
    if network is None:
        raise InvalidInput(f"not a network: one of {', '.join(_BY_NAME)}")
    return network


def network_beginning(text: str) -> Network:
    """The network by whose name this text begins, whatever its case. Raises InvalidInput."""
    lowered = text.lower()
    for name in sorted(_BY_NAME, key=len, reverse=True):
        if lowered.startswith(name):
            return _BY_NAME[name]
    raise InvalidInput(f"begins with no network: one of {', '.join(_BY_NAME)}")


def may_belong_to(network: Network, network_name: str) -> bool:
    """Whether an event that names this network may belong to ours.

    An empty name may belong to any. Clients read unknown names as Main (docs/angor.md 2.1).
    """
    name = network_name.lower()
    if not name:
        return True
    if name == _LIQUID:
        return False
    return _BY_NAME.get(name, _MAIN) is network
