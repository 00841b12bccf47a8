"""Where a redirect of an explorer may lead: the same host, and never from https back to http.

An operator who writes down an old address, or http for https, is served all the same. Another host
is somebody else, whom nobody has configured: it is named, and not asked.
"""

import re
from dataclasses import dataclass
from typing import Final

import httpx

from raised.errors import Refused
from raised.net.http_client import HttpResponse

REDIRECTS: Final = "redirects"
MAX_REDIRECTS: Final = 3  # of one request: more are a circle
_PERMANENT: Final = frozenset({301, 308})
_REDIRECTS: Final = _PERMANENT | {302, 303, 307}
_HOST: Final = re.compile(r"[0-9a-z.:\[\]-]{1,253}")


@dataclass(frozen=True, slots=True)
class Redirect:
    """The address that an answer leads to. `permanent`: to be used from now on."""

    url: str
    permanent: bool


def redirect_of(source: str, url: str, response: HttpResponse) -> Redirect | None:
    """The redirect that the answer to a request for `url` is; None for all other answers.

    Raises Refused when it leads to another host, or away from https; `source` is who says so.
    """
    location = response.headers.get("location")
    if response.status not in _REDIRECTS or not location:
        return None
    try:
        before, after = httpx.URL(url), httpx.URL(url).join(location)
    except (httpx.InvalidURL, ValueError) as error:
        raise _refused(source, "redirects to no valid address") from error
    if after.scheme not in ("http", "https") or not after.host:
        raise _refused(source, "redirects to no valid address")
    if after.host != before.host:
        raise _refused(source, f"redirects to {_host_of(after)}")
    if (before.scheme, after.scheme) == ("https", "http"):
        raise _refused(source, f"redirects to {_host_of(after)} without https")
    return Redirect(str(after), permanent=response.status in _PERMANENT)


def endless(source: str) -> Refused:
    """The error of a request that was redirected too often."""
    return _refused(source, f"redirects more than {MAX_REDIRECTS} times")


def _host_of(url: httpx.URL) -> str:
    """The host and its port, if these are no more than that: health shows them."""
    name = url.netloc.decode("ascii", "replace").rpartition("@")[2]
    return name if _HOST.fullmatch(name) else "another host"


def _refused(source: str, sentence: str) -> Refused:
    return Refused(source, sentence, REDIRECTS)
