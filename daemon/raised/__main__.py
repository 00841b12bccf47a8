"""`raised`: the command line, and the only place where errors become exit codes."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import structlog

from raised import __version__
from raised.commands.logs import configure_logs
from raised.config.load import LOG_LEVELS, Config, load_config
from raised.domain.angor.identifier import project_script
from raised.errors import ConfigError, InvalidInput, RaisedError, WrongRecord

F = TypeVar("F", bound=Callable[..., Any])

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 64
EXIT_CONFIG: Final = 78

_log = structlog.get_logger()


@dataclass(slots=True)
class Settings:
    """The options of the command line, before or behind the command's name."""

    config: Path | None = None
    log_format: str | None = None
    log_level: str | None = None

    def load(self) -> Config:
        """The configuration, with logs set up as it says."""
        return self._start(load_config(self.config))

    def load_with_keys(self) -> Config:
        """The same, with all keys that the daemon needs."""
        from raised.service.source_settings import load_with_keys

        return self._start(load_with_keys(self.config))

    def _start(self, config: Config) -> Config:
        self.start_logs(config)
        for warning in config.warnings:
            _log.warning("configuration", warning=warning)
        return config

    def start_logs(self, config: Config | None = None) -> None:
        """Log as the command line says, else as the environment does."""
        environment = config.environment if config else None
        level = self.log_level or (environment.log_level if environment else "info")
        configure_logs(level, self.log_format or (environment.log_format if environment else None))

    def arguments(self) -> list[str]:
        """The same, for a child process."""
        pairs = {
            "--config": self.config,
            "--log-format": self.log_format,
            "--log-level": self.log_level,
        }
        return [part for flag, value in pairs.items() if value for part in (flag, str(value))]


def _with_settings(command: F) -> F:
    """The options that every command understands, also behind its name."""

    def keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
        settings = context.ensure_object(Settings)
        if value is not None:
            assert parameter.name is not None, "our options have names"
            setattr(settings, parameter.name, value)

    for option in (
        click.option(
            "--log-level", type=click.Choice(LOG_LEVELS), expose_value=False, callback=keep
        ),
        click.option(
            "--log-format", type=click.Choice(["json", "text"]), expose_value=False, callback=keep
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path, readable=False),
            expose_value=False,
            callback=keep,
            help="relays.toml; else RAISED_CONFIG, ./relays.toml, /etc/raised/relays.toml",
        ),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="raised")
@_with_settings
def cli() -> None:
    """The truth about Bitcoin crowdfunding."""


@cli.command()
@_with_settings
@click.pass_obj
def run(settings: Settings) -> int:
    """Follow the sources and keep the record: the daemon."""
    from raised.service.run import run_daemon

    return asyncio.run(run_daemon(settings.load_with_keys()))


@cli.command()
@_with_settings
@click.pass_obj
def api(settings: Settings) -> int:
    """Serve the HTTP API and the dashboard."""
    return int(_program("api")(settings.load()))


@cli.command()
@_with_settings
@click.pass_obj
def up(settings: Settings) -> int:
    """Both in one: creates the database on first use."""
    from raised.commands.up import run_both
    from raised.service.maintenance import upgrade_record

    asyncio.run(upgrade_record(settings.load_with_keys()))
    return asyncio.run(run_both(settings.arguments()))


@cli.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
    short_help="A whole world on loopback, and the API against it.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> int:
    """A whole world on loopback, and the API against it: --speed, --seed, --once, --port."""
    return int(_program("demo")(list(arguments)))


@cli.command()
@_with_settings
@click.pass_obj
def check(settings: Settings) -> int:
    """Try the configuration and every source once."""
    from raised.commands.check import check_sources

    try:
        config = settings.load()
    except ConfigError:
        # With the keys that cannot be used; these alone are findings among the others.
        settings.load_with_keys()
        raise
    return asyncio.run(check_sources(config))


def _project_id(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    del context, parameter
    if value is not None:
        try:
            project_script(value)
        except InvalidInput as error:
            raise click.BadParameter(f"{value} is no project identifier: {error}") from error
    return value


@cli.command(short_help="Audit one project and print the chain of evidence.")
@click.argument("project_id", required=False, callback=_project_id)
@click.option(
    "--from",
    "file",
    type=click.Path(path_type=Path, readable=False),
    help="a case to audit offline, instead of a project's id",
)
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
@_with_settings
@click.pass_obj
def verify(settings: Settings, project_id: str | None, file: Path | None, *, as_json: bool) -> int:
    """Audit one project and print the chain of evidence; exit 2 when something does not hold."""
    from raised.commands.verify import verify_file, verify_project

    if (project_id is None) == (file is None):
        raise click.UsageError("give a project id, or --from FILE")
    if file is not None:
        settings.start_logs()
        return verify_file(file, as_object=as_json)
    assert project_id is not None, "one of the two was given"
    return asyncio.run(verify_project(settings.load(), project_id, as_object=as_json))


@cli.group()
def db() -> None:
    """The record."""


@db.command("upgrade")
@_with_settings
@click.pass_obj
def db_upgrade(settings: Settings) -> int:
    """Bring the schema up to date."""
    from raised.service.maintenance import upgrade_record

    before, after = asyncio.run(upgrade_record(settings.load()))
    click.echo(f"schema {after}" if before == after else f"schema {before or 'none'} → {after}")
    return 0


@db.command("check")
@_with_settings
@click.pass_obj
def db_check(settings: Settings) -> int:
    """Recompute every total from the movements and compare."""
    from raised.service.maintenance import check_record

    problems = asyncio.run(check_record(settings.load()))
    for problem in problems:
        click.echo(problem, err=True)
    click.echo(f"{len(problems)} differences" if problems else "the record is consistent")
    return EXIT_FAILED if problems else 0


@db.command("rewind")
@click.option("--to", "height", type=click.IntRange(min=0), required=True, help="the last to keep")
@_with_settings
@click.pass_obj
def db_rewind(settings: Settings, height: int) -> int:
    """Undo the blocks above a height, after a reorg deeper than finality; stop the daemon first."""
    from raised.service.maintenance import rewind_record

    asyncio.run(rewind_record(settings.load(), height))
    click.echo(f"the record ends at height {height} or below; the next start reads on from there")
    return 0


@cli.group()
def btcpay() -> None:
    """Stores of BTCPay Server."""


@btcpay.command("setup")
@click.argument("label")
@click.option("--url", help="where the server reaches the API; else RAISED_PUBLIC_URL")
@click.option(
    "--api-key-file",
    "key_file",
    type=click.Path(path_type=Path, readable=False),
    help="a key that may modify webhooks; else the store's own is tried",
)
@_with_settings
@click.pass_obj
def btcpay_setup(settings: Settings, label: str, url: str | None, key_file: Path | None) -> int:
    """Create or adopt the webhook of a store, with a secret of its own."""
    from raised.commands.btcpay_setup import set_up_webhook

    return asyncio.run(set_up_webhook(settings.load(), label, url, key_file))


@cli.group()
def keys() -> None:
    """Keys of the API."""


@keys.command("new")
@click.option("--scope", "scopes", multiple=True, required=True, help="may be given again")
@_with_settings
@click.pass_obj
def keys_new(settings: Settings, scopes: tuple[str, ...]) -> int:
    """Make a key and print it: read, invoices:read, metrics, admin are its scopes."""
    from raised.commands.keys import make_key

    try:
        asyncio.run(make_key(settings.load(), scopes))
    except InvalidInput as error:
        raise click.BadParameter(str(error), param_hint="--scope") from error
    return 0


@keys.command("list")
@_with_settings
@click.pass_obj
def keys_list(settings: Settings) -> int:
    """Every key that was ever made, without its secret."""
    from raised.commands.keys import print_keys

    asyncio.run(print_keys(settings.load()))
    return 0


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@_with_settings
@click.pass_obj
def keys_revoke(settings: Settings, key_id: str) -> int:
    """Revoke a key for good."""
    from raised.commands.keys import revoke

    asyncio.run(revoke(settings.load(), key_id))
    return 0


def _program(name: str) -> Callable[..., int]:
    """The program that another package of this distribution registered under this name.

    `api` takes the configuration, `demo` its arguments.
    """
    (program,) = entry_points(group="raised.programs", name=name)
    try:
        start: Callable[..., int] = program.load()
    except ModuleNotFoundError as error:
        raise RaisedError(
            f"`raised {name}` needs {error.name}: install raised[simnet] on Python 3.11 to 3.13"
        ) from error
    return start


def main() -> None:
    """The console script."""
    configure_logs("info", None)
    sys.exit(exit_code(sys.argv[1:]))


def exit_code(arguments: list[str]) -> int:
    """Run a command line; what the process should exit with: see docs/operators.md."""
    try:
        return int(cli.main(arguments, prog_name="raised", standalone_mode=False) or 0)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        return EXIT_FAILED
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except Exception as error:  # noqa: BLE001 - the last resort: say it and leave
        return _explained(error)


def _explained(error: Exception) -> int:
    """Print why we end; the exit code."""
    known = _known(error)
    if known is not None:
        return _explain(known)
    _log.error("ended by a bug", exc_info=error)
    return EXIT_FAILED


def _known(error: Exception) -> RaisedError | None:
    """The error, of a group the first, when all of them are ours: tasks fail in groups."""
    match error:
        case RaisedError():
            return error
        case ExceptionGroup(exceptions=exceptions):
            known = [_known(each) for each in exceptions]
            return None if None in known else known[0]
        case _:
            return None


def _explain(error: RaisedError) -> int:
    match error:
        case ConfigError(problems=problems):
            for problem in problems:
                click.echo(f"configuration: {problem}", err=True)
            return EXIT_CONFIG
        case WrongRecord():
            click.echo(f"record: {error}", err=True)
            return EXIT_CONFIG
        case _:
            click.echo(f"raised: {error}", err=True)
            return EXIT_FAILED


if __name__ == "__main__":
    main()
