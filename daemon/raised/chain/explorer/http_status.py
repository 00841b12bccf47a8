"""What an explorer's status and body mean: one table for every flavour (docs/chain-api.md 7)."""

import json
from typing import Final, Literal

from raised.errors import Refused, SourceError, Unavailable
from raised.net.http_client import HttpResponse

Meaning = Literal[
    "ok",
    "not_found",
    "caller_error",
    "unsupported",
    "too_large",
    "restart_paging",
    "retry",
    "retry_then_not_found",
    "rate_limited",
]

_BY_STATUS: Final[dict[int, Meaning]] = {
    401: "unsupported",
    403: "unsupported",
    405: "unsupported",
    408: "retry",
    429: "rate_limited",
    501: "unsupported",
}
# A host that bans a client, wants a key, or hides behind a gate: not one route, but we are refused.
_FORBIDDING: Final = frozenset({401, 402, 403, 407, 418, 451})
_TOO_MANY: Final = ("Too many history entries", "Too many unspent")

_SENTENCES: Final[dict[Meaning, str]] = {
    "caller_error": "refuses the question as wrong",
    "unsupported": "does not serve this route",
    "too_large": "finds the answer too large to give",
    "restart_paging": "no longer knows where we were in a list",
    "retry": "cannot answer now",
    "retry_then_not_found": "failed to find it",
    "rate_limited": "says we ask too often",
}


class Forbidden(Refused):
    """The host does not let us ask, at least not this."""


def meaning(status: int, body: bytes) -> Meaning:
    """What to make of an answer, by status and the few texts that matter."""
    if 200 <= status < 300:
        return "ok"
    text = body[:2048].decode("utf-8", "replace").strip()
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return _server_error(status, text)
    return _client_error(status, text)


def _client_error(status: int, text: str) -> Meaning:
    if status == 404:
        return "unsupported" if _is_no_route(text) else "not_found"
    if status == 422 and text == "after_txid not found":
        return "restart_paging"
    if status == 413 and "too long" in text:
        return "too_large"
    if status == 400 and text.startswith(_TOO_MANY):
        return "too_large"
    if status == 400 and text == "Scripthash history too large to scan":
        return "retry"  # each try goes on from where the last one stopped
    return "unsupported" if status < 400 else "caller_error"


def _server_error(status: int, text: str) -> Meaning:
    # The mempool backend says so of unknown heights, transactions and proofs alike.
    if status == 500 and _json_error(text).startswith("Failed to get"):
        return "retry_then_not_found"
    return "retry"


def _is_no_route(text: str) -> bool:
    return text.startswith(("<", "endpoint does not exist"))


def _json_error(text: str) -> str:
    try:
        parsed = json.loads(text)
    except ValueError:
        return ""
    error = parsed.get("error") if isinstance(parsed, dict) else None
    return error if isinstance(error, str) else ""


def error_for(what: Meaning, source: str, route: str, response: HttpResponse) -> SourceError:
    """The error of our tree that an answer which is neither there nor absent becomes."""
    place = f"({route}, status {response.status})"
    if response.status in _FORBIDDING:
        return Forbidden(source, f"does not let us ask {place}", what)
    sentence = f"{_SENTENCES[what]} {place}"
    if what in ("caller_error", "unsupported", "too_large"):
        return Refused(source, sentence, what)
    return Unavailable(source, sentence, what, response.retry_after)
