"""Functions that fit in a glance, files that fit in a head."""

import ast
from functools import cache
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("daemon", "api", "simnet")
LONGEST, NINE_IN_TEN, HALF = 45, 20, 8
LONGEST_FILE = 400
# Longer than they should be: split and take from the list. Nothing is added.
LONG_FILES = {
    "tests/domain/angor/test_investment.py",
    "tests/domain/audit/test_audit.py",
}


def sources(folder: str) -> list[Path]:
    """All but what must be long: the tables, and the migrations that make them."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    return [path for path in paths if path.name != "schema.py" and "migrations" not in path.parts]


@cache
def functions(room: str) -> dict[str, int]:
    """The lengths of a room's functions in lines, by place."""
    return {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in sources(room)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }


@pytest.mark.parametrize("room", ROOMS)
def test_functions_fit_in_a_glance(room: str) -> None:
    lengths = sorted(functions(room).values())
    assert median(lengths) <= HALF
    assert lengths[len(lengths) * 9 // 10] <= NINE_IN_TEN
    long = {place.split()[1] for place, lines in functions(room).items() if lines > LONGEST}
    assert long == set()


@pytest.mark.parametrize("folder", [*ROOMS, "tests", "bench"])
def test_files_are_not_too_long(folder: str) -> None:
    lines = {path: path.read_text().count("\n") for path in sources(folder)}
    long = {str(path.relative_to(ROOT)) for path, count in lines.items() if count > LONGEST_FILE}
    assert long <= LONG_FILES
