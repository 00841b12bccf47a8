"""Stores and campaigns as relays.toml and the environment name them.

Secrets are read from files only: named by a variable, else systemd's credential of that name.
"""

import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Final

from raised.config.addresses import http_url, same_place
from raised.config.toml_table import Table, near_spelling
from raised.domain.angor.identifier import project_script
from raised.domain.campaign import ORDER_ID, Campaign, StoreRule
from raised.errors import ConfigError, InvalidInput
from raised.net.http_client import authorities_of

API_KEY: Final = "api-key"
WEBHOOK_SECRET: Final = "webhook-secret"  # noqa: S105 - a file's name
WEBHOOK_SECRET_PREVIOUS: Final = "webhook-secret-previous"  # noqa: S105 - as above
_SECRETS: Final = (WEBHOOK_SECRET_PREVIOUS, WEBHOOK_SECRET, API_KEY)
_LABEL: Final = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
_STORE_ID: Final = re.compile(r"[0-9A-Za-z]{1,64}\Z")
_PREFIX: Final = "RAISED_"


@dataclass(frozen=True, slots=True)
class Store:
    """A store to follow. `label` names its credentials and the path of its webhook."""

    label: str
    url: str
    store_id: str
    metadata_keys: tuple[str, ...] = ()
    bitcoin_methods: tuple[str, ...] = ()  # beside those that are known; in upper case
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class SecretFile:
    """Where a secret of a store is kept. `variable` is what sets it."""

    path: Path
    variable: str


SecretFiles = Mapping[tuple[str, str], SecretFile]  # by label and kind


def secret_variable(label: str, kind: str) -> str:
    """The variable that names the file of a store's secret."""
    words = f"btcpay-{label}-{kind}-file".replace("-", "_").upper()
    return f"{_PREFIX}{words}"


def secret_files(environ: Mapping[str, str]) -> SecretFiles:
    """The files of all secrets that the environment names."""
    files: dict[tuple[str, str], SecretFile] = {}
    folder = environ.get("CREDENTIALS_DIRECTORY")
    for path in sorted(Path(folder).glob("btcpay-*")) if folder else ():
        if (named := _named(path.name.removeprefix("btcpay-"))) is not None:
            files[named] = SecretFile(path, f"the credential {path.name}")
    for variable, value in environ.items():
        words = variable.removeprefix(f"{_PREFIX}BTCPAY_").removesuffix("_FILE")
        if variable != f"{_PREFIX}BTCPAY_{words}_FILE" or not value.strip():
            continue
        if (named := _named(words.lower().replace("_", "-"))) is not None:
            files[named] = SecretFile(Path(value.strip()), variable)
    return files


def _named(words: str) -> tuple[str, str] | None:
    for kind in _SECRETS:
        label = words.removesuffix(f"-{kind}")
        if label != words and _LABEL.match(label):
            return label, kind
    return None


def read_secret(file: SecretFile) -> str | None:
    """The secret, without the line end of its file; None while there is no such file.

    Raises:
        ConfigError: it cannot be read, or is empty.
    """
    try:
        text = file.path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise ConfigError(f"{file.variable}: {file.path}: {reason}") from error
    # Nothing else is stripped: a secret may well begin or end with a space.
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ConfigError(f"{file.variable}: {file.path} is empty")
    return text


def webhook_secrets(files: SecretFiles, problems: list[str]) -> dict[str, tuple[bytes, ...]]:
    """What signs the deliveries of each store: the current secret, then the previous one."""
    secrets: dict[str, tuple[bytes, ...]] = {}
    for kind in (WEBHOOK_SECRET, WEBHOOK_SECRET_PREVIOUS):
        for (label, what), file in files.items():
            if what != kind:
                continue
            try:
                secret = read_secret(file)
            except ConfigError as error:
                problems += error.problems
                continue
            if secret is not None:
                secrets[label] = (*secrets.get(label, ()), secret.encode())
    return secrets


def read_stores(table: Table) -> tuple[Store, ...]:
    """Every [[btcpay]] table."""
    stores: list[Store] = []
    for row in table.tables("btcpay"):
        label = row.parsed("label", "", _label)
        url = row.parsed("url", "", http_url)
        store_id = row.parsed("store_id", "", _store_id)
        keys = row.texts("metadata_keys")
        methods = tuple(sorted({name.strip().upper() for name in row.texts("bitcoin_methods")}))
        ca_file = row.text("ca_file")
        row.reject_unknown_keys()
        if ca_file is not None:
            _check_authority(row, ca_file)
        if label is None or url is None or store_id is None:
            continue
        if any(store.label == label for store in stores):
            row.add_problem("label", f"{label} is listed twice")
        for store in stores:
            if (same_place(store.url), store.store_id) == (same_place(url), store_id):
                names = "" if store.url == url else f", which is {store.url}"
                row.add_problem("store_id", f"{store_id} of {url}{names} is listed twice")
        authority = Path(ca_file) if ca_file else None
        stores.append(Store(label, url, store_id, keys, methods, authority))
    return tuple(stores)


def unused_secrets(files: SecretFiles, stores: Sequence[Store]) -> tuple[str, ...]:
    """A sentence for each secret of a store that is not followed, or not any more."""
    labels = [store.label for store in stores]
    return tuple(
        f"{file.variable}: is not used, there is no [[btcpay]] with the label {label}"
        + near_spelling(label, labels)
        for (label, _), file in files.items()
        if label not in labels
    )


def read_campaigns(table: Table, stores: Sequence[Store]) -> tuple[Campaign, ...]:
    """Every [[campaign]] table; what overlaps by configuration alone is a problem."""
    campaigns: list[Campaign] = []
    labels = {store.label for store in stores}
    for row in table.tables("campaign"):
        slug = row.parsed("slug", "", _label)
        title = row.required_text("title", "what people read")
        projects = tuple(text for text in row.texts("angor") if _is_project(row, text))
        rules = tuple(_rules(row, labels))
        target = row.integer("target_sats", 0, 1, 21_000_000 * 100_000_000)
        row.reject_unknown_keys()
        if slug is None:
            continue
        if slug in labels or any(campaign.slug == slug for campaign in campaigns):
            row.add_problem("slug", f"{slug} is taken: slugs and labels are unique")
        if not projects and not rules:
            row.add_problem("angor", "a campaign needs projects, stores, or both")
        campaigns.append(Campaign(slug, title, projects, rules, target or None))
    _refuse_overlaps(table, campaigns)
    return tuple(campaigns)


def _rules(row: Table, labels: set[str]) -> list[StoreRule]:
    rules: list[StoreRule] = []
    for entry in row.tables("btcpay"):
        store = entry.required_text("store", "the label of a [[btcpay]]")
        prefix = entry.text("order_id_prefix")
        metadata = entry.table("metadata")
        key, equals = metadata.text("key"), metadata.text("equals")
        metadata.reject_unknown_keys()
        app = entry.text("crowdfund_app")
        entry.reject_unknown_keys()
        if store and store not in labels:
            hint = near_spelling(store, labels)
            entry.add_problem("store", f"there is no [[btcpay]] with the label {store}{hint}")
        if (key is None) != (equals is None):
            entry.add_problem("metadata", "needs both: { key = …, equals = … }")
        if sum(part is not None for part in (prefix, key, app)) > 1:
            entry.add_problem("store", "one of order_id_prefix, metadata and crowdfund_app at most")
        rules.append(StoreRule(store, prefix, key, equals, app))
    return rules


def _refuse_overlaps(table: Table, campaigns: Sequence[Campaign]) -> None:
    for first, second in combinations(campaigns, 2):
        for project in sorted(set(first.projects) & set(second.projects)):
            table.add_problem("campaign", f"{project} is in {first.slug} and in {second.slug}")
        for rule, other in product(first.rules, second.rules):
            if contains(rule, other) or contains(other, rule):
                table.add_problem(
                    "campaign", f"{first.slug} and {second.slug} overlap in store {rule.store}"
                )


def contains(wide: StoreRule, narrow: StoreRule) -> bool:
    """Whether every invoice that `narrow` takes is one of `wide`."""
    if wide.store != narrow.store:
        return False
    if wide.is_whole_store or wide == narrow:
        return True
    if wide.order_id_prefix is None:
        return False
    exact = narrow.metadata_equals if narrow.metadata_key == ORDER_ID else None
    return (narrow.order_id_prefix or exact or "").startswith(wide.order_id_prefix)


def _check_authority(row: Table, ca_file: str) -> None:
    if not Path(ca_file).is_file():
        row.add_problem("ca_file", f"{ca_file} is no file")
        return
    try:
        authorities_of(Path(ca_file))
    except OSError as error:  # ssl's errors are some, too
        why = error.strerror if not isinstance(error, ssl.SSLError) else None
        row.add_problem("ca_file", f"{ca_file} {why or 'holds no certificates'}")


def _label(text: str) -> str:
    if not _LABEL.match(text) or text.startswith("angor1"):
        raise InvalidInput(
            "must be 1 to 32 of a-z, 0-9 and -, begin with a letter and not with angor1"
        )
    return text


def _store_id(text: str) -> str:
    if not _STORE_ID.match(text):
        raise InvalidInput("must be the store's id: letters and digits")
    return text


def _is_project(row: Table, text: str) -> bool:
    try:
        project_script(text)
    except InvalidInput as error:
        row.add_problem("angor", f"{text} is no project identifier: {error}")
        return False
    return True
