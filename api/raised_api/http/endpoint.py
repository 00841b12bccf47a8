"""How a handler of the API is declared."""

from collections.abc import Sequence
from typing import Any, Final, get_type_hints

from litestar import get
from litestar.handlers import HTTPRouteHandler

from raised_api.http.auth import READ, SCOPE, require_scope
from raised_api.http.parameters import PARAMETERS, Parameter
from raised_api.http.response_cache import CACHED

BASE: Final = "/api/v1"


def read(
    path: str,
    *,
    name: str,
    summary: str,
    parameters: Sequence[Parameter] = (),
    scope: str = READ,
    is_cached: bool = True,
) -> get:
    """Litestar's `get`, with what the guard, the cache, the parser of query parameters and the
    OpenAPI document need to know of a handler.

    `is_cached`: the response depends on nothing but the newest change, the minute, staleness and
    whether the caller sees invoices.
    """
    # For each handler, since Litestar gives a router's guards to its answers to OPTIONS, too, and
    # those need no key.
    return get(
        path,
        name=name,
        summary=summary,
        guards=[require_scope],
        opt={SCOPE: scope, CACHED: is_cached, PARAMETERS: parameters},
    )


def response_type(handler: HTTPRouteHandler) -> Any:
    """The type of what a handler answers: documented is what the type checker has proven."""
    return get_type_hints(handler.fn)["return"]
