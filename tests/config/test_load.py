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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://h", "http://H"), ("http://h", "http://h//"), ("http://h", "http://h/api"),
        ("http://h/api", "http://h/api/v1"), ("https://h", "https://h:443/api/"),
        ("http://h:80", "http://h"), ("http://h:3000", "http://h.:3000"),
        ("http://localhost:3000", "http://127.0.0.1:3000"), ("http://[::1]", "http://127.0.0.1"),
        ("http://[2001:db8::1]", "http://[2001:DB8:0::1]/api"), ("http://h", "https://h"),
    ],
)  # fmt: skip
def test_one_explorer_under_two_spellings_is_a_problem(
    tmp_path: Path, one: str, other: str
) -> None:
    """Else it would agree with itself."""
    text = MINIMAL.replace("https://explorer.example/api/", one)
    found = problems(tmp_path, text + f'[[chain.explorer]]\nurl = "{other}"\n')
    shown = other.rstrip("/")
    sentence = (
        f"{one} is listed twice"
        if shown == one
        else f"{shown} is the same explorer as {one}: list it once"
    )
    assert found == [f"chain.explorer[1].url: {sentence}"]


@pytest.mark.parametrize(
    "other",
    ["http://h:3001", "http://h/signet/api", "http://sub.h/api", "http://h/testnet", "http://i"],
)
def test_explorers_of_other_hosts_ports_and_paths_are_others(tmp_path: Path, other: str) -> None:
    text = MINIMAL.replace("https://explorer.example/api/", "http://h/api")
    config = load(tmp_path, text + f'[[chain.explorer]]\nurl = "{other}"\n')
    assert len(config.chain.explorers) == 2


@pytest.mark.parametrize(
    "other",
    [
        "wss://Relay.Example",
        "wss://relay.example:443/",
        "ws://relay.example",
        "wss://relay.example.",
    ],
)
def test_one_relay_under_two_spellings_is_a_problem(tmp_path: Path, other: str) -> None:
    found = problems(tmp_path, MINIMAL + f'[[relay]]\nurl = "{other}"\n')
    shown = other.rstrip("/")
    assert found == [
        f"relay[1].url: {shown} is the same relay as wss://relay.example: list it once"
    ]


def test_relays_of_one_host_with_other_paths_are_others(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + '[[relay]]\nurl = "wss://relay.example/inbox"\n')
    assert len(config.relays) == 2


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (MINIMAL.replace("angornet", "mainnet"), "did you mean main?"),
        (MINIMAL.replace("angornet", "Signet"), "did you mean signet?"),
        (
            MINIMAL.replace("[[chain", "[chain]\nconfirmation = 1\n[[chain"),
            "did you mean confirmations?",
        ),
        (MINIMAL + "[retention]\nchange_days = 1", "did you mean changes_days?"),
        (MINIMAL + '[chains]\nverify = "spv"', "did you mean chain?"),
        (MINIMAL.replace("[[relay]]", "[[relay]]\nwirte = true"), "did you mean write?"),
    ],
)
def test_a_near_spelling_is_named(tmp_path: Path, text: str, hint: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.endswith(f"; {hint}")


def test_a_word_that_is_near_to_none_gets_no_hint(tmp_path: Path) -> None:
    assert problems(tmp_path, MINIMAL, RAISED_XYZZY="1") == [
        "RAISED_XYZZY: is not a setting of this version"
    ]


@pytest.mark.parametrize(
    ("variable", "wrong", "words"),
    [
        ("DATABASE_URL", "raised.db", "must begin with sqlite:// or postgresql://"),
        ("DATABASE_URL", "mysql://h/raised", "must begin with sqlite:// or postgresql://"),
        ("DATABASE_URL", "postgres://h/raised", "must begin with postgresql://, not postgres://"),
        ("DATABASE_URL", "sqlite://var/lib/raised.db", "must name a file after three slashes"),
        ("DATABASE_URL", "sqlite+aiosqlite://", "must name a file after three slashes"),
        ("DATABASE_URL", "postgresql://h:port/raised", "is no database's address"),
        ("PUBLIC_URL", "raised.example", "must begin with https:// or http:// and a host"),
        ("PUBLIC_URL", "https://raised.example/?a=1", "must end with its path"),
        ("CORS_ORIGINS", "https://a.example,b.example", "'b.example' is no origin"),
        ("CORS_ORIGINS", "https://a.example/page", "more than scheme, host and port"),
        ("METRICS_BIND", "0.0.0.0:8722", "0.0.0.0 is not loopback"),
        ("API_BIND", "127.0.0.1:http", "must be host:port"),
        ("RATE_LIMIT", "many", "must be a whole number"),
        ("API_PUBLIC", "perhaps", "must be true or false"),
        ("LOG_LEVEL", "warn", "did you mean warning?"),
        ("DATABSE_URL", "sqlite:///a", "did you mean RAISED_DATABASE_URL?"),
    ],
)
def test_a_wrong_variable_is_named_with_what_is_wrong(
    tmp_path: Path, variable: str, wrong: str, words: str
) -> None:
    (found,) = problems(tmp_path, MINIMAL, **{f"RAISED_{variable}": wrong})
    assert found.startswith(f"RAISED_{variable}: ")
    assert words in found


def test_right_variables_are_read_as_browsers_and_databases_take_them(tmp_path: Path) -> None:
    environment = load(
        tmp_path,
        MINIMAL,
        RAISED_CORS_ORIGINS="https://Page.Example:443/, http://localhost:3000,*",
        RAISED_DATABASE_URL="postgresql+asyncpg://me:secret@/raised?host=/run/postgresql",
        RAISED_PUBLIC_URL="https://raised.example/shop/",
    ).environment
    assert environment.cors_origins == ("https://page.example", "http://localhost:3000", "*")
    assert environment.database_url.endswith("/raised?host=/run/postgresql")
    assert environment.public_url == "https://raised.example/shop"


def test_the_environment_is_checked_without_a_file_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "nowhere.toml", {"RAISED_RATE_LIMIT": "0"})
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "RAISED_RATE_LIMIT",
        str(tmp_path / "nowhere.toml"),
    ]


def test_a_broken_or_absent_file_is_named(tmp_path: Path) -> None:
    assert "is not TOML" in problems(tmp_path, "network = ")[0]
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "nowhere.toml", {})


def test_the_shipped_file_is_valid_as_it_is() -> None:
    shipped = Path(__file__).parents[2] / "relays.toml"
    config = load_config(shipped, {})
    assert config.network == "main"
    assert {relay.url for relay in config.relays} >= {"wss://relay.angor.io"}
