"""The command line: exit codes and words, as a person types them."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import pytest
from tests.rig.deadline import DEADLINE_SECONDS

from raised import __version__
from raised.__main__ import exit_code

CONFIG = """
network = "regtest"
[[relay]]
url = "ws://127.0.0.1:1"
[[chain.explorer]]
url = "http://127.0.0.1:1"
"""


def raised(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "raised", *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), **environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "relays.toml"
    path.write_text(CONFIG)
    return path


def test_the_version_is_told(tmp_path: Path) -> None:
    done = raised("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"raised, version {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [["fly"], ["run", "--fast"], ["verify"], ["--log-format", "xml", "run"], ["db", "x"]],
)
def test_a_wrong_command_line_is_64(tmp_path: Path, arguments: list[str]) -> None:
    done = raised(*arguments, cwd=tmp_path)
    assert done.returncode == 64
    assert "Error" in done.stderr


@pytest.mark.parametrize("command", [["run"], ["api"], ["up"], ["check"], ["db", "upgrade"]])
def test_a_missing_or_bad_configuration_is_78_and_says_all_that_is_wrong(
    tmp_path: Path, command: list[str]
) -> None:
    done = raised(*command, cwd=tmp_path)
    assert done.returncode == 78
    assert "relays.toml" in done.stderr
    (tmp_path / "relays.toml").write_text('network = "moon"\ncolour = 1\n')
    done = raised(*command, cwd=tmp_path)
    assert done.returncode == 78
    for key in ("network", "colour", "relay", "chain.explorer"):
        assert f"configuration: {key}:" in done.stderr


@pytest.mark.parametrize("command", ["run", "up", "check", "api"])
def test_keys_and_variables_are_among_all_problems_at_once(config: Path, command: str) -> None:
    """The API does not read the keys of relays and stores, which its service may not have."""
    text = CONFIG.replace("[[relay]]", '[[relay]]\nwirte = true\nauth_key_file = "/nowhere/key"')
    store = '[[btcpay]]\nlabel = "{0}"\nurl = "http://127.0.0.1:1"\nstore_id = "{0}"\n'
    config.write_text(text + store.format("shop") + store.format("kiosk"))
    done = raised(
        command,
        cwd=config.parent,
        RAISED_BTCPAY_SHOP_API_KEY_FILE="/nowhere/shop-key",
        RAISED_PUBLIC_URL="raised.example",
        RAISED_CORS_ORIGINS="page",
        RAISED_DATABASE_URL="sqlite:raised.db",
    )
    assert done.returncode == 78
    lines = [line.removeprefix("configuration: ") for line in done.stderr.splitlines()]
    keys = {
        "relay ws": "/nowhere/key: No such file",
        "RAISED_BTCPAY_SHOP_API_KEY_FILE": "/nowhere/shop-key is not there",
        "RAISED_BTCPAY_KIOSK_API_KEY_FILE": "is not set",
    }
    wanted = {
        "relay[0].wirte": "did you mean write?",
        "RAISED_PUBLIC_URL": "must begin with https:// or http://",
        "RAISED_CORS_ORIGINS": "'page' is no origin",
        "RAISED_DATABASE_URL": "must begin with sqlite://",
        **({} if command == "api" else keys),
    }
    found = {line.split(":")[0]: line for line in lines}
    assert found.keys() == wanted.keys()
    assert all(words in found[key] for key, words in wanted.items())


def test_keys_alone_are_findings_of_a_check(config: Path) -> None:
    config.write_text(CONFIG + '[[btcpay]]\nlabel = "a"\nurl = "http://h"\nstore_id = "A"\n')
    done = raised("check", cwd=config.parent, RAISED_BTCPAY_GONE_API_KEY_FILE="/nowhere")
    assert done.returncode == 1
    assert "RAISED_BTCPAY_A_API_KEY_FILE: is not set" in done.stdout
    assert "warning: RAISED_BTCPAY_GONE_API_KEY_FILE: is not used" in done.stdout
    assert raised("run", cwd=config.parent).returncode == 78


@pytest.mark.parametrize("command", [["run"], ["api"], ["up"], ["db", "upgrade"], ["keys", "list"]])
def test_a_read_only_disk_is_1_so_that_the_service_is_started_again(
    config: Path,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def read_only(real: Callable[..., Any], path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.name.startswith("raised.db"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, *args, **kwargs)

    monkeypatch.setenv("RAISED_DATABASE_URL", f"sqlite:///{config.parent}/raised.db")
    assert exit_code(["--config", str(config), "db", "upgrade"]) == 0
    for name in ("touch", "stat", "open"):
        monkeypatch.setattr(Path, name, partialmethod(partial(read_only, getattr(Path, name))))
    assert exit_code(["--config", str(config), *command]) == 1
    assert "cannot be opened: Read-only file system" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "api"])
def test_an_old_schema_is_78_with_the_command_to_type(config: Path, command: str) -> None:
    done = raised(command, cwd=config.parent)
    assert done.returncode == 78
    assert "raised db upgrade" in done.stderr
    assert not list(config.parent.glob("**/raised.db-wal"))


def test_the_configuration_is_found_before_and_behind_the_command(
    tmp_path: Path, config: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for arguments in (
        ["--config", str(config), "db", "upgrade"],
        ["db", "upgrade", "--config", str(config)],
    ):
        assert raised(*arguments, cwd=elsewhere).returncode == 0


def test_a_record_can_be_rewound_while_no_daemon_writes(config: Path) -> None:
    assert raised("db", "rewind", cwd=config.parent).returncode == 64
    assert raised("db", "upgrade", cwd=config.parent).returncode == 0
    done = raised("db", "rewind", "--to", "5", cwd=config.parent)
    assert (done.returncode, done.stdout[:32]) == (0, "the record ends at height 5 or b")
    assert raised("db", "check", cwd=config.parent).returncode == 0


def test_keys_are_listed_with_their_last_use(config: Path) -> None:
    assert raised("db", "upgrade", cwd=config.parent).returncode == 0
    assert raised("keys", "new", "--scope", "admin", cwd=config.parent).returncode == 0
    (line,) = raised("keys", "list", cwd=config.parent).stdout.splitlines()
    assert line.split()[-2:] == ["valid", "admin"]
    assert "never used" in line


def test_a_new_record_is_made_bound_and_consistent(config: Path) -> None:
    made = raised("db", "upgrade", cwd=config.parent)
    assert (made.returncode, made.stdout[:12]) == (0, "schema none ")
    assert raised("db", "check", cwd=config.parent).stdout == "the record is consistent\n"
    config.write_text(CONFIG.replace("regtest", "signet"))
    other = raised("db", "upgrade", cwd=config.parent)
    assert other.returncode == 78
    assert "network regtest" in other.stderr
