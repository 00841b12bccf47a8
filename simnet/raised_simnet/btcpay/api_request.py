"""A request to the server's API, and who asks. Source: docs/btcpay.md 2, 9."""

import json
from dataclasses import dataclass
from random import Random
from typing import Final

from raised_simnet.btcpay.backend import Backend
from raised_simnet.btcpay.error_responses import coded, invalid, missing_permission, unauthenticated
from raised_simnet.btcpay.invoice import Invoice
from raised_simnet.btcpay.permission import VIEW_INVOICES, WEBHOOKS, ApiKey
from raised_simnet.btcpay.store import Store
from raised_simnet.btcpay.webhook import Webhook
from raised_simnet.btcpay.webhook_sender import WebhookSender
from raised_simnet.http.http_server import Request
from raised_simnet.http.url_routing import HttpError

_REMEMBERED_SECONDS: Final = 600  # which store owns which object, after that is gone


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """What is asked, and of whom. `params`: the named parts of the path."""

    office: Backend
    webhook_sender: WebhookSender
    keys: dict[str, ApiKey]
    dice: Random
    params: dict[str, str]
    request: Request

    @property
    def host(self) -> str:
        """What the caller called the server, with its scheme."""
        return f"http://{self.request.headers.get('host', 'localhost')}"

    def key(self) -> ApiKey:
        """Whose request it is. Raises Refusal."""
        scheme, _, key = self.request.headers.get("authorization", "").partition(" ")
        schemes = {"token"} if self.office.dialect.old else {"token", "bearer"}
        if scheme.lower() not in schemes:
            message = "Authentication is required for accessing this endpoint"
            raise HttpError(401, unauthenticated(message))
        if key not in self.keys:
            message = "ApiKey authentication failed: Unknown API Key"
            raise HttpError(401, unauthenticated(message))
        return self.keys[key]

    def store(self, policy: str) -> Store:
        """The store of the path, if the key may do this there. Raises Refusal."""
        store_id = self.params["store"]
        store = self.office.stores.get(store_id)
        if not self.key().may(policy, store_id) or store is None:
            raise HttpError(403, missing_permission(policy))
        return store

    def invoice(self) -> Invoice:
        """The invoice of the path. Raises Refusal."""
        store = self.store(VIEW_INVOICES)
        invoice_id = self.params["invoice"]
        if invoice_id in store.invoices:
            return store.invoices[invoice_id]
        gone_at = self.office.deleted.get(invoice_id)
        just_gone = gone_at is not None and self.office.now() - gone_at < _REMEMBERED_SECONDS
        if self.office.dialect.hides_unknown and not just_gone:
            raise HttpError(403, missing_permission(VIEW_INVOICES))
        raise HttpError(404, coded(404, "invoice-not-found", "The invoice was not found"))

    def hook(self) -> Webhook:
        """The webhook of the path. Raises Refusal."""
        store = self.store(WEBHOOKS)
        if self.params["hook"] in store.hooks:
            return store.hooks[self.params["hook"]]
        if self.office.dialect.hides_unknown:
            raise HttpError(403, missing_permission(WEBHOOKS))
        raise HttpError(404, coded(404, "webhook-not-found", "The webhook was not found"))

    def texts(self, name: str) -> list[str]:
        """A parameter that may be repeated."""
        return self.request.query.get(name, [])

    def text(self, name: str) -> str | None:
        """A parameter, the first time it is given."""
        return next(iter(self.texts(name)), None)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A truth value. Raises Refusal."""
        text = self.text(name)
        if text is None:
            return default
        if text.lower() not in {"true", "false"}:
            raise invalid((name, f"The value '{text}' is not valid."))
        return text.lower() == "true"

    def count(self, name: str) -> int | None:
        """A number. Raises Refusal."""
        return self._number(name, "The value '{}' is not valid.")

    def time(self, name: str) -> int | None:
        """Unix seconds. Raises Refusal."""
        return self._number(name, "Invalid unix timestamp")

    def _number(self, name: str, complaint: str) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        if not text.removeprefix("-").isdecimal():
            raise invalid((name, complaint.format(text)))
        return int(text)

    def body(self) -> dict[str, object]:
        """The JSON object that was sent. Raises Refusal."""
        try:
            value = json.loads(self.request.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise invalid(("", "A non-empty request body is required."))
        return value
