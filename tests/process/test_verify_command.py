"""`raised verify`: the exit code is the verdict, the object says why."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.rig import vectors
from tests.rig.deadline import DEADLINE_SECONDS

ANGOR = vectors.ANGOR
SCENARIOS = sorted(ANGOR.glob("scenario_*.json"))
SILENCE = "projectEvent"


def verify(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "raised", "verify", *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_that_holds_is_0_and_its_totals_partition(
    tmp_path: Path, scenario: Path
) -> None:
    """Look-alikes and repeated foundings in it change nothing: anybody can make them."""
    done = verify("--from", str(scenario), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = report(done)
    assert found["project"]["status"] == "confirmed"
    totals = found["totals"]
    assert totals["recovery_sats"] == totals["in_penalty_sats"] + totals["penalty_released_sats"]
    ways = ("claimed", "recovery", "unfunded_release", "penalty_free_recovery", "end_of_project")
    parts = [totals[f"{way}_sats"] for way in (*ways, "unknown", "locked")]
    assert totals["raised_sats"] == sum(parts) > 0


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_without_its_event_a_project_is_unverified_and_2(tmp_path: Path, scenario: Path) -> None:
    content = json.loads(scenario.read_text())
    del content[SILENCE]
    (tmp_path / "silent.json").write_text(json.dumps(content))
    done = verify("--from", "silent.json", "--json", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    found = report(done)
    assert found["project"]["status"] == "event_missing"
    assert {investment["status"] for investment in found["investments"]} == {"unverified"}
    assert found["totals"]["raised_sats"] == 0


def test_words_for_people_end_with_the_same_code(tmp_path: Path) -> None:
    done = verify("--from", str(SCENARIOS[0]), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(SCENARIOS[0].read_text())["projectInfo"]["projectIdentifier"] in done.stdout


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"network": "moon", "transactions": []}'])
def test_a_file_that_is_no_such_thing_is_1_and_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "file.json").write_text(content)
    done = verify("--from", "file.json", "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("raised: file.json: ")
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_1_and_named(tmp_path: Path) -> None:
    done = verify("--from", "nowhere.json", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "raised: nowhere.json: No such file or directory\n"


def test_what_is_no_identifier_is_64_and_said(tmp_path: Path) -> None:
    done = verify("angor1nothing", cwd=tmp_path)
    assert done.returncode == 64
    assert "angor1nothing is no project identifier" in done.stderr


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    plain, marked = ANGOR / "scenario_invest.json", tmp_path / "marked.json"
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    done = verify("--from", str(marked), cwd=tmp_path)
    assert done.stdout == verify("--from", str(plain), cwd=tmp_path).stdout != ""


@pytest.mark.parametrize("content", [b"", b" \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_called_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "case.json").write_bytes(content)
    done = verify("--from", "case.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "the file is empty" in done.stderr
