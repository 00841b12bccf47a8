"""`raised demo`: what it understands before anything starts."""

import click
import pytest

from raised_simnet.__main__ import main
from raised_simnet.demo.demo import Result


@pytest.mark.parametrize(
    "arguments", [["--speed", "0"], ["--port", "70000"], ["--seed", "x"], ["--never"]]
)
def test_a_wrong_option_is_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        main(arguments)


def test_help_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for option in ("--speed", "--seed", "--once", "--port", "--database"):
        assert option in shown


def test_the_printed_object_has_four_keys() -> None:
    result = Result(7, {"angor": 1, "as_of": 2}, {"angor": 1})
    assert result.as_json() == {
        "seed": 7,
        "summary": {"angor": 1, "as_of": 2},
        "oracle": {"angor": 1},
        "equal": True,
    }
