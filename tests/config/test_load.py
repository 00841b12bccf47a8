"""relays.toml and the environment: defaults, and every problem at once."""

from pathlib import Path

import pytest

from raised.config.load import Bind, Config, load_config
from raised.errors import ConfigError

MINIMAL = """
network = "angornet"
[[relay]]
url = "wss://relay.example"
[[chain.explorer]]
url = "https://explorer.example/api/"
"""


def load(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "relays.toml"
    path.write_text(text)
    return load_config(path, environ)


def problems(tmp_path: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **environ)
    return caught.value.problems


def test_a_minimal_file_has_safe_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL)
    assert config.network == "angornet"
    assert config.relays[0].url == "wss://relay.example"
    assert config.chain.explorers[0].url == "https://explorer.example/api"
    assert (config.chain.confirmations, config.chain.verify, config.chain.agreement) == (1, None, 1)
    assert (config.chain.catch_up_blocks, config.chain.finality) == (144, 100)
    assert config.proxy is None
    assert (config.retention.changes_days, config.retention.announced_max) == (90, 20_000)
    assert config.environment.api_bind == Bind("127.0.0.1", 8721)
    assert config.environment.api_bind.is_loopback


def test_main_needs_six_confirmations_by_default(tmp_path: Path) -> None:
    text = MINIMAL.replace("angornet", "main")
    assert load(tmp_path, text).chain.confirmations == 6


def test_the_database_lives_in_the_state_directory(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL, STATE_DIRECTORY="/var/lib/raised")
    assert config.environment.database_url == "sqlite+aiosqlite:////var/lib/raised/raised.db"


def test_every_problem_is_reported_at_once_and_names_its_key(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
        network = "mainnet"
        colour = "red"
        [[relay]]
        url = "https://relay.example"
        wirte = true
        [[relay]]
        url = "wss://user:secret@relay.example"
        [chain]
        confirmations = "six"
        finality = 0
        [[chain.explorer]]
        url = "explorer.example"
        flavour = "electrum"
        """,
        RAISED_RATE_LIMIT="-1",
        RAISED_API_BIND="8721",
        RAISED_COLOUR="red",
        RAISED_TRUSTED_PROXIES="10.0.0.0/8,proxy",
    )
    named = {problem.split(":", 1)[0] for problem in found}
    assert named == {
        "network",
        "colour",
        "relay[0].url",
        "relay[0].wirte",
        "relay[1].url",
        "relay",
        "chain.confirmations",
        "chain.finality",
        "chain.explorer[0].url",
        "chain.explorer[0].flavour",
        "chain.explorer",
        "RAISED_RATE_LIMIT",
        "RAISED_API_BIND",
        "RAISED_COLOUR",
        "RAISED_TRUSTED_PROXIES",
    }
    assert "secret" not in "".join(found)


@pytest.mark.parametrize("missing", ["network", "relay", "chain.explorer"])
def test_what_must_be_there_is_asked_for(tmp_path: Path, missing: str) -> None:
    text = {
        "network": MINIMAL.replace('network = "angornet"', ""),
        "relay": MINIMAL.replace('[[relay]]\nurl = "wss://relay.example"', ""),
        "chain.explorer": MINIMAL.split("[[chain", maxsplit=1)[0],
    }[missing]
    assert [problem.split(":")[0] for problem in problems(tmp_path, text)] == [missing]


def test_a_source_listed_twice_is_a_problem(tmp_path: Path) -> None:
    text = MINIMAL + '[[relay]]\nurl = "wss://relay.example/"\n'
    assert problems(tmp_path, text) == ["relay[1].url: wss://relay.example is listed twice"]


def test_a_broken_or_absent_file_is_named(tmp_path: Path) -> None:
    assert "is not TOML" in problems(tmp_path, "network = ")[0]
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "nowhere.toml", {})


def test_the_shipped_file_is_valid_as_it_is() -> None:
    shipped = Path(__file__).parents[2] / "relays.toml"
    config = load_config(shipped, {})
    assert config.network == "main"
    assert {relay.url for relay in config.relays} >= {"wss://relay.angor.io"}
