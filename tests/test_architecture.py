"""What no import contract says: names, settings that are documented, pins that agree."""

import re
import subprocess
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from raised.config.load import Environment

ROOT = Path(__file__).parent.parent
SAY_NOTHING = {
    "utils", "util", "common", "core", "helpers", "helper", "shared", "base", "misc", "lib",
    "types", "models", "services", "managers",
}  # fmt: skip
ENCODING = {"bech32", "bip32", "block", "curve", "hashes", "script", "tx"}  # shared with the simnet
CONFIG_FILES = ("config/load.py", "config/stores.py")
SOURCES = [ROOT / "daemon", ROOT / "api", ROOT / "simnet"]


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    names = [path for source in SOURCES for path in source.rglob("*") if path.stem in SAY_NOTHING]
    assert names == []


def test_what_the_simnet_must_not_know_names_every_rule_of_the_domain() -> None:
    contracts = project()["tool"]["importlinter"]["contracts"]  # type: ignore[index]
    (simnet,) = (row for row in contracts if row.get("source_modules") == ["raised_simnet"])
    named = tuple(simnet["forbidden_modules"])
    domain = ROOT / "daemon/raised/domain"
    paths = [path.relative_to(domain).with_suffix("") for path in domain.rglob("*.py")]
    modules = {
        ".".join(("raised.domain", *path.parts)) for path in paths if path.stem != "__init__"
    }
    allowed = {
        name for name in modules if not any(f"{name}.".startswith(f"{row}.") for row in named)
    }
    assert allowed == {f"raised.domain.bitcoin.{name}" for name in ENCODING}


def test_there_are_at_most_sixteen_rooms() -> None:
    top = [path for path in (ROOT / "daemon/raised").iterdir() if path.suffix in {"", ".py"}]
    rooms = {path.stem for path in top} - {"__init__", "__pycache__"}
    assert len(rooms) <= 16


def test_every_setting_of_the_environment_is_documented_for_operators() -> None:
    manual = (ROOT / "docs/operators.md").read_text()
    inner = {"notify_socket", "watchdog_seconds"}  # systemd's own
    inner |= {"secret_files", "webhook_secrets"}  # named after each store
    names = {field.name.upper() for field in fields(Environment) if field.name not in inner}
    assert {name for name in names if f"`{name}`" not in manual} == set()


def test_every_setting_of_relays_toml_is_known_and_documented() -> None:
    """Each key the configuration reads stands in the shipped file, in force or as a comment."""
    shipped = (ROOT / "relays.toml").read_text()
    read = re.findall(
        r"\.(?:text|required_text|integer|boolean|choice|parsed|optional|texts?|tables?)\(\s*\"([a-z0-9_]+)\"",
        "".join((ROOT / "daemon/raised" / name).read_text() for name in CONFIG_FILES),
    )
    assert {key for key in read if not re.search(rf"\b{key}\b", shipped)} == set()


def test_the_start_section_holds_the_two_commands_and_nothing_else() -> None:
    start = (ROOT / "README.md").read_text().split("## Start\n")[1].split("\n## ")[0]
    assert start.strip() == "```sh\nmake demo\nmake test\n```"


@pytest.mark.parametrize("unit", ["raised.service", "raised-api.service"])
def test_a_unit_restarts_on_failure_but_not_on_a_configuration_to_edit(unit: str) -> None:
    text = (ROOT / "systemd" / unit).read_text()
    assert "Restart=on-failure" in text
    assert "RestartPreventExitStatus=78" in text
    assert "Type=notify" in text
    assert "WatchdogSec=" in text


def test_pins_agree_with_what_the_project_asks_for() -> None:
    """Each direct dependency is pinned, so what was tested is what is run."""
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for name in ("demo", "test", "lint")
        for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
        if "==" in line
    }
    table = project()
    assert isinstance(table["project"], dict)
    assert isinstance(table["dependency-groups"], dict)
    wanted = [
        *table["project"]["dependencies"],
        *(row for rows in table["project"]["optional-dependencies"].values() for row in rows),
        *(row for rows in table["dependency-groups"].values() for row in rows),
    ]
    names = {re.split(r"[\[<>=~! ]", row)[0].lower() for row in wanted}
    assert names - pinned == set()


def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    words = (
        "/" + "root/",
        "index" + "-url",
        "find" + "-links",
        "pypi" + ".org",
        "python" + "hosted",
    )
    found = [
        name
        for name in listed
        if (ROOT / name).is_file()
        for text in [(ROOT / name).read_text(errors="ignore")]
        if any(word in text for word in words)
    ]
    assert found == []


def test_every_path_that_the_architecture_names_exists() -> None:
    named = re.findall(
        r"`([\w/.]+\.(?:py|md)|[\w/]+/)`", (ROOT / "docs/architecture.md").read_text()
    )
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = set(listed.stdout.split())
    files |= {f"{parent}/" for name in files for parent in Path(name).parents}
    missing = [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in files)]
    assert missing == []
