"""The members of a JSON object that are no arrays or objects, whatever stands in the others.

A parser that descends gives up on metadata nested thousands of levels deep, and strict ones refuse
all of a body for a control character in a text that nobody reads. The ids beside them are readable
none the less.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

Scalar = str | int | float | bool | None

# Possessive, so that no text makes the matching slower than its length.
_TEXT: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_BEGIN: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*+\{")
_KEY: Final = re.compile(rb"[\s,]*+(" + _TEXT + rb")\s*+:\s*+", re.DOTALL)
_SCALAR: Final = re.compile(_TEXT + rb'|[^\s,"\[\]{}]++', re.DOTALL)
_BRACKETS: Final = re.compile(
    rb'(?:[^"\[\]{}]++|' + _TEXT + rb")*+(?:([\[{]++)|([\]}]++))", re.DOTALL
)


def top_level_members(body: bytes) -> dict[str, Scalar]:
    """The members of the outermost object up to where it cannot be read on; the last of a name
    counts. Empty when the body is no object.
    """
    return dict(_members(body))


def _members(body: bytes) -> Iterator[tuple[str, Scalar]]:
    begin = _BEGIN.match(body)
    position = None if begin is None else begin.end()
    while position is not None and (key := _KEY.match(body, position)):
        position = key.end()
        if (scalar := _SCALAR.match(body, position)) is None:
            position = _end_of_nested(body, position)
            continue
        position = scalar.end()
        try:
            yield str(_decoded(key[1])), _decoded(scalar[0])
        except ValueError:
            continue  # a number or word that is none, or a text with a bad escape


def _end_of_nested(body: bytes, position: int) -> int | None:
    """Where the array or object that begins here ends; None when it does not."""
    depth = 0
    while brackets := _BRACKETS.match(body, position):
        opened, closed = (len(part or b"") for part in brackets.groups())
        depth += opened
        if closed >= depth:
            return brackets.end() - closed + depth
        depth -= closed
        position = brackets.end()
    return None


def _decoded(scalar: bytes) -> Scalar:
    # Not strict: control characters may stand in a text as they are.
    value: Scalar = json.loads(scalar.decode("utf-8", "replace"), strict=False)
    return value
