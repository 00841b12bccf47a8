"""Query parameters: declared once, for parsing them and for the OpenAPI document.

Litestar's own parsing passes over unknown parameters, takes the last of repeated ones and knows no
comma lists; a client that misspells a filter would get everything and not know. A `read` function
refuses a text with InvalidInput, whose text is the reason that the client is given.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import msgspec

from raised.db.queries.paging import Place
from raised.errors import InvalidInput
from raised_api.http.problem_document import Fault
from raised_api.http.problems import Problem, invalid_parameters

Schema = dict[str, object]

PARAMETERS: Final = "parameters"  # a handler's `opt`: its query parameters

# A day in the time zone of the request, or an instant in Unix seconds.
TimeOrDate = date | int

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_DIGITS = re.compile(r"\d{1,19}", re.ASCII)
_MAX_TEXT_LENGTH = 200

# What a database column takes: anybody can make up a cursor.
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Id = _Int64 | Annotated[str, msgspec.Meta(pattern="^[!-~]*$")]
_CURSORS = msgspec.json.Decoder(tuple[str, _Int64, _Id])


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter. `repeated`: may be given again, or hold a comma list."""

    name: str
    read: Callable[[str], object]
    schema: Schema
    about: str
    default: object = None
    repeated: bool = False


def parse_query(parameters: Sequence[Parameter], query: bytes) -> dict[str, Any]:
    """The value of every parameter, its default where it was not given.

    Raises:
        Problem: naming every unknown and every bad parameter.
    """
    given: dict[str, list[str]] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        given.setdefault(name, []).append(value)
    known = {parameter.name for parameter in parameters}
    faults = [Fault(_printable(name), "is not known here") for name in given if name not in known]
    values: dict[str, Any] = {}
    for parameter in parameters:
        try:
            values[parameter.name] = _value(parameter, given.get(parameter.name, []))
        except InvalidInput as error:
            faults.append(Fault(parameter.name, str(error)))
    if faults:
        raise invalid_parameters(faults)
    return values


def _value(parameter: Parameter, texts: list[str]) -> object:
    if not texts:
        return parameter.default
    if parameter.repeated:
        parts = [part for text in texts for part in text.split(",")]
        return tuple(dict.fromkeys(parameter.read(part) for part in parts))
    if len(texts) > 1:
        raise InvalidInput("is given more than once")
    return parameter.read(texts[0])


def _printable(name: str) -> str:
    return "".join(char for char in name if char.isprintable())[:60] or "(unprintable)"


def choice(name: str, options: Sequence[str], about: str, default: str | None = None) -> Parameter:
    """One of some options."""

    def read(text: str) -> str:
        if text not in options:
            raise InvalidInput(f"must be one of {', '.join(options)}")
        return text

    schema: Schema = {"type": "string", "enum": list(options)}
    if default is not None:
        schema["default"] = default
    return Parameter(name, read, schema, about, default)


def choices(
    name: str, options: Sequence[str], about: str, default: tuple[str, ...] = ()
) -> Parameter:
    """Any number of some options."""
    single = choice(name, options, about)
    schema: Schema = {"type": "array", "items": single.schema, "minItems": 1}
    return Parameter(name, single.read, schema, about, default, repeated=True)


def text_matching(name: str, pattern: str, about: str) -> Parameter:
    """A text that matches a regular expression as a whole."""
    compiled = re.compile(pattern, re.ASCII)

    def read(text: str) -> str:
        if not compiled.fullmatch(text):
            raise InvalidInput("does not have the right form")
        return text

    schema: Schema = {"type": "string", "pattern": f"^{pattern}$"}
    return Parameter(name, read, schema, about)


def texts_matching(name: str, pattern: str, about: str) -> Parameter:
    """Any number of such texts."""
    single = text_matching(name, pattern, about)
    schema: Schema = {"type": "array", "items": single.schema, "minItems": 1}
    return Parameter(name, single.read, schema, about, (), repeated=True)


def free_text(name: str, about: str) -> Parameter:
    """A text that a person has typed."""

    def read(text: str) -> str:
        if len(text) > _MAX_TEXT_LENGTH:
            raise InvalidInput(f"is longer than {_MAX_TEXT_LENGTH} characters")
        if "\0" in text:
            raise InvalidInput("holds a null character")
        return text.strip()

    return Parameter(name, read, {"type": "string", "maxLength": _MAX_TEXT_LENGTH}, about)


def whole_number(
    name: str, minimum: int, maximum: int, about: str, default: int | None = None
) -> Parameter:
    """A number in decimal digits."""

    def read(text: str) -> int:
        if not _DIGITS.fullmatch(text) or not minimum <= int(text) <= maximum:
            raise InvalidInput(f"must be a whole number from {minimum} to {maximum}")
        return int(text)

    schema: Schema = {"type": "integer", "minimum": minimum, "maximum": maximum}
    if default is not None:
        schema["default"] = default
    return Parameter(name, read, schema, about, default)


def flag(name: str, about: str) -> Parameter:
    """True or false; false when it is not given."""

    def read(text: str) -> bool:
        if text not in {"true", "false"}:
            raise InvalidInput("must be true or false")
        return text == "true"

    return Parameter(name, read, {"type": "boolean", "default": False}, about, default=False)


def time_or_date(name: str, about: str) -> Parameter:
    """An RFC 3339 time or a date."""

    def read(text: str) -> TimeOrDate:
        try:
            if _DATE.fullmatch(text):
                return date.fromisoformat(text)
            if _INSTANT.fullmatch(text):
                return int(datetime.fromisoformat(text.upper()).timestamp())
        except ValueError:
            pass
        raise InvalidInput("must be an RFC 3339 time or a date")

    formats: list[Schema] = [
        {"type": "string", "format": "date"},
        {"type": "string", "format": "date-time"},
    ]
    return Parameter(name, read, {"anyOf": formats}, about)


def time_zone(name: str, about: str) -> Parameter:
    """An IANA time zone; UTC when it is not given."""

    def read(text: str) -> tzinfo:
        if text == "UTC":
            return UTC
        try:
            return ZoneInfo(text)
        except (LookupError, ValueError, OSError) as error:  # a folder of zones is an OSError
            raise InvalidInput("must be the name of an IANA time zone") from error

    return Parameter(name, read, {"type": "string", "default": "UTC"}, about, UTC)


def to_seconds(moment: TimeOrDate | None, zone: tzinfo = UTC) -> int | None:
    """The instant in Unix seconds; of a date, the start of that day in the zone."""
    if isinstance(moment, date):
        return int(datetime.combine(moment, time(), zone).timestamp())
    return moment


def write_cursor(kind: str, place: Place | None) -> str | None:
    """The opaque text for a place in a list of this kind."""
    if place is None:
        return None
    return urlsafe_b64encode(msgspec.json.encode((kind, *place))).rstrip(b"=").decode()


def read_cursor(kind: str, text: str | None, key: type[int] | type[str]) -> Place | None:
    """The place that a cursor of such a list names.

    Raises:
        Problem: it is no cursor of this list in this order.
    """
    if text is None:
        return None
    try:
        padded = text.encode() + b"=" * (-len(text) % 4)
        decoded = _CURSORS.decode(urlsafe_b64decode(padded))
    except (ValueError, msgspec.MsgspecError):
        decoded = ("", 0, 0)
    if decoded[0] != kind or type(decoded[2]) is not key:
        raise invalid_parameters([Fault("cursor", "is no cursor of this list in this order")])
    return decoded[1], decoded[2]


PROJECT = text_matching("project", "angor1[0-9a-z]{1,90}", "A project's identifier.")
STORE = text_matching("store", "[a-z][a-z0-9-]{0,31}", "A store's label.")
LIMIT = whole_number("limit", 1, 200, "How many items at most.", 50)
CURSOR = text_matching("cursor", "[0-9A-Za-z_-]{1,400}", "Where the list goes on: a `next_cursor`.")
SINCE = time_or_date("since", "Not before this time or date (UTC).")
UNTIL = time_or_date("until", "Before this time or date (UTC).")


def parse_header_number(headers: Mapping[str, str], name: str) -> int | None:
    """A header that holds a number.

    Raises:
        Problem: it holds something else.
    """
    text = headers.get(name)
    if not text:
        return None
    if not _DIGITS.fullmatch(text):
        raise Problem(
            400,
            f"The header {name} must be a number.",
            [Fault(name, "must be a number")],
        )
    return int(text)
