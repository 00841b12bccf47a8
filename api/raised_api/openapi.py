"""The OpenAPI document and its page, both from the routes. No asset from another host."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from raised import __version__
from raised_api import source_shapes, store_shapes
from raised_api.keys import ADMIN, READ
from raised_api.parameters import Parameter, Schema
from raised_api.problems import MEDIA_TYPE
from raised_api.refresh import PATH as REFRESH
from raised_api.routes import Route
from raised_api.shapes import Problem
from raised_api.stream import LAST_SEEN, PARAMETERS
from raised_api.stream import PATH as STREAM
from raised_api.webhooks import TEMPLATE as WEBHOOKS

_REF = "#/components/schemas/{name}"
_JSON = "application/json"
_LABEL = "^[a-z][a-z0-9-]{0,31}$"
_KEY: Schema = {"type": "http", "scheme": "bearer", "description": "A key: `rk_<id>_<secret>`."}
_PAGE_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"

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


def build_document(routes: Sequence[Route], public_url: str | None) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these routes, the stream, health and what is posted."""
    others = [source_shapes.Health, source_shapes.Alive, store_shapes.RefreshAsked, Problem]
    named = [*(route.shape for route in routes), *others]
    refs, components = msgspec.json.schema_components(named, ref_template=_REF)
    paths = {
        route.path: {"get": _operation(route, schema)}
        for route, schema in zip(routes, refs, strict=False)
    }
    health, alive, refreshed, _ = refs[len(routes) :]
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


def _operation(route: Route, schema: Schema) -> Schema:
    found = {"description": "The answer.", "headers": _HEADERS, "content": _content(_JSON, schema)}
    return {
        "operationId": route.name,
        "summary": route.about,
        **_security(route.scope),
        "parameters": [*_path_parameters(route.path), *map(_parameter, route.parameters)],
        "responses": {
            "200": found,
            "304": {"description": "Nothing changed since the answer with this ETag."},
            **_problems("404" in _PROBLEMS and "{" in route.path),
        },
    }


def _security(scope: str) -> Schema:
    """What a key is needed for; where it is for the scope `read` depends on the operator."""
    if scope == READ:
        return {}
    return {"description": f"For keys with the scope `{scope}`.", "security": [{"key": []}]}


def _problems(can_be_missing: bool) -> dict[str, Schema]:  # noqa: FBT001
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
        "name": LAST_SEEN,
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
        "parameters": [*map(_parameter, PARAMETERS), resume],
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


def openapi_handlers(document: dict[str, Any]) -> list[HTTPRouteHandler]:
    """The document, and a page that reads it to people."""
    as_json, as_page = msgspec.json.encode(document), _page(document).encode()

    @get("/api/openapi.json", name="openapi", sync_to_thread=False)
    def openapi() -> Response[bytes]:
        return Response(as_json, media_type=_JSON)

    @get("/api/docs", name="docs", sync_to_thread=False)
    def docs() -> Response[bytes]:
        headers = {"content-security-policy": _PAGE_POLICY}
        return Response(as_page, media_type="text/html", headers=headers)

    return [openapi, docs]


def _page(document: dict[str, Any]) -> str:
    sections = "".join(
        _section(f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    schemas = "".join(
        f'<details id="{escape(name)}"><summary>{escape(name)}</summary>'
        f"<pre>{escape(_pretty(schema))}</pre></details>"
        for name, schema in document["components"]["schemas"].items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<title>raised: the API</title><link rel="stylesheet" href="/assets/style.css"></head>'
        '<body class="docs"><header><h1>raised: the API</h1>'
        '<nav><a href="/">Overview</a> <a href="/api/openapi.json">openapi.json</a></nav>'
        f"</header><main><p>{escape(document['info']['description'])}</p>{sections}"
        f"<section><h2>Shapes</h2>{schemas}</section></main></body></html>"
    )


def _section(name: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
        f"<td>{escape(one.get('description', ''))} {_form(one['schema'])}</td></tr>"
        for one in operation.get("parameters", [])
    )
    table = f"<table><tbody>{rows}</tbody></table>" if rows else ""
    answers = "".join(
        f"<li><code>{status}</code> {escape(response['description'])} {_shape(response)}</li>"
        for status, response in operation["responses"].items()
    )
    return (
        f'<section id="{escape(operation["operationId"])}"><h2><code>{escape(name)}</code></h2>'
        f"<p>{escape(operation['summary'])} {escape(operation.get('description', ''))}</p>"
        f"{table}<ul>{answers}</ul></section>"
    )


def _form(schema: dict[str, Any]) -> str:
    item = schema.get("items", schema)
    words = item.get("enum")
    shown = " | ".join(words) if words else ""
    default = f" default {schema['default']}" if "default" in schema else ""
    return f"<code>{escape(shown + default)}</code>" if shown or default else ""


def _shape(response: dict[str, Any]) -> str:
    for content in response.get("content", {}).values():
        name = str(content["schema"].get("$ref", "")).rpartition("/")[2]
        if name:
            return f'<a href="#{escape(name)}">{escape(name)}</a>'
    return ""


def _pretty(schema: object) -> str:
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()
