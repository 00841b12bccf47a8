"""Webhooks of a store and what became of their deliveries. Source: docs/btcpay.md 6."""

from dataclasses import dataclass, field
from enum import StrEnum

from raised_simnet.btcpay.webhook_event import Event

Json = dict[str, object]


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCESS = "HttpSuccess"
    ERROR = "HttpError"
    FAILED = "Failed"


@dataclass(slots=True)
class Delivery:
    """One attempt that was made. `body` None: pruned. `event`: what a redelivery tells again."""

    id: str
    original_id: str
    timestamp: int
    sent_at: int
    code: int | None
    error: str | None
    event: Event
    body: bytes | None

    @property
    def outcome(self) -> Outcome:
        """Whether it was answered with a 2xx, otherwise, or not at all."""
        if self.code is None:
            return Outcome.FAILED
        return Outcome.SUCCESS if 200 <= self.code < 300 else Outcome.ERROR

    def as_json(self) -> Json:
        """As the list of deliveries shows it."""
        return {
            "id": self.id,
            "timestamp": self.timestamp,
            "deliveryTime": self.sent_at,
            "httpCode": self.code,
            "errorMessage": self.error,
            "status": str(self.outcome),
        }


@dataclass(slots=True)
class DeliveryFaults:
    """What befalls the deliveries of one webhook on their way.

    `lose`: so many next events are never attempted, as when the server restarts. `twice`: each is
    posted twice. `hold`: nothing goes out, the queue grows. `shuffle`: what waits goes out in any
    order. `delay_seconds`: before each attempt.
    """

    lose: int = 0
    twice: bool = False
    hold: bool = False
    shuffle: bool = False
    delay_seconds: float = 0


@dataclass(slots=True)
class Webhook:
    """A webhook. `wanted` None: everything."""

    id: str
    store_id: str
    url: str
    secret: str
    enabled: bool = True
    retries: bool = True
    wanted: tuple[str, ...] | None = None
    deliveries: list[Delivery] = field(default_factory=list)
    faults: DeliveryFaults = field(default_factory=DeliveryFaults)

    def wants(self, event_type: str) -> bool:
        """Whether events of this type are sent."""
        return self.enabled and (self.wanted is None or event_type in self.wanted)

    def delivery(self, delivery_id: str) -> Delivery | None:
        """The attempt with this id."""
        return next((d for d in self.deliveries if d.id == delivery_id), None)

    def as_json(self, *, with_secret: bool = False) -> Json:
        """As the server shows it; the secret only in the answer to its creation."""
        secret: Json = {"secret": self.secret} if with_secret else {}
        return {
            "id": self.id,
            "enabled": self.enabled,
            **secret,
            "automaticRedelivery": self.retries,
            "url": self.url,
            "authorizedEvents": {
                "everything": self.wanted is None,
                "specificEvents": list(self.wanted or ()),
            },
        }
