"""Settings: relays.toml says what to follow, the environment where to run.

Nothing else reads the environment. All problems are reported at once.
"""

import os
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

from raised.config.addresses import (
    database_url,
    http_url,
    origins,
    parsed_url,
    proxy_url,
    same_place,
)
from raised.config.stores import (
    SecretFile,
    SecretFiles,
    Store,
    read_campaigns,
    read_stores,
    secret_files,
    unused_secrets,
    webhook_secrets,
)
from raised.config.toml_table import Table
from raised.domain.campaign import Campaign
from raised.errors import ConfigError, InvalidInput

NETWORKS: Final = ("main", "testnet", "testnet4", "signet", "angornet", "regtest")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
_PREFIX: Final = "RAISED_"
_PLACES: Final = (Path("relays.toml"), Path("/etc/raised/relays.toml"))


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay to follow. `write`: re-broadcast project events it lacks."""

    url: str
    write: bool = False
    auth_key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Explorer:
    """An Esplora or mempool API. `flavour` is a hint; the probe decides."""

    url: str
    flavour: str | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """How the chain is followed. Depths in blocks; `verify` None: the strongest way there is."""

    explorers: tuple[Explorer, ...]
    confirmations: int
    verify: str | None
    catch_up_blocks: int
    finality: int
    agreement: int


@dataclass(frozen=True, slots=True)
class Proxy:
    """A SOCKS5 proxy for onion hosts only, or for everything (`use`)."""

    socks5: str
    use: str


@dataclass(frozen=True, slots=True)
class Retention:
    """Retention limits: days that changes and deliveries are kept, and how many projects that are
    announced but not founded.
    """

    changes_days: int
    deliveries_days: int
    announced_max: int


@dataclass(frozen=True, slots=True)
class Bind:
    """An address to listen on."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and how the programs run."""

    database_url: str
    api_bind: Bind
    metrics_bind: Bind
    public_url: str | None
    cors_origins: tuple[str, ...]
    trusted_proxies: tuple[str, ...]
    api_public: bool | None
    rate_limit: int
    log_level: str
    log_format: str | None
    secret_files: SecretFiles = field(default_factory=dict[tuple[str, str], SecretFile])
    webhook_secrets: Mapping[str, tuple[bytes, ...]] = field(  # by label, the current one first
        default_factory=dict[str, tuple[bytes, ...]], repr=False
    )
    notify_socket: str | None = None  # systemd's, with its watchdog
    watchdog_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, checked."""

    path: Path
    network: str
    relays: tuple[Relay, ...]
    chain: Chain
    proxy: Proxy | None
    retention: Retention
    environment: Environment
    stores: tuple[Store, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    warnings: tuple[str, ...] = ()  # what an operator may want to edit, and need not


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in force: `path`, else RAISED_CONFIG, else the usual places.

    Raises:
        ConfigError: with every problem found.
    """
    config, problems = read_config(path, environ)
    if problems:
        raise ConfigError(problems)
    return config


def read_config(
    path: Path | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Config, list[str]]:
    """The configuration as far as it can be read, and every problem found.

    Raises:
        ConfigError: there is no file that can be read, with all other problems.
    """
    env = os.environ if environ is None else environ  # noqa: TID251 - the rule's own exception
    problems: list[str] = []
    environment = _environment(env, problems)
    file = _find(path, env, problems)
    table = Table(_read(file, problems), "", problems)
    network = table.choice("network", NETWORKS, None)
    if network is None and not any(text.startswith("network:") for text in problems):
        table.add_problem("network", f"is missing: one of {', '.join(NETWORKS)}")
    stores = read_stores(table)
    files = environment.secret_files
    used = {key: file for key, file in files.items() if key[0] in {each.label for each in stores}}
    environment = replace(environment, webhook_secrets=webhook_secrets(used, problems))
    config = Config(
        path=file,
        network=network or "regtest",
        relays=_relays(table),
        chain=_chain(table.table("chain"), network),
        proxy=_proxy(table),
        retention=_retention(table.table("retention")),
        environment=environment,
        stores=stores,
        campaigns=read_campaigns(table, stores),
        warnings=unused_secrets(files, stores),
    )
    table.reject_unknown_keys()
    return config, problems


def load_environment(environ: Mapping[str, str] | None = None) -> Environment:
    """Only where and how to run, for commands that need no relays.toml.

    Raises:
        ConfigError: with every problem found.
    """
    problems: list[str] = []
    env = os.environ if environ is None else environ  # noqa: TID251 - the rule's own exception
    environment = _environment(env, problems)
    if problems:
        raise ConfigError(problems)
    return environment


def _find(path: Path | None, env: Mapping[str, str], problems: list[str]) -> Path:
    if path is not None:
        return path
    if named := env.get(_PREFIX + "CONFIG"):
        return Path(named)
    for place in _PLACES:
        with suppress(PermissionError):  # a folder that we may not look into
            if place.exists():
                return place
    here, there = _PLACES
    missing = f"there is no ./{here} and no {there}: make one, or name it with --config"
    raise ConfigError([*problems, missing])


def _read(path: Path, problems: list[str]) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([*problems, f"{path}: {error.strerror or error}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([*problems, f"{path}: is not TOML: {error}"]) from error


def _relays(table: Table) -> tuple[Relay, ...]:
    relays: list[Relay] = []
    for row in table.tables("relay"):
        url = row.parsed("url", "", lambda text: parsed_url(text, ("wss", "ws")))
        write = row.boolean("write", default=False)
        key_file = row.text("auth_key_file")
        row.reject_unknown_keys()
        if url is None:
            continue
        _refuse_listed(row, url, "relay", {each.url: same_place(each.url) for each in relays})
        relays.append(Relay(url, bool(write), Path(key_file) if key_file else None))
    if not relays:
        table.add_problem("relay", "at least one is needed: [[relay]] with a url")
    return tuple(relays)


def _refuse_listed(
    row: Table, url: str, kind: str, listed: Mapping[str, tuple[object, ...]]
) -> None:
    """Add a problem when a source is listed under another spelling: it would speak twice."""
    place = same_place(url, explorer=kind == "explorer")
    other = next((each for each, known in listed.items() if known == place), None)
    if other == url:
        row.add_problem("url", f"{url} is listed twice")
    elif other is not None:
        row.add_problem("url", f"{url} is the same {kind} as {other}: list it once")


def _chain(table: Table, network: str | None) -> Chain:
    explorers: list[Explorer] = []
    for row in table.tables("explorer"):
        url = row.parsed("url", "", http_url)
        flavour = row.choice("flavour", ("esplora", "mempool"), None)
        row.reject_unknown_keys()
        if url is None:
            continue
        listed = {each.url: same_place(each.url, explorer=True) for each in explorers}
        _refuse_listed(row, url, "explorer", listed)
        explorers.append(Explorer(url, flavour))
    if not explorers:
        table.add_problem("explorer", "at least one is needed: [[chain.explorer]] with a url")
    chain = Chain(
        explorers=tuple(explorers),
        confirmations=table.integer("confirmations", 6 if network == "main" else 1, 1, 100),
        verify=table.choice("verify", ("blocks", "spv", "agree", "trust"), None),
        catch_up_blocks=table.integer("catch_up_blocks", 144, 0, 100_000),
        finality=table.integer("finality", 100, 1, 10_000),
        agreement=table.integer("agreement", min(2, max(1, len(explorers))), 1, 100),
    )
    if chain.agreement > max(1, len(explorers)):
        table.add_problem(
            "agreement", f"{chain.agreement} cannot agree when {len(explorers)} are listed"
        )
    table.reject_unknown_keys()
    return chain


def _proxy(table: Table) -> Proxy | None:
    proxy = table.table("proxy")
    socks5 = proxy.optional("socks5", proxy_url)
    use = proxy.choice("use", ("onion", "all"), "onion") or "onion"
    proxy.reject_unknown_keys()
    return None if socks5 is None else Proxy(socks5, use)


def _retention(table: Table) -> Retention:
    retention = Retention(
        changes_days=table.integer("changes_days", 90, 1, 36_500),
        deliveries_days=table.integer("deliveries_days", 60, 1, 36_500),
        announced_max=table.integer("announced_max", 20_000, 1, 10_000_000),
    )
    table.reject_unknown_keys()
    return retention


def _environment(env: Mapping[str, str], problems: list[str]) -> Environment:
    files = secret_files(env)
    named = {file.variable for file in files.values()}
    own = {
        key: value
        for key, value in env.items()
        if key.startswith(_PREFIX) and not key.startswith(_PREFIX + "TEST_") and key not in named
    }
    table = Table(
        {key.removeprefix(_PREFIX): value for key, value in own.items()}, _PREFIX, problems
    )
    table.text("CONFIG")
    default_database = _default_database(env)
    environment = Environment(
        database_url=table.parsed("DATABASE_URL", default_database, database_url)
        or default_database,
        api_bind=table.parsed("API_BIND", "127.0.0.1:8721", _bind) or Bind("127.0.0.1", 8721),
        metrics_bind=table.parsed("METRICS_BIND", "127.0.0.1:8722", _loopback_bind)
        or Bind("127.0.0.1", 8722),
        public_url=table.optional("PUBLIC_URL", http_url),
        cors_origins=table.optional("CORS_ORIGINS", origins) or (),
        trusted_proxies=table.parsed("TRUSTED_PROXIES", "127.0.0.0/8,::1", _networks) or (),
        api_public=table.boolean("API_PUBLIC", default=None),
        rate_limit=table.integer("RATE_LIMIT", 600, 1, 1_000_000),
        log_level=table.choice("LOG_LEVEL", LOG_LEVELS, "info") or "info",
        log_format=table.choice("LOG_FORMAT", ("json", "text"), None),
        secret_files=files,
        notify_socket=env.get("NOTIFY_SOCKET"),
        watchdog_seconds=_watchdog(env.get("WATCHDOG_USEC", "")),
    )
    # Who writes a secret into a variable is told which variable names its file.
    files_of = [
        f"{key.removeprefix(_PREFIX)}_FILE" for key in own if secret_files({key + "_FILE": "-"})
    ]
    table.reject_unknown_keys(files_of)
    return environment


def _default_database(env: Mapping[str, str]) -> str:
    state = env.get("STATE_DIRECTORY", "").split(":")[0]
    folder = Path(state) if state else Path.home() / ".local" / "share" / "raised"
    return f"sqlite+aiosqlite:///{folder}/raised.db"


def _watchdog(microseconds: str) -> float | None:
    return int(microseconds) / 1_000_000 if microseconds.isdecimal() else None


def _bind(text: str) -> Bind:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InvalidInput("must be host:port")
    return Bind(host, int(port))


def _loopback_bind(text: str) -> Bind:
    bind = _bind(text)
    if not bind.is_loopback:
        raise InvalidInput(f"{bind.host} is not loopback; use a proxy instead")
    return bind


def _networks(text: str) -> tuple[str, ...]:
    if text.strip() == "none":
        return ()
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in parts:
        try:
            ip_network(part)
        except ValueError as error:
            raise InvalidInput(f"{part!r} is no address or network") from error
    return parts
