"""The first page and its assets: files of the package, none from another host."""

from importlib.resources import files

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ASSETS = {
    "/assets/style.css": ("style.css", "text/css"),
    "/assets/page.js": ("page.js", "text/javascript"),
    "/assets/stream.js": ("stream.js", "text/javascript"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
}


def page_handlers() -> list[HTTPRouteHandler]:
    """The routes of the page."""
    page = {"content-security-policy": _POLICY, "cache-control": "no-cache"}
    handlers = [_file_handler("/", "index.html", "text/html", page)]
    for path, (name, media_type) in _ASSETS.items():
        handlers.append(_file_handler(path, name, media_type, {"cache-control": "no-cache"}))
    return handlers


def _file_handler(
    path: str, name: str, media_type: str, headers: dict[str, str]
) -> HTTPRouteHandler:
    content = files("raised_api").joinpath("page", name).read_bytes()

    @get(path, name=name, sync_to_thread=False)
    def file() -> Response[bytes]:
        return Response(content, media_type=media_type, headers=headers)

    return file
