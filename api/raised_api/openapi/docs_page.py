"""The OpenAPI document as JSON and as a page. The page loads nothing from another host."""

from collections.abc import Callable
from functools import cache
from html import escape
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

_POLICY: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"


def openapi_handlers(build: Callable[[], dict[str, Any]]) -> list[HTTPRouteHandler]:
    """The routes of the document and of the page.

    `build` makes the document, once and when it is asked for: it takes longer than all the rest of
    a start.
    """
    document = cache(build)

    @cache
    def as_json() -> bytes:
        return msgspec.json.encode(document())

    @cache
    def as_page() -> bytes:
        return _page(document()).encode()

    @get("/api/openapi.json", name="openapi", sync_to_thread=False)
    def openapi() -> Response[bytes]:
        return Response(as_json(), media_type="application/json")

    @get("/api/docs", name="docs", sync_to_thread=False)
    def docs() -> Response[bytes]:
        headers = {"content-security-policy": _POLICY}
        return Response(as_page(), media_type="text/html", headers=headers)

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
        f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}</td>"
        f"<td>{escape(parameter.get('description', ''))} {_values(parameter['schema'])}</td></tr>"
        for parameter in operation.get("parameters", [])
    )
    table = f"<table><tbody>{rows}</tbody></table>" if rows else ""
    answers = "".join(
        f"<li><code>{status}</code> {escape(response['description'])} {_schema_link(response)}</li>"
        for status, response in operation["responses"].items()
    )
    return (
        f'<section id="{escape(operation["operationId"])}"><h2><code>{escape(name)}</code></h2>'
        f"<p>{escape(operation['summary'])} {escape(operation.get('description', ''))}</p>"
        f"{table}<ul>{answers}</ul></section>"
    )


def _values(schema: dict[str, Any]) -> str:
    """The values that a parameter takes, where they are few, and its default."""
    options = " | ".join(schema.get("items", schema).get("enum", []))
    default = f" default {schema['default']}" if "default" in schema else ""
    return f"<code>{escape(options + default)}</code>" if options or default else ""


def _schema_link(response: dict[str, Any]) -> str:
    for content in response.get("content", {}).values():
        name = str(content["schema"].get("$ref", "")).rpartition("/")[2]
        if name:
            return f'<a href="#{escape(name)}">{escape(name)}</a>'
    return ""


def _pretty(schema: object) -> str:
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()
