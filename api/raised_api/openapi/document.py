"""The OpenAPI document, from the handlers.

Not Litestar's own: that leaves out query parameters which Litestar does not parse itself, comma
lists (`explode`), ASGI handlers and everything that middleware answers (webhooks, 304, 401, 429),
and it describes msgspec's types in its own way, without the names that clients are generated from.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler

from raised import __version__
from raised_api.http.auth import ADMIN, READ, SCOPE
from raised_api.http.endpoint import BASE, response_type
from raised_api.http.parameters import PARAMETERS, Parameter, Schema
from raised_api.http.problem_document import Problem
from raised_api.http.problems import MEDIA_TYPE
from raised_api.routes.health import Alive, Health
from raised_api.routes.refresh import PATH as REFRESH
from raised_api.routes.refresh import RefreshAsked
from raised_api.stream.server_sent_events import LAST_EVENT_ID
from raised_api.stream.server_sent_events import PARAMETERS as STREAM_PARAMETERS
from raised_api.stream.server_sent_events import PATH as STREAM
from raised_api.webhooks.receiver import ROUTE as WEBHOOKS

_REF = "#/components/schemas/{name}"
_JSON = "application/json"
_LABEL = "^[a-z][a-z0-9-]{0,31}$"
_KEY: Schema = {"type": "http", "scheme": "bearer", "description": "A key: `rk_<id>_<secret>`."}

_HEADERS: dict[str, Schema] = {
    "ETag": {"schema": {"type": "string"}, "description": "Names this very answer."},
    "RateLimit-Limit": {"schema": {"type": "integer"}, "description": "Questions a minute."},
    "RateLimit-Remaining": {"schema": {"type": "integer"}, "description": "How many are left."},
    "RateLimit-Reset": {"schema": {"type": "integer"}, "description": "Seconds until all are."},
}
_PROBLEMS = {
    "400": "A parameter is unknown or bad; `errors` names all of them.",
    "401": "This is not for everybody, or there is no such key.",
    "403": "The key has not the scope that this is for; `detail` names it.",
    "404": "There is no such thing.",
    "405": "`Allow` names the methods that are answered.",
    "429": "Too many questions; `Retry-After` says when to go on.",
    "500": "A fault of ours.",
    "503": "The record does not answer now.",
}


def build_document(handlers: Sequence[HTTPRouteHandler], public_url: str | None) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these handlers, the stream, health and what is posted."""
    types = [*map(response_type, handlers), Health, Alive, RefreshAsked, Problem]
    refs, components = msgspec.json.schema_components(types, ref_template=_REF)
    paths = {
        path_template(handler): {"get": _operation(handler, schema)}
        for handler, schema in zip(handlers, refs, strict=False)
    }
    health, alive, refreshed, _ = refs[len(handlers) :]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "raised",
            "version": __version__,
            "description": "What has really been raised by Bitcoin crowdfunding: every number is "
            "a sum of movements that stand on the chain.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": public_url or "/"}],
        "paths": {
            **paths,
            STREAM: {"get": _stream()},
            REFRESH: {"post": _refresh(refreshed)},
            WEBHOOKS: {"post": _webhook()},
            **_health_paths(health, alive),
        },
        "components": {"schemas": components, "securitySchemes": {"key": _KEY}},
    }


def path_template(handler: HTTPRouteHandler) -> str:
    """The path of a handler of the API as OpenAPI writes it."""
    (path,) = handler.paths
    return BASE + path.replace(":str}", "}")


def _operation(handler: HTTPRouteHandler, schema: Schema) -> Schema:
    path = path_template(handler)
    success = {
        "description": "The answer.",
        "headers": _HEADERS,
        "content": _content(_JSON, schema),
    }
    return {
        "operationId": handler.name,
        "summary": handler.summary,
        **_security(handler.opt[SCOPE]),
        "parameters": [*_path_parameters(path), *map(_parameter, handler.opt[PARAMETERS])],
        "responses": {
            "200": success,
            "304": {"description": "Nothing changed since the answer with this ETag."},
            **_problems(can_be_missing="{" in path),
        },
    }


def _security(scope: str) -> Schema:
    """What a key is needed for; where it is for the scope `read` depends on the operator."""
    if scope == READ:
        return {}
    return {"description": f"For keys with the scope `{scope}`.", "security": [{"key": []}]}


def _problems(*, can_be_missing: bool) -> dict[str, Schema]:
    return _described(
        {status: about for status, about in _PROBLEMS.items() if can_be_missing or status != "404"}
    )


def _described(problems: Mapping[str, str]) -> dict[str, Schema]:
    content = _content(MEDIA_TYPE, {"$ref": _REF.format(name="Problem")})
    return {
        status: {"description": about, "content": content} for status, about in problems.items()
    }


def _path_parameters(path: str) -> Iterable[Schema]:
    forms: dict[str, Schema] = {
        "project_id": {"type": "string", "pattern": "^angor1[0-9a-z]{1,90}$"},
        "txid": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "store": {"type": "string", "pattern": _LABEL},
        "id": {"type": "string", "pattern": "^[0-9A-Za-z]{1,64}$"},
    }
    for name, schema in forms.items():
        if f"{{{name}}}" in path:
            yield {"name": name, "in": "path", "required": True, "schema": schema}


def _parameter(parameter: Parameter) -> Schema:
    described: Schema = {
        "name": parameter.name,
        "in": "query",
        "description": parameter.about,
        "schema": parameter.schema,
    }
    if parameter.repeated:
        described |= {"style": "form", "explode": False}
    return described


def _stream() -> Schema:
    resume: Schema = {
        "name": LAST_EVENT_ID,
        "in": "header",
        "description": "The last `id` that was seen; outranks `after`.",
        "schema": {"type": "integer", "minimum": 0},
    }
    events = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "operationId": "changes_stream",
        "summary": "The changes as they come: server-sent events that resume.",
        "description": "`id` is the change's `seq`, `event` its type, `data` the change item. "
        "First comes `hello` with `seq` and `oldest`; `reset` means that the number asked for is "
        "not kept: load everything anew.",
        "parameters": [*map(_parameter, STREAM_PARAMETERS), resume],
        "responses": {
            "200": {"description": "An endless stream.", "content": events},
            **_problems(can_be_missing=False),
        },
    }


def _refresh(asked: Schema) -> Schema:
    return {
        "operationId": "refresh",
        "summary": "Have the daemon pull now; repeats within ten seconds are one.",
        **_security(ADMIN),
        "responses": {
            "202": {"description": "It will.", "content": _content(_JSON, asked)},
            **_problems(can_be_missing=False),
        },
    }


def _webhook() -> Schema:
    signature: Schema = {
        "name": "BTCPay-Sig",
        "in": "header",
        "required": True,
        "description": "`sha256=` and the HMAC-SHA256 of the body, with the webhook's secret.",
        "schema": {"type": "string", "pattern": "^sha256=[0-9a-f]{64}$"},
    }
    label: Schema = {"type": "string", "pattern": _LABEL}
    refusals = {
        "400": "The body is signed and no delivery.",
        "401": "The signature does not hold.",
        "404": "There is no such store.",
        "405": "Only POST.",
        "408": "The body did not come.",
        "413": "The body is too large.",
        "429": "Too many refused requests; `Retry-After` says when to go on.",
        "503": "It cannot be stored now.",
    }
    return {
        "operationId": "webhook",
        "summary": "Where a store's BTCPay Server delivers its events.",
        "description": "With one store, `/webhook` is the same.",
        "parameters": [
            {"name": "label", "in": "path", "required": True, "schema": label},
            signature,
        ],
        "requestBody": {"required": True, "content": _content(_JSON, {"type": "object"})},
        "responses": {"200": {"description": "It is stored."}, **_described(refusals)},
    }


def _health_paths(health: Schema, alive: Schema) -> dict[str, Schema]:
    ready = {
        "operationId": "ready",
        "summary": "How everything is, and what is wrong.",
        "responses": {
            "200": {"description": "Ready or degraded.", "content": _content(_JSON, health)},
            "503": {"description": "Starting or down.", "content": _content(_JSON, health)},
        },
    }
    live = {
        "operationId": "live",
        "summary": "Answers while the process serves.",
        "responses": {"200": {"description": "Alive.", "content": _content(_JSON, alive)}},
    }
    return {"/health/live": {"get": live}, "/health/ready": {"get": ready}}


def _content(media_type: str, schema: Schema) -> Schema:
    return {media_type: {"schema": schema}}
