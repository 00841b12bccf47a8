"""A table of settings that is read key by key and collects every problem, for one report."""

from collections.abc import Callable, Mapping
from typing import TypeVar, cast
from urllib.parse import urlsplit

from raised.errors import InvalidInput

T = TypeVar("T")


class Table:
    """One TOML table, or the environment. `path` names it in problems."""

    def __init__(self, values: Mapping[str, object], path: str, problems: list[str]) -> None:
        self._values = values
        self._path = path
        self._problems = problems
        self._read: set[str] = set()

    def _name(self, key: str) -> str:
        return f"{self._path}{key}"

    def _read_key(self, key: str) -> object | None:
        self._read.add(key)
        return self._values.get(key)

    def add_problem(self, key: str, sentence: str) -> None:
        """Add a sentence that says what is wrong with a key."""
        self._problems.append(f"{self._name(key)}: {sentence}")

    def text(self, key: str, default: str | None = None) -> str | None:
        """A text, or the default when the key is absent."""
        value = self._read_key(key)
        if value is None:
            return default
        if not isinstance(value, str) or not value.strip():
            self.add_problem(key, "must be a text")
            return default
        return value.strip()

    def required_text(self, key: str, hint: str) -> str:
        """A text that must be there; empty when it is not, which is a problem."""
        if key not in self._values:
            self._read.add(key)
            self.add_problem(key, f"is missing: {hint}")
            return ""
        return self.text(key) or ""

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds; the environment gives it as text."""
        value = self._read_key(key)
        if value is None:
            return default
        if isinstance(value, str) and value.strip().isdecimal():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.add_problem(key, f"must be a whole number from {low} to {high}")
            return default
        return value

    def boolean(self, key: str, *, default: bool | None) -> bool | None:
        """True or false; the environment gives it as text."""
        value = self._read_key(key)
        if value is None:
            return default
        if isinstance(value, str):
            value = {
                "true": True,
                "1": True,
                "yes": True,
                "false": False,
                "0": False,
                "no": False,
            }.get(value.strip().lower())
        if not isinstance(value, bool):
            self.add_problem(key, "must be true or false")
            return default
        return value

    def choice(self, key: str, words: tuple[str, ...], default: str | None) -> str | None:
        """One of these words, or the default when the key is absent or wrong."""
        value = self.text(key, default)
        if value is not None and value not in words:
            self.add_problem(key, f"must be one of {', '.join(words)}, not {value!r}")
            return default
        return value

    def parsed(self, key: str, default: str, parse: Callable[[str], T]) -> T | None:
        """A text that `parse` turns into a value; its InvalidInput becomes a problem."""
        value = self.text(key, default)
        try:
            return parse(value or "")
        except InvalidInput as error:
            self.add_problem(key, str(error))
            return None

    def comma_separated(self, key: str) -> tuple[str, ...]:
        """The parts of a text with commas between them."""
        value = self.text(key) or ""
        return tuple(part.strip() for part in value.split(",") if part.strip())

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, none twice; empty when absent."""
        value = self._read_key(key)
        if value is None:
            return ()
        parts = cast("list[object]", value) if isinstance(value, list) else [None]
        texts = tuple(part for part in parts if isinstance(part, str) and part.strip())
        if len(set(texts)) != len(parts):
            self.add_problem(key, "must be a list of texts, each of them once")
        return texts

    def table(self, key: str) -> "Table":
        """The table under this key, empty when absent."""
        value = self._read_key(key)
        if value is not None and not isinstance(value, dict):
            self.add_problem(key, f"must be a table: [{self._name(key)}]")
            value = None
        values = cast("dict[str, object]", value or {})
        return Table(values, f"{self._name(key)}.", self._problems)

    def tables(self, key: str) -> list["Table"]:
        """The tables of a list under this key: [[key]]."""
        value = self._read_key(key)
        if value is None:
            return []
        rows = cast("list[object]", value) if isinstance(value, list) else [None]
        if not all(isinstance(row, dict) for row in rows):
            self.add_problem(key, f"must be written as [[{self._name(key)}]]")
            return []
        dicts = cast("list[dict[str, object]]", rows)
        return [
            Table(row, f"{self._name(key)}[{index}].", self._problems)
            for index, row in enumerate(dicts)
        ]

    def reject_unknown_keys(self) -> None:
        """Every key that was not read is a problem: a misspelt setting must not be ignored."""
        for key in self._values:
            if key not in self._read:
                self.add_problem(key, "is not a setting of this version")


def http_url(text: str) -> str:
    """The address of a web service, without a slash at its end.

    Raises:
        InvalidInput: it is none.
    """
    return parsed_url(text, ("https", "http"))


def parsed_url(text: str, schemes: tuple[str, ...]) -> str:
    """An address of one of these schemes, without a slash at its end.

    Raises:
        InvalidInput: it is none, or names a user.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise InvalidInput("is no address") from error
    if parts.scheme not in schemes or not parts.hostname:
        raise InvalidInput(f"must begin with {' or '.join(f'{s}://' for s in schemes)} and a host")
    if parts.username or parts.password:
        raise InvalidInput("must not contain a user name or password")
    return text.rstrip("/")
