"""Greenfield's webhook routes. Source: docs/btcpay.md 6."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from raised_simnet.btcpay.api_request import ApiRequest
from raised_simnet.btcpay.error_responses import JSON, answer, coded, invalid
from raised_simnet.btcpay.id_generator import base58_id
from raised_simnet.btcpay.permission import WEBHOOKS
from raised_simnet.btcpay.webhook import Delivery, Webhook
from raised_simnet.http.http_server import Response
from raised_simnet.http.url_routing import HttpError, Router

HOOK_ROUTES: Final[Router[ApiRequest]] = Router()


@dataclass(frozen=True, slots=True)
class _WebhookSettings:
    """What a caller wants a webhook to be. What is omitted has a default, the secret none."""

    url: str
    enabled: bool
    retries: bool
    wanted: tuple[str, ...] | None
    secret: str


@HOOK_ROUTES.add("stores/:store/webhooks")
def _list(request: ApiRequest) -> Response:
    return answer([hook.as_json() for hook in request.store(WEBHOOKS).hooks.values()])


@HOOK_ROUTES.add("stores/:store/webhooks", method="POST")
def _create(request: ApiRequest) -> Response:
    """The only answer that shows the secret."""
    store = request.store(WEBHOOKS)
    wish = _wish(request)
    hook_id = request.office.new_id()
    secret = wish.secret or base58_id(f"{hook_id} secret")
    hook = Webhook(hook_id, store.id, wish.url, secret, wish.enabled, wish.retries, wish.wanted)
    store.hooks[hook.id] = hook
    return answer(hook.as_json(with_secret=True))


@HOOK_ROUTES.add("stores/:store/webhooks/:hook")
def _one(request: ApiRequest) -> Response:
    return answer(request.hook().as_json())


@HOOK_ROUTES.add("stores/:store/webhooks/:hook", method="PUT")
def _replace(request: ApiRequest) -> Response:
    """Everything is replaced but an omitted or empty secret. Whom it mutes, it makes forget."""
    hook, wish = request.hook(), _wish(request)
    hook.url, hook.enabled, hook.retries, hook.wanted = (
        *(wish.url, wish.enabled),
        *(wish.retries, wish.wanted),
    )
    hook.secret = wish.secret or hook.secret
    if not hook.enabled:
        request.webhook_sender.forget(hook.id)
    return answer(hook.as_json())


@HOOK_ROUTES.add("stores/:store/webhooks/:hook", method="DELETE")
def _delete(request: ApiRequest) -> Response:
    hook = request.hook()
    hook.enabled = False
    request.webhook_sender.forget(hook.id)
    del request.office.stores[hook.store_id].hooks[hook.id]
    return Response(200, b"", "")


@HOOK_ROUTES.add("stores/:store/webhooks/:hook/deliveries")
def _deliveries(request: ApiRequest) -> Response:
    """Newest first, all of them unless told how many."""
    newest = list(reversed(request.hook().deliveries))
    return answer([delivery.as_json() for delivery in newest[: request.count("count")]])


@HOOK_ROUTES.add("stores/:store/webhooks/:hook/deliveries/:delivery")
def _delivery(request: ApiRequest) -> Response:
    return answer(_found(request).as_json())


@HOOK_ROUTES.add("stores/:store/webhooks/:hook/deliveries/:delivery/request")
def _request(request: ApiRequest) -> Response:
    """The body as it was sent."""
    return Response(200, _kept(request)[1], JSON)


@HOOK_ROUTES.add("stores/:store/webhooks/:hook/deliveries/:delivery/redeliver", method="POST")
def _redeliver(request: ApiRequest) -> Response:
    return answer(request.webhook_sender.again(request.hook(), _kept(request)[0]))


def _found(request: ApiRequest) -> Delivery:
    delivery = request.hook().delivery(request.params["delivery"])
    if delivery is None:
        message = "The webhook delivery was not found"
        raise HttpError(404, coded(404, "webhookdelivery-not-found", message))
    return delivery


def _kept(request: ApiRequest) -> tuple[Delivery, bytes]:
    """A delivery whose body is still there."""
    delivery = _found(request)
    body = delivery.body
    if body is None:
        message = "This webhook delivery has been pruned, so it can't be redelivered"
        raise HttpError(409, coded(409, "webhookdelivery-pruned", message))
    return delivery, body


def _wish(request: ApiRequest) -> _WebhookSettings:
    body = request.body()
    url = body.get("url")
    if not isinstance(url, str) or not (urlsplit(url).scheme and urlsplit(url).netloc):
        raise invalid(("Url", "Invalid Url"))
    events = body.get("authorizedEvents")
    wanted: tuple[str, ...] | None = None
    if isinstance(events, dict) and not events.get("everything", True):
        wanted = tuple(str(name) for name in events.get("specificEvents") or ())
    enabled = body.get("enabled") is not False
    retries = body.get("automaticRedelivery") is not False
    return _WebhookSettings(url, enabled, retries, wanted, str(body.get("secret") or ""))
