"""`raised btcpay setup`: a store's webhook, with a secret of its own. docs/btcpay.md 6."""

import os
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from typing import Final

import click

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.server_json import Webhook
from raised.btcpay.settings import StoreSettings
from raised.config.load import Config
from raised.config.stores import WEBHOOK_SECRET, SecretFile, read_secret, secret_variable
from raised.errors import ConfigError, Refused
from raised.service.source_settings import keyed_store, store_settings

EVENTS: Final = (
    "InvoiceCreated",
    "InvoiceReceivedPayment",
    "InvoicePaymentSettled",
    "InvoiceProcessing",
    "InvoiceExpired",
    "InvoiceExpiredPaidPartial",
    "InvoicePaidAfterExpiration",
    "InvoiceSettled",
    "InvoiceInvalid",
    "InvoiceRefund",
)
_SECRET_BYTES: Final = 32


async def set_up_webhook(
    config: Config, label: str, url: str | None = None, key_file: Path | None = None
) -> int:
    """Create the webhook of a store, or adopt the one with our address; the exit code.

    `url` is where the server reaches the API, else RAISED_PUBLIC_URL; `key_file` holds a key that
    may modify webhooks, else the store's own is tried.

    Raises:
        ConfigError: something must be named first.
        SourceError: the server does not answer, or not as it should.
    """
    settings = _store(config, label, key_file)
    address = _address(config, label, url)
    file = _secret_file(config, label)
    # Before the server is asked: a crash in between leaves a secret that nobody uses yet.
    secret = read_secret(file) or _new_secret(file)
    server = Greenfield(settings)
    try:
        webhook, verb = await _create_or_adopt(server, address, secret)
    except Refused as error:
        click.echo(f"{label}: {error.detail}", err=True)
        _print_what_to_paste(address, secret)
        return 1
    finally:
        await server.close()
    click.echo(f"webhook {webhook.id} {verb}: {address}")
    click.echo(f"its secret is in {file.path}; restart raised api, which reads it at its start")
    return 0


async def _create_or_adopt(server: Greenfield, address: str, secret: str) -> tuple[Webhook, str]:
    matching = [webhook for webhook in await server.webhooks() if webhook.url == address]
    if not matching:
        return await server.create_webhook(address, secret, EVENTS), "created"
    for extra in matching[1:]:
        click.echo(
            f"webhook {extra.id} has the same address: delete it, every event comes twice", err=True
        )
    return await server.replace_webhook(matching[0].id, address, secret, EVENTS), "adopted"


def _store(config: Config, label: str, key_file: Path | None) -> StoreSettings:
    store = next((store for store in config.stores if store.label == label), None)
    if store is None:
        labels = ", ".join(sorted(store.label for store in config.stores)) or "none"
        raise ConfigError(f"btcpay: there is no store {label}; there is {labels}")
    if key_file is None:
        return next(store for store in store_settings(config) if store.label == label)
    key = read_secret(SecretFile(key_file, "--api-key-file"))
    if key is None:
        raise ConfigError(f"--api-key-file: {key_file} is not there")
    return keyed_store(config, store, key)


def _address(config: Config, label: str, url: str | None) -> str:
    base = url or config.environment.public_url
    if not base:
        raise ConfigError(
            "RAISED_PUBLIC_URL: is not set, nor --url: the address at which BTCPay reaches raised"
        )
    return f"{base.rstrip('/')}/webhooks/btcpay/{label}"


def _secret_file(config: Config, label: str) -> SecretFile:
    file = config.environment.secret_files.get((label, WEBHOOK_SECRET))
    if file is None:
        variable = secret_variable(label, WEBHOOK_SECRET)
        raise ConfigError(f"{variable}: is not set: where should the secret be kept?")
    return file


def _new_secret(file: SecretFile) -> str:
    """A new random secret, written to its file and flushed to the disk."""
    secret = token_hex(_SECRET_BYTES)
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(file.path, flags, 0o600), "w", encoding="ascii") as out:  # noqa: PTH123
            out.write(secret + "\n")
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise ConfigError(f"{file.variable}: {file.path}: {error.strerror}") from error
    return secret


def _print_what_to_paste(address: str, secret: str) -> None:
    lines: Sequence[str] = (
        "make the webhook by hand (store settings, webhooks, create webhook):",
        f"  payload URL        {address}",
        f"  secret             {secret}",
        "  automatic redelivery on, and these events:",
        *(f"    {event}" for event in EVENTS),
        "or name a key that may modify webhooks with --api-key-file and try again",
    )
    click.echo("\n".join(lines))
