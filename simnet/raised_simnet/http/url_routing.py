"""Paths to functions."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from raised_simnet.http.http_server import Response

C = TypeVar("C")
Answer = Callable[[C], Response]


class HttpError(Exception):
    """A request that gets a status and a text instead of an answer."""

    def __init__(self, status: int, answer: str | Response) -> None:
        self.response = Response(status, answer.encode()) if isinstance(answer, str) else answer
        super().__init__(status)


@dataclass(frozen=True, slots=True)
class RouteMatch(Generic[C]):
    """The route of a request: its name, what to call, and the parts of the path it names."""

    name: str
    answer: Answer[C]
    params: dict[str, str]


class Router(Generic[C]):
    """Routes by method and pattern: `tx/:txid/hex` has one parameter, and is the route's name.

    What it does not know it passes on to `otherwise`.
    """

    def __init__(self, *, otherwise: "Router[C] | None" = None) -> None:
        self._routes: list[tuple[str, str, re.Pattern[str], Answer[C]]] = []
        self._otherwise = otherwise

    def add(self, *patterns: str, method: str = "GET") -> Callable[[Answer[C]], Answer[C]]:
        """Register a function for these patterns."""

        def register(answer: Answer[C]) -> Answer[C]:
            for pattern in patterns:
                expression = re.compile(re.sub(r":(\w+)", r"(?P<\1>[^/]+)", pattern))
                self._routes.append((method, pattern, expression, answer))
            return answer

        return register

    def find(self, method: str, path: str) -> RouteMatch[C] | None:
        """The route of a path without its base and leading slash."""
        for wanted, name, expression, answer in self._routes:
            match = expression.fullmatch(path) if wanted == method else None
            if match is not None:
                return RouteMatch(name, answer, match.groupdict())
        return self._otherwise.find(method, path) if self._otherwise else None
