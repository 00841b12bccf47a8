"""JSON that strangers wrote, read without surprises.

Bounded: no NaN, no endless nesting, and a number of unusual length stays text until its field is
read, so that an unread field spoils nothing. Numbers with a fraction become decimals, never floats.
Whatever is wrong is InvalidInput and names the field.
"""

import json
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, NoReturn, cast

from raised.errors import InvalidInput

# Converting takes time that grows with the square of the length: longer numbers stay text.
_LONGEST_NUMBER: Final = 40
_INT32: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class _LongNumber:
    """A number as it was written: too long, or with too large an exponent, to convert unasked."""

    text: str

    def decimal(self, name: str) -> Decimal:
        """Its value. Raises InvalidInput for an exponent that no decimal can hold."""
        try:
            return Decimal(self.text)
        except InvalidOperation as error:
            raise InvalidInput(f"{name} is a number with too large an exponent") from error


def parse_object(text: str) -> "JsonObject":
    """The object in this text. Raises InvalidInput."""
    try:
        value: object = json.loads(
            text, parse_int=_integer, parse_float=_decimal, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise InvalidInput("not JSON") from error
    return as_object(value, "the content")


def as_object(value: object, what: str) -> "JsonObject":
    """A decoded object. Raises InvalidInput when it is none."""
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} is not an object")
    return JsonObject(cast("dict[str, object]", value))


class JsonObject:
    """A decoded object whose fields are asked for by type; null is the same as absent."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, object]) -> None:
        self._fields = fields

    def value(self, name: str) -> object:
        """Whatever is there, None when absent."""
        return self._fields.get(name)

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`. Raises InvalidInput."""
        value = self.optional_integer(name, low, high)
        if value is None:
            raise InvalidInput(f"{name} is missing")
        return value

    def optional_integer(self, name: str, low: int, high: int) -> int | None:
        """The same, or None when absent."""
        value = self._fields.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise InvalidInput(f"{name} is not a whole number in its range")
        return value

    def int32(self, name: str, default: int) -> int:
        """A 32-bit number, as the clients hold most of them."""
        value = self.optional_integer(name, -_INT32, _INT32 - 1)
        return default if value is None else value

    def decimal(self, name: str) -> Decimal | None:
        """A number, fraction or not; None when absent."""
        value = self._fields.get(name)
        if value is None:
            return None
        if isinstance(value, _LongNumber):
            return value.decimal(name)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise InvalidInput(f"{name} is not a number")
        return Decimal(value)

    def text(self, name: str) -> str:
        """A text, empty when absent. Raises InvalidInput for half a surrogate pair."""
        value = self._fields.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise InvalidInput(f"{name} is not a text")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(f"{name} is not Unicode") from error
        return value

    def hex_bytes(self, name: str, size: int) -> bytes:
        """Bytes written in hex. Raises InvalidInput for another size."""
        return hex_bytes(self._fields.get(name), size, name)

    def values(self, name: str, most: int) -> list[object]:
        """A list of at most `most` values, empty when absent."""
        value = self._fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise InvalidInput(f"{name} is not a list")
        listed = cast("list[object]", value)
        if len(listed) > most:
            raise InvalidInput(f"{name} has more than {most} entries")
        return listed

    def objects(self, name: str, most: int) -> list["JsonObject"]:
        """A list of objects."""
        return [as_object(value, f"an entry of {name}") for value in self.values(name, most)]

    def inner(self, name: str) -> "JsonObject | None":
        """An object within, or None when absent."""
        value = self._fields.get(name)
        return None if value is None else as_object(value, name)


def hex_bytes(value: object, size: int, what: str) -> bytes:
    """Bytes of a known size in a hex text of either case. Raises InvalidInput."""
    if not isinstance(value, str) or not re.fullmatch(f"[0-9a-fA-F]{{{2 * size}}}", value):
        raise InvalidInput(f"{what} is not {size} bytes in hex")
    return bytes.fromhex(value)


def _integer(text: str) -> int | _LongNumber:
    return int(text) if len(text) <= _LONGEST_NUMBER else _LongNumber(text)


def _decimal(text: str) -> Decimal | _LongNumber:
    if len(text) > _LONGEST_NUMBER:
        return _LongNumber(text)
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent that no decimal can hold
        return _LongNumber(text)


def _refuse(text: str) -> NoReturn:
    raise InvalidInput(f"{text} is no number in JSON")
