"""Reads the JSON of an answer without floats; one bad value makes only itself unreadable."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final, Generic, TypeVar, cast

from raised.domain.json_object import JsonObject, as_object
from raised.errors import InvalidInput

T = TypeVar("T")

_LONGEST_NUMBER: Final = 40
_LARGEST_EXPONENT: Final = 30
_LAST_TIME: Final = 253_402_300_799  # the end of the year 9999
_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_NOT_PLAIN: Final = re.compile(r"[^0-9A-Za-z _.-]")
_LONGEST_WORD: Final = 40
_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,100}")


class _Unreadable:
    """A value that cannot be read. It has no type that any field accepts."""


UNREADABLE: Final = _Unreadable()


@dataclass(frozen=True, slots=True)
class ParsedRows(Generic[T]):
    """The entries of a list that could be read, and how many could not.

    `unreadable_ids`: what each of these is called, empty where even that cannot be read.
    """

    rows: tuple[T, ...]
    unreadable: int = 0
    unreadable_ids: tuple[str, ...] = field(default=(), compare=False)


def read_json(body: bytes) -> object:
    """The value in these bytes. Numbers with a fraction become decimals.

    Numbers that are too long, NaN and duplicate keys become UNREADABLE: they may stand in an
    invoice's metadata, and must not make a whole page unreadable.

    Raises:
        InvalidInput: not JSON in UTF-8, or nested too deep.
    """
    try:
        return cast(
            "object",
            json.loads(
                body.decode(),
                object_pairs_hook=_object,
                parse_int=_integer,
                parse_float=_decimal,
                parse_constant=_unreadable,
            ),
        )
    except (ValueError, RecursionError) as error:
        raise InvalidInput("not JSON") from error


def parse_rows(value: object, read: Callable[[JsonObject], T]) -> ParsedRows[T]:
    """Every object of a list, parsed by `read`; those that are invalid are left out and counted.

    Raises:
        InvalidInput: not a list.
    """
    if not isinstance(value, list):
        raise InvalidInput("not a list")
    rows: list[T] = []
    unreadable: list[str] = []
    for entry in cast("list[object]", value):
        try:
            rows.append(read(as_object(entry, "an entry")))
        except InvalidInput:
            unreadable.append(_id_of(entry))
    return ParsedRows(tuple(rows), len(unreadable), tuple(unreadable))


def _id_of(entry: object) -> str:
    try:
        return identifier(as_object(entry, "an entry"), "id")
    except InvalidInput:
        return ""


def identifier(row: JsonObject, name: str) -> str:
    """An id that the server made, safe to use in a path. Raises InvalidInput."""
    text = row.text(name)
    if not is_identifier(text):
        raise InvalidInput(f"{name} is not an id")
    return text


def is_identifier(text: str) -> bool:
    """Whether this text has the form of an id."""
    return _ID.fullmatch(text) is not None


def short_text(row: JsonObject, name: str, most: int = 100) -> str:
    """A short text of printable characters, empty when absent. Raises InvalidInput."""
    text = row.text(name)
    if len(text) > most or not text.isprintable():
        raise InvalidInput(f"{name} is no short text")
    return text


def unknown_word(text: str) -> str:
    """A word of the server that we do not know, fit for a log line: short, and of plain letters."""
    return _NOT_PLAIN.sub("?", text)[:_LONGEST_WORD]


def amount_text(row: JsonObject, name: str) -> str:
    """Decimal text of an amount, from a JSON string or number. Raises InvalidInput."""
    text = optional_amount_text(row, name)
    if text is None:
        raise InvalidInput(f"{name} is missing")
    return text


def optional_amount_text(row: JsonObject, name: str) -> str | None:
    """The same, or None when absent."""
    value = row.value(name)
    if value is None:
        return None
    text = _plain(value)
    if len(text) > _LONGEST_NUMBER or not _DECIMAL.fullmatch(text):
        raise InvalidInput(f"{name} is no amount")
    return text


def boolean(row: JsonObject, name: str, *, default: bool) -> bool:
    """A JSON boolean. Raises InvalidInput."""
    value = row.value(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} is neither true nor false")
    return value


def timestamp(row: JsonObject, name: str) -> int:
    """Unix seconds. Raises InvalidInput."""
    return row.integer(name, 0, _LAST_TIME)


def optional_timestamp(row: JsonObject, name: str) -> int | None:
    """The same, or None when absent."""
    return row.optional_integer(name, 0, _LAST_TIME)


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        # Written out, a number with a large exponent would fill the memory.
        return format(value, "f") if abs(value.adjusted()) <= _LARGEST_EXPONENT else ""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    return ""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                fields[name] = UNREADABLE
            seen.add(name)
    return fields


def _integer(text: str) -> object:
    return int(text) if len(text) <= _LONGEST_NUMBER else UNREADABLE


def _decimal(text: str) -> object:
    try:
        return Decimal(text) if len(text) <= _LONGEST_NUMBER else UNREADABLE
    except InvalidOperation:  # an exponent that no decimal can hold
        return UNREADABLE


def _unreadable(_text: str) -> object:
    return UNREADABLE
