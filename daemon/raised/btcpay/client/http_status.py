"""What a server's status and body mean (docs/btcpay.md 9.1): a value, or an error of ours.

Only the status and the code decide. Of the server's words none goes into an error but names of a
permission or a parameter, and these only when they look like one.
"""

import re
from typing import Final

from raised.btcpay.client.json_fields import read_json, short_text
from raised.domain.json_object import as_object
from raised.errors import BadData, InvalidInput, Refused, SourceError, Unavailable
from raised.net.http_client import HttpResponse

_PERMISSION: Final = re.compile(r"btcpay\.[a-z.]{1,90}")
_PARAMETER: Final = re.compile(r"[A-Za-z][A-Za-z0-9.\[\]]{0,60}")
_MOST_PARAMETERS: Final = 5
_BUSY: Final = frozenset({408, 425, 429})
# After these the same question is asked again soon; any other 5xx is the server's own fault at this
# question, and the next answer to it would be the same.
_PASSING: Final = frozenset({502, 503})


class Forbidden(Refused):
    """The key lacks a permission, or (2.4+) the single object asked for is not there to be seen.

    Which of the two it is, a list call on the same store tells (docs/btcpay.md 9.2).
    """

    def __init__(self, source: str, permission: str | None) -> None:
        self.permission = permission
        lacks = f"the permission {permission}" if permission else "a permission"
        super().__init__(
            source,
            f"says that the API key lacks {lacks}, or knows no such store",
            "missing_permission",
        )


class QuestionFailed(Unavailable):
    """The server failed at this question; asking the same at once would not help."""


class Gone(Refused):
    """The server does not know this object any more."""

    def __init__(self, source: str) -> None:
        super().__init__(source, "does not know what we asked for any more", "gone")


class NoRoute(Refused):
    """The server has no such route: another version, or the address is not its base."""

    def __init__(self, source: str) -> None:
        super().__init__(
            source, "has no such route: is it of another version, or the url wrong?", "no_route"
        )


def value_of(source: str, response: HttpResponse) -> object:
    """The JSON value that an answer brings.

    Raises:
        Unavailable: busy, starting, or a page of something in front of the server.
        Refused: asked wrongly or not allowed; Forbidden, Gone and NoRoute are some of these.
        BadData: not what the API promises.
    """
    if not 200 <= response.status < 300:
        raise error_for(source, response)
    if not _is_json(response):
        sentence = "answers with something else than JSON: is the url right, is it starting?"
        raise Unavailable(source, sentence, "not_json", response.retry_after)
    try:
        return read_json(response.body)
    except InvalidInput as error:
        raise bad_answer(source) from error


def bad_answer(source: str) -> BadData:
    """The error for an answer that is not in its form."""
    return BadData(source, "does not answer in the form it should", "bad_answer")


def error_for(source: str, response: HttpResponse) -> SourceError:
    """The error that an answer without success is."""
    status = response.status
    if status >= 500 or status in _BUSY:
        sentence = f"cannot answer now (status {status})"
        kind = Unavailable if status in _PASSING | _BUSY else QuestionFailed
        return kind(source, sentence, "busy", response.retry_after)
    if status == 401:
        sentence = "does not accept the API key: is it revoked, or of another server?"
        return Refused(source, sentence, "unauthenticated")
    if status < 400:
        sentence = "sends us elsewhere: put its final address into url"
        return Refused(source, sentence, "redirect")
    return _refusal(source, response)


def _refusal(source: str, response: HttpResponse) -> Refused:
    content = _content(response)
    code = _text(content, "code")
    if response.status == 403:
        return _forbidden(source, content, code)
    if response.status == 409 and code == "webhookdelivery-pruned":
        return Refused(source, "does not keep this delivery any more", "pruned")
    if response.status == 404 and code:
        return Gone(source)
    if response.status in (404, 405, 410):
        return NoRoute(source)
    named = ", ".join(_parameters(content))
    about = f" ({named})" if named else ""
    return Refused(source, f"refuses the question as wrong{about}", "refused")


def _forbidden(source: str, content: object, code: str) -> Refused:
    if not code:
        sentence = "is behind something that does not let us in"
        return Refused(source, sentence, "blocked")
    permission = _text(content, "missingPermission")
    return Forbidden(source, permission if _PERMISSION.fullmatch(permission) else None)


def _is_json(response: HttpResponse) -> bool:
    """Whether the body says that it is JSON."""
    kind = response.content_type.partition(";")[0].strip().lower()
    return kind in ("application/json", "text/json") or kind.endswith("+json")


def _content(response: HttpResponse) -> object:
    if not _is_json(response):
        return None
    try:
        return read_json(response.body)
    except InvalidInput:
        return None


def _parameters(content: object) -> list[str]:
    listed = content if isinstance(content, list) else []
    names = (_text(entry, "path") for entry in listed[:_MOST_PARAMETERS])
    return [name for name in names if _PARAMETER.fullmatch(name)]


def _text(content: object, name: str) -> str:
    try:
        return short_text(as_object(content, "the answer"), name)
    except InvalidInput:
        return ""
