"""Addresses in settings: checked as they are written, and compared by what they reach.

Source names stay as the operator wrote them; `same_place` only tells two spellings of one source.
"""

from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from raised.errors import InvalidInput

_DEFAULT_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}
# Where explorers have their routes; the probe finds them below any of these.
_EXPLORER_BASES: Final = (["api", "v1"], ["api"], ["v1"])
_DATABASES: Final = {"sqlite": "sqlite", "postgresql": "postgresql", "postgres": "postgresql"}


def http_url(text: str) -> str:
    """The address of a web service, without a slash at its end.

    Raises:
        InvalidInput: it is none, or has more than a path.
    """
    url = parsed_url(text, ("https", "http"))
    if "?" in url or "#" in url:
        raise InvalidInput("must end with its path: no ? and no #")
    return url


def parsed_url(text: str, schemes: tuple[str, ...]) -> str:
    """An address of one of these schemes, without a slash at its end.

    Raises:
        InvalidInput: it is none, or names a user.
    """
    parts = _split(text)
    if parts.scheme not in schemes or not parts.hostname:
        raise InvalidInput(f"must begin with {' or '.join(f'{s}://' for s in schemes)} and a host")
    if parts.username or parts.password:
        raise InvalidInput("must not contain a user name or password")
    if any(character.isspace() for character in text):
        raise InvalidInput("must not contain spaces")
    return text.rstrip("/")


def proxy_url(text: str) -> str:
    """The address of a SOCKS5 proxy.

    Raises:
        InvalidInput: it is none, or names no port.
    """
    url = parsed_url(text, ("socks5h", "socks5"))
    if _split(url).port is None:
        raise InvalidInput("must name a port: socks5h://127.0.0.1:9050")
    return url


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise InvalidInput("is no address") from error
    return parts


def origins(text: str) -> tuple[str, ...]:
    """Origins with commas between them, as browsers send them: lower case, no default port.

    Raises:
        InvalidInput: one of them is none. Source: RFC 6454 7.
    """
    return tuple(_origin(part.strip()) for part in text.split(",") if part.strip())


def _origin(text: str) -> str:
    if text == "*":
        return text
    try:
        url = http_url(text)
    except InvalidInput as error:
        raise InvalidInput(f"{text!r} is no origin: it {error}") from error
    parts = _split(url)
    if parts.path:
        raise InvalidInput(f"{text!r} is no origin: it has more than scheme, host and port")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    is_default = parts.port in (None, _DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}" + ("" if is_default else f":{parts.port}")


def database_url(text: str) -> str:
    """The address of a SQLite file or a PostgreSQL database.

    Raises:
        InvalidInput: it is of another kind, or names no file.
    """
    example = "sqlite+aiosqlite:////var/lib/raised/raised.db"
    try:
        parts = _split(text)
    except InvalidInput as error:
        raise InvalidInput(f"is no database's address, such as {example}") from error
    kind = parts.scheme.partition("+")[0]
    if kind not in _DATABASES or not text[len(parts.scheme) :].startswith("://"):
        raise InvalidInput(f"must begin with sqlite:// or postgresql://, such as {example}")
    if kind != _DATABASES[kind]:
        raise InvalidInput(f"must begin with {_DATABASES[kind]}://, not {kind}://")
    if kind == "sqlite" and (parts.netloc or parts.path in ("", "/", "/:memory:")):
        raise InvalidInput(f"must name a file after three slashes, such as {example}")
    return text


def same_place(url: str, *, explorer: bool = False) -> tuple[object, ...]:
    """Equal for two spellings of one address: host case, default port, slashes, names of this
    machine, with or without TLS; of an explorer also with or without the path to its routes.
    """
    parts = _split(url)
    path = [segment for segment in parts.path.split("/") if segment]
    if explorer:
        tail = next((tail for tail in _EXPLORER_BASES if path[-len(tail) :] == tail), [])
        path = path[: len(path) - len(tail)]
    port = None if parts.port == _DEFAULT_PORTS.get(parts.scheme) else parts.port
    return _host(parts.hostname or ""), port, tuple(path), parts.query


def _host(name: str) -> str:
    """A host by one name: upper case, a dot at the end and forms of an IP address are no others."""
    host = name.lower().rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        return "this machine" if host == "localhost" or host.endswith(".localhost") else host
    mapped = getattr(address, "ipv4_mapped", None) or address
    return "this machine" if mapped.is_loopback else mapped.compressed
