"""What a version of the server calls things. Source: docs/btcpay.md 11."""

from dataclasses import dataclass, field
from typing import Final

from raised_simnet.btcpay.invoice import LIGHTNING, LNURL, ON_CHAIN


@dataclass(frozen=True, slots=True)
class ApiVersion:
    """One version's words.

    `old`: the shapes of 1.x. `hides_unknown`: an unknown object is a missing permission.
    """

    version: str
    method_key: str = "paymentMethodId"
    method_names: dict[str, str] = field(default_factory=dict)
    old: bool = False
    hides_unknown: bool = True

    def method_name(self, method_id: str) -> str:
        """A payment method as this version names it."""
        if method_id in self.method_names or not self.old:
            return self.method_names.get(method_id, method_id)
        return method_id.removesuffix("-CHAIN")


V2_4_1: Final = ApiVersion("2.4.1")
V2_4_5: Final = ApiVersion("2.4.5")  # no shape is known to have changed
V1_13: Final = ApiVersion(
    "1.13.7",
    method_key="paymentMethod",
    method_names={ON_CHAIN: "BTC", LIGHTNING: "BTC-LightningNetwork", LNURL: "BTC-LNURLPAY"},
    old=True,
    hides_unknown=False,
)
