"""Stores, campaigns and their secrets: what belongs together, and every problem at once."""

from pathlib import Path

import pytest

from raised.config.load import Config, load_config
from raised.domain.btcpay.invoice import BITCOIN_METHODS
from raised.domain.campaign import StoreRule
from raised.errors import ConfigError
from raised.service.source_settings import store_settings

PROJECT = "angor1qj4rsy6fl9fmhxy8pu58jwvrsf9kj90z9fa0e3p"
MINIMAL = """
network = "regtest"
[[relay]]
url = "ws://127.0.0.1:1"
[[chain.explorer]]
url = "http://127.0.0.1:2"
"""
SHOP = """
[[btcpay]]
label = "shop"
url = "https://pay.example/btcpay/"
store_id = "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776"
metadata_keys = ["itemCode"]
"""


def load(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "relays.toml"
    path.write_text(MINIMAL + text)
    return load_config(path, environ)


def problems(tmp_path: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **environ)
    return caught.value.problems


def secret(tmp_path: Path, name: str, text: str) -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_a_store_keeps_the_base_path_of_its_server(tmp_path: Path) -> None:
    (store,) = load(tmp_path, SHOP).stores
    assert (store.label, store.url) == ("shop", "https://pay.example/btcpay")
    assert store.metadata_keys == ("itemCode",)


def test_methods_of_plugins_that_are_bitcoin_are_named_in_any_case(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        SHOP + 'bitcoin_methods = ["btc-ark", "BTC-CASHU"]',
        RAISED_BTCPAY_SHOP_API_KEY_FILE=secret(tmp_path, "key", "abc"),
    )
    assert config.stores[0].bitcoin_methods == ("BTC-ARK", "BTC-CASHU")
    (settings,) = store_settings(config)
    assert settings.bitcoin_methods == BITCOIN_METHODS | {"BTC-ARK", "BTC-CASHU"}
    assert problems(tmp_path, SHOP + 'bitcoin_methods = "BTC-ARK"') == [
        "btcpay[0].bitcoin_methods: must be a list of texts, each of them once"
    ]


def test_secrets_come_from_files_without_their_line_end(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        SHOP,
        RAISED_BTCPAY_SHOP_API_KEY_FILE=secret(tmp_path, "key", "abc\n"),
        RAISED_BTCPAY_SHOP_WEBHOOK_SECRET_FILE=secret(tmp_path, "new", " secret \r\n"),
        RAISED_BTCPAY_SHOP_WEBHOOK_SECRET_PREVIOUS_FILE=secret(tmp_path, "old", "old"),
    )
    assert config.environment.webhook_secrets == {"shop": (b" secret ", b"old")}
    (settings,) = store_settings(config)
    assert settings.api_key == "abc"
    assert settings.expects_events
    assert "abc" not in repr(settings)
    assert "secret '" not in repr(config)


def test_systemd_credentials_are_found_and_a_variable_outranks_them(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    secret(folder, "btcpay-shop-api-key", "from systemd")
    secret(folder, "btcpay-shop-webhook-secret", "from systemd")
    config = load(
        tmp_path,
        SHOP,
        CREDENTIALS_DIRECTORY=str(folder),
        RAISED_BTCPAY_SHOP_API_KEY_FILE=secret(tmp_path, "key", "filed"),
    )
    assert store_settings(config)[0].api_key == "filed"
    assert config.environment.webhook_secrets == {"shop": (b"from systemd",)}


def test_a_secret_that_is_not_there_yet_is_none(tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere")
    config = load(tmp_path, SHOP, RAISED_BTCPAY_SHOP_WEBHOOK_SECRET_FILE=missing)
    assert config.environment.webhook_secrets == {}


def test_a_store_without_a_key_says_which_variable_names_it(tmp_path: Path) -> None:
    config = load(tmp_path, SHOP)
    with pytest.raises(ConfigError, match="RAISED_BTCPAY_SHOP_API_KEY_FILE"):
        store_settings(config)


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    found = problems(
        tmp_path, SHOP, RAISED_BTCPAY_SHOP_WEBHOOK_SECRET_FILE=secret(tmp_path, "empty", "\n")
    )
    assert len(found) == 1
    assert "is empty" in found[0]


def test_what_is_left_of_a_store_that_was_removed_is_a_warning(tmp_path: Path) -> None:
    """Whatever its files hold by now: the store is not followed."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    secret(credentials, "btcpay-attic-webhook-secret", "")
    config = load(
        tmp_path,
        SHOP,
        CREDENTIALS_DIRECTORY=str(credentials),
        RAISED_BTCPAY_SHOPP_API_KEY_FILE=secret(tmp_path, "k", "x"),
        RAISED_BTCPAY_OLD_WEBHOOK_SECRET_FILE=secret(tmp_path, "empty", ""),
        RAISED_BTCPAY_OLDER_WEBHOOK_SECRET_FILE=str(tmp_path),
    )
    end = "is not used, there is no [[btcpay]] with the label"
    assert set(config.warnings) == {
        f"the credential btcpay-attic-webhook-secret: {end} attic",
        f"RAISED_BTCPAY_SHOPP_API_KEY_FILE: {end} shopp; did you mean shop?",
        f"RAISED_BTCPAY_OLD_WEBHOOK_SECRET_FILE: {end} old",
        f"RAISED_BTCPAY_OLDER_WEBHOOK_SECRET_FILE: {end} older",
    }
    assert config.environment.webhook_secrets == {}


def test_a_secret_in_a_variable_is_told_which_variable_names_its_file(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, SHOP, RAISED_BTCPAY_SHOP_API_KEY="inline")
    assert found == (
        "RAISED_BTCPAY_SHOP_API_KEY: is not a setting of this version; "
        "did you mean RAISED_BTCPAY_SHOP_API_KEY_FILE?"
    )


@pytest.mark.parametrize(
    "url",
    ["https://Pay.Example/btcpay", "https://pay.example:443/btcpay//", "http://pay.example/btcpay"],
)
def test_one_store_under_two_spellings_is_a_problem(tmp_path: Path, url: str) -> None:
    text = SHOP + SHOP.replace('"shop"', '"twin"').replace("https://pay.example/btcpay/", url)
    (found,) = problems(tmp_path, text)
    assert found.startswith("btcpay[1].store_id: 9CiNzK")
    assert found.endswith(
        f"of {url.rstrip('/')}, which is https://pay.example/btcpay is listed twice"
    )


def test_a_file_without_certificates_is_a_problem(tmp_path: Path) -> None:
    path = secret(tmp_path, "ca.pem", "no certificate")
    assert problems(tmp_path, SHOP + f'ca_file = "{path}"') == [
        f"btcpay[0].ca_file: {path} holds no certificates"
    ]


def test_every_kind_of_rule_is_read(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        SHOP
        + """
        [[btcpay]]
        label = "other"
        url = "https://pay.example"
        store_id = "B"
        [[campaign]]
        slug = "ice"
        title = "Ice"
        btcpay = [
          { store = "shop", order_id_prefix = "ICE-" },
          { store = "shop", metadata = { key = "campaign", equals = "ice" } },
          { store = "shop", crowdfund_app = "App1" },
          { store = "other" },
        ]
        target_sats = 5
        """,
        RAISED_BTCPAY_SHOP_API_KEY_FILE=secret(tmp_path, "k", "x"),
        RAISED_BTCPAY_OTHER_API_KEY_FILE=secret(tmp_path, "l", "y"),
    )
    (ice,) = config.campaigns
    assert ice.target_sats == 5
    assert ice.rules == (
        StoreRule("shop", order_id_prefix="ICE-"),
        StoreRule("shop", metadata_key="campaign", metadata_equals="ice"),
        StoreRule("shop", crowdfund_app="App1"),
        StoreRule("other"),
    )
    shop, other = store_settings(config)
    assert shop.kept_metadata == {"itemCode", "orderId", "campaign"}
    assert shop.crowdfund_apps == ("App1",)
    assert other.kept_metadata == frozenset()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{ store = "shop" }', '{ store = "shop", order_id_prefix = "A" }'),
        ('{ store = "shop", order_id_prefix = "AB" }', '{ store = "shop", order_id_prefix = "A" }'),
        (
            '{ store = "shop", crowdfund_app = "App" }',
            '{ store = "shop", crowdfund_app = "App" }',
        ),
        (
            '{ store = "shop", order_id_prefix = "A" }',
            '{ store = "shop", metadata = { key = "orderId", equals = "AB" } }',
        ),
    ],
)
def test_rules_that_contain_each_other_are_refused(tmp_path: Path, one: str, other: str) -> None:
    text = SHOP + "".join(
        f'[[campaign]]\nslug = "{slug}"\ntitle = "T"\nbtcpay = [{rule}]\n'
        for slug, rule in (("a", one), ("b", other))
    )
    assert problems(tmp_path, text) == ["campaign: a and b overlap in store shop"]


def test_rules_apart_are_fine(tmp_path: Path) -> None:
    text = SHOP + "".join(
        f'[[campaign]]\nslug = "{slug}"\ntitle = "T"\nbtcpay = [{rule}]\n'
        for slug, rule in (
            ("a", '{ store = "shop", order_id_prefix = "A-" }'),
            ("b", '{ store = "shop", metadata = { key = "k", equals = "v" } }'),
        )
    )
    assert len(load(tmp_path, text).campaigns) == 2


def test_every_problem_of_stores_and_campaigns_is_reported_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        SHOP
        + f"""
        colour = "red"
        [[btcpay]]
        label = "shop"
        url = "ftp://pay.example"
        store_id = "a/b"
        [[btcpay]]
        label = "angor1shop"
        url = "https://pay.example"
        store_id = "A"
        ca_file = "/nowhere/ca.pem"
        [[campaign]]
        slug = "shop"
        title = "T"
        angor = ["{PROJECT}", "angor1nonsense"]
        [[campaign]]
        slug = "b"
        title = "T"
        angor = ["{PROJECT}"]
        btcpay = [{{ store = "shpo" }}, {{ store = "shop", metadata = {{ key = "k" }} }}]
        [[campaign]]
        slug = "empty"
        title = "T"
        """,
    )
    named = {problem.split(":", 1)[0] for problem in found}
    assert named == {
        "btcpay[0].colour",
        "btcpay[1].url",
        "btcpay[1].store_id",
        "btcpay[2].label",
        "btcpay[2].ca_file",
        "campaign[0].angor",
        "campaign[0].slug",
        "campaign[1].btcpay[0].store",
        "campaign[1].btcpay[1].metadata",
        "campaign[2].angor",
        "campaign",
    }
