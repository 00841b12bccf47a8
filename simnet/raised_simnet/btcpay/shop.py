"""Shops of a world: a store, its key for the product, its webhook's secret."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raised_simnet.btcpay.id_generator import hex_id
from raised_simnet.btcpay.permission import READ, ApiKey
from raised_simnet.btcpay.server import BTCPayServer
from raised_simnet.btcpay.store import STANDARD, Policy, Store

_SECRET_CHARS = 64


@dataclass(frozen=True, slots=True)
class Shop:
    """One store as the product knows it. `label` names its credentials and its webhook's path."""

    label: str
    store: Store
    key: ApiKey
    secret: str
    metadata_keys: tuple[str, ...] = ()

    def settings(self, url: str) -> str:
        """Its table of relays.toml."""
        keys = ", ".join(f'"{key}"' for key in self.metadata_keys)
        lines = (
            "[[btcpay]]",
            f'label = "{self.label}"',
            f'url = "{url}"',
            f'store_id = "{self.store.id}"',
            f"metadata_keys = [{keys}]",
        )
        return "\n".join((*lines, ""))

    def secrets(self, folder: Path) -> dict[str, str]:
        """Write its secrets into files; the variables that name them."""
        values = {"API_KEY": self.key.key, "WEBHOOK_SECRET": self.secret}
        variables: dict[str, str] = {}
        for kind, value in values.items():
            path = folder / f"{self.label}-{kind.lower()}"
            path.write_text(value + "\n", encoding="utf-8")
            label = self.label.upper().replace("-", "_")
            variables[f"RAISED_BTCPAY_{label}_{kind}_FILE"] = str(path)
        return variables


@dataclass(frozen=True, slots=True)
class Collection:
    """A campaign of relays.toml. `orders`: by shop, what the ids of its orders begin with.

    An empty beginning is the whole shop.
    """

    slug: str
    title: str
    projects: tuple[str, ...]
    orders: Mapping[str, str]

    def settings(self) -> str:
        """Its table."""
        projects = ", ".join(f'"{project}"' for project in self.projects)
        rules = ", ".join(_rule(shop, prefix) for shop, prefix in self.orders.items())
        lines = (
            "[[campaign]]",
            f'slug = "{self.slug}"',
            f'title = "{self.title}"',
            f"angor = [{projects}]",
            f"btcpay = [{rules}]",
        )
        return "\n".join((*lines, ""))


def open_shop(
    server: BTCPayServer,
    label: str,
    policy: Policy = STANDARD,
    *,
    policies: Sequence[str] = READ,
    metadata_keys: tuple[str, ...] = ("orderId",),
) -> Shop:
    """A new store with a key that may do `policies` in it."""
    store = server.office.open_store(label, policy)
    key = server.key(store, policies)
    return Shop(label, store, key, hex_id(f"{store.id} secret", _SECRET_CHARS), metadata_keys)


def ring(server: BTCPayServer, shops: Sequence[Shop], address: str) -> None:
    """Point a webhook of each shop at the product's API."""
    for shop in shops:
        server.add_hook(shop.store, f"{address}/webhooks/btcpay/{shop.label}", shop.secret)


def _rule(shop: str, prefix: str) -> str:
    by_order = f', order_id_prefix = "{prefix}"' if prefix else ""
    return f'{{ store = "{shop}"{by_order} }}'
