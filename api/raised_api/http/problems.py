"""Errors as RFC 9457 problems: one table from our exceptions to status and code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from raised.errors import InvalidInput, NotInRecord, RecordUnavailable
from raised_api.http import problem_document
from raised_api.http.problem_document import Fault

MEDIA_TYPE = "application/problem+json"

_log = structlog.get_logger()

_CODES = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    413: "too-large",
    429: "too-many-requests",
    500: "internal",
    503: "unavailable",
}


@dataclass(slots=True)
class Problem(Exception):
    """An error with its HTTP status. `detail` is a sentence for the client."""

    status: int
    detail: str
    faults: Sequence[Fault] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def body(self) -> bytes:
        """The problem document."""
        code = _CODES.get(self.status, "bad-request" if self.status < 500 else "internal")
        document = problem_document.Problem(
            type=f"/problems/{code}",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            errors=list(self.faults),
        )
        return msgspec.json.encode(document)


def invalid_parameters(faults: Sequence[Fault]) -> Problem:
    """All that is wrong with the parameters, at once: a reason is what follows the name."""
    sentences = (f"The parameter {fault.name} {fault.reason}." for fault in faults)
    return Problem(400, " ".join(sentences), faults)


def to_problem(error: Exception) -> Problem:
    """What the client is answered; of an error of ours nothing but that it is one."""
    match error:
        case Problem():
            return error
        case NotInRecord():
            return Problem(404, _sentence(error))
        case InvalidInput():
            return Problem(400, _sentence(error))
        case RecordUnavailable():
            _log.error("record unavailable", error=str(error))
            return Problem(503, "The record does not answer now.", headers={"retry-after": "5"})
        case HTTPException() if error.status_code < 500:
            return Problem(error.status_code, _detail(error.status_code), headers=_headers(error))
        case _:
            _log.error("unexpected error", exc_info=error)
            return Problem(500, "A fault of ours; the log says more.")


def problem_response(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler."""
    match error:
        case ExceptionGroup(exceptions=[Exception() as cause]):
            # So Litestar wraps what closing a dependency raises: a transaction that has failed.
            problem = to_problem(cause)
        case _:
            problem = to_problem(error)
    return Response(
        problem.body(),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={"cache-control": "no-store", **problem.headers},
    )


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _detail(status: int) -> str:
    if status == 404:
        return "There is nothing at this address."
    if status == 405:
        return "This address does not answer that method; Allow names those that it does."
    return f"{HTTPStatus(status).phrase}."


def _headers(error: HTTPException) -> dict[str, str]:
    """The headers that a client needs beside the status, such as Allow."""
    return {name.lower(): value for name, value in (error.headers or {}).items()}
