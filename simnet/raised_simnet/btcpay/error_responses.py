"""Answers that say no, as the server words them. Source: docs/btcpay.md 9.1."""

from typing import Final

from raised_simnet.btcpay.webhook_event import pretty
from raised_simnet.http.http_server import Response
from raised_simnet.http.url_routing import HttpError

JSON: Final = "application/json"
NO_ROUTE: Final = Response(404, b"", "")


def answer(value: object, status: int = 200) -> Response:
    """JSON in the server's layout."""
    return Response(status, pretty(value), JSON)


def coded(status: int, code: str, message: str) -> Response:
    """One of the errors that have a code."""
    return answer({"code": code, "message": message}, status)


def unauthenticated(message: str) -> Response:
    """No key, or a key nobody knows."""
    return coded(401, "unauthenticated", message)


def missing_permission(policy: str) -> Response:
    """The key may not, or (2.4 and newer) there is no such thing."""
    message = (
        f'Insufficient API Permissions. Please use an API key with permission "{policy}". '
        "You can create an API key in your account's settings / Api Keys."
    )
    body = {"missingPermission": policy, "code": "missing-permission", "message": message}
    return answer(body, 403)


def invalid(*errors: tuple[str, str]) -> HttpError:
    """Parameters that cannot be: (which, why)."""
    return HttpError(422, answer([{"path": p, "message": m} for p, m in errors], 422))
