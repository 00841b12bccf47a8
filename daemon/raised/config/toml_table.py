"""A table of settings that is read key by key and collects every problem, for one report."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar, cast

from raised.errors import InvalidInput

T = TypeVar("T")


def near_spelling(word: str, words: Iterable[str], prefix: str = "") -> str:
    """The end of a sentence that asks for the word that was meant; empty when none is near."""
    by_lower = {known.lower(): known for known in words}
    near = get_close_matches(word.lower(), by_lower, n=1)
    return f"; did you mean {prefix}{by_lower[near[0]]}?" if near else ""


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
            hint = near_spelling(value, words)
            self.add_problem(key, f"must be one of {', '.join(words)}, not {value!r}{hint}")
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

    def optional(self, key: str, parse: Callable[[str], T]) -> T | None:
        """The same, or None when the key is absent."""
        if key not in self._values:
            self._read.add(key)
            return None
        return self.parsed(key, "", parse)

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

    def reject_unknown_keys(self, more: Iterable[str] = ()) -> None:
        """Every key that was not read is a problem: a misspelt setting must not be ignored.

        `more`: names that may have been meant, beside those that were read.
        """
        prefix = "" if "." in self._path else self._path  # a variable's, not a table's
        for key in self._values:
            if key not in self._read:
                hint = near_spelling(key, {*self._read, *more}, prefix)
                self.add_problem(key, f"is not a setting of this version{hint}")
