"""The body of every answer that is an error. Source: RFC 9457."""

import msgspec


class Fault(msgspec.Struct, frozen=True):  # a parameter or header, and what is wrong with it
    name: str
    reason: str


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault]
