"""Pull payments and payouts: how money goes back. Source: docs/btcpay.md 10."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from raised_simnet.btcpay.api_version import ApiVersion
from raised_simnet.btcpay.decimals import plain
from raised_simnet.btcpay.invoice import ON_CHAIN

Json = dict[str, object]


class PayoutState(StrEnum):
    """How far a payout is."""

    AWAITING_APPROVAL = "AwaitingApproval"
    AWAITING_PAYMENT = "AwaitingPayment"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    CANCELLED = "Cancelled"


@dataclass(slots=True)
class PullPayment:
    """An offer to take money. Named for the invoice it was made from, until somebody edits it."""

    id: str
    store_id: str
    name: str
    amount: Decimal
    currency: str
    starts_at: int
    archived: bool = False

    def as_json(self, host: str) -> Json:
        """As Greenfield shows it."""
        return {
            "startsAt": self.starts_at,
            "expiresAt": None,
            "id": self.id,
            "name": self.name,
            "description": None,
            "currency": self.currency,
            "amount": plain(self.amount),
            "BOLT11Expiration": 30,
            "archived": self.archived,
            "viewLink": f"{host}/pull-payments/{self.id}",
            "autoApproveClaims": False,
        }


@dataclass(slots=True)
class Payout:
    """Money that leaves. `coin_amount` is settled with the approval; `proof` is the transaction."""

    id: str
    store_id: str
    pull_id: str | None
    date: int
    destination: str
    amount: Decimal
    currency: str
    method: str = ON_CHAIN
    coin: str = "BTC"
    coin_amount: Decimal | None = None
    state: PayoutState = PayoutState.AWAITING_APPROVAL
    revision: int = 0
    proof: str | None = None

    def as_json(self, dialect: ApiVersion) -> Json:
        """As Greenfield shows it, by version."""
        coin_amount = None if self.coin_amount is None else plain(self.coin_amount)
        front: Json = {"date": self.date, "id": self.id, "pullPaymentId": self.pull_id}
        front["destination"] = self.destination
        tail: Json = {"state": str(self.state), "revision": self.revision}
        tail |= {"paymentProof": self._proof(), "metadata": {}}
        if dialect.old:
            money: Json = {
                "paymentMethod": dialect.method_name(self.method),
                "cryptoCode": self.coin,
                "amount": plain(self.amount),
                "paymentMethodAmount": coin_amount,
            }
        else:
            money = {
                "payoutMethodId": self.method,
                "originalAmount": plain(self.amount),
                "originalCurrency": self.currency,
                "payoutCurrency": self.coin,
                "payoutAmount": coin_amount,
            }
        return {**front, **money, **tail}

    def _proof(self) -> Json | None:
        if self.proof is None:
            return None
        return {
            "transactionId": self.proof,
            "candidates": [self.proof],
            "proofType": "PayoutTransactionOnChainBlob",
            "accounted": True,
        }
