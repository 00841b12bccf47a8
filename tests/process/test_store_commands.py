"""`raised btcpay setup` and `raised check`, and what they tell an operator."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pbk")

from raised.__main__ import exit_code
from raised.commands.btcpay_setup import EVENTS
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.btcpay.permission import READ, WEBHOOKS
from raised_simnet.btcpay.server import BTCPayServer

START = 1_700_000_000
URL = "https://raised.example/webhooks/btcpay/shop"


class Operator:
    """Somebody with a store, a relays.toml and a shell."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.chain = RegtestChain(folder, START)
        self.server = BTCPayServer(self.chain, clock=lambda: START)
        self.server.start()
        self.store = self.server.office.open_store("shop")
        self.secret = folder / "secrets" / "webhook"
        monkeypatch.setenv("RAISED_PUBLIC_URL", "https://raised.example/")
        monkeypatch.setenv("RAISED_BTCPAY_SHOP_API_KEY_FILE", str(self.key("key", *READ)))
        monkeypatch.setenv("RAISED_BTCPAY_SHOP_WEBHOOK_SECRET_FILE", str(self.secret))
        self.config = folder / "relays.toml"
        self.config.write_text(
            f"""
            network = "regtest"
            [[relay]]
            url = "ws://127.0.0.1:9"
            [[chain.explorer]]
            url = "http://127.0.0.1:9"
            [[btcpay]]
            label = "shop"
            url = "{self.server.url}"
            store_id = "{self.store.id}"
            """
        )

    def key(self, name: str, *permissions: str) -> Path:
        path = self.folder / name
        path.write_text(self.server.key(self.store, permissions).key + "\n")
        return path

    def run(self, *words: str) -> int:
        return exit_code(["--config", str(self.config), *words])

    def close(self) -> None:
        self.server.stop()
        self.chain.close()


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    operator = Operator(tmp_path, monkeypatch)
    yield operator
    operator.close()


def setup(operator: Operator, *words: str) -> int:
    key = operator.key("setup-key", WEBHOOKS)
    return operator.run("btcpay", "setup", "shop", "--api-key-file", str(key), *words)


def test_setup_creates_the_webhook_with_a_secret_of_its_own(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup(operator) == 0
    (hook,) = operator.store.hooks.values()
    assert (hook.url, hook.enabled) == (URL, True)
    assert all(hook.wants(event) for event in EVENTS)
    assert not hook.wants("PayoutCreated")
    assert operator.secret.read_text() == hook.secret + "\n"
    assert len(hook.secret) == 64
    assert operator.secret.stat().st_mode & 0o777 == 0o600
    said = capsys.readouterr()
    assert f"webhook {hook.id} created: {URL}" in said.out
    assert hook.secret not in said.out + said.err


def test_setup_again_adopts_what_is_there_and_keeps_the_secret(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup(operator) == 0
    (hook,) = operator.store.hooks.values()
    secret, hook.secret, hook.enabled = hook.secret, "somebody changed it", False
    assert setup(operator) == 0
    (again,) = operator.store.hooks.values()
    assert (again.id, again.secret, again.enabled) == (hook.id, secret, True)
    assert f"webhook {hook.id} adopted" in capsys.readouterr().out


def test_setup_says_what_to_paste_when_the_key_may_not(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert operator.run("btcpay", "setup", "shop") == 1
    assert not operator.store.hooks
    said = capsys.readouterr()
    assert "btcpay.store.webhooks.canmodifywebhooks" in said.err
    assert URL in said.out
    assert operator.secret.read_text().strip() in said.out
    assert all(event in said.out for event in EVENTS)


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("RAISED_PUBLIC_URL", "RAISED_PUBLIC_URL: is not set, nor --url"),
        (
            "RAISED_BTCPAY_SHOP_WEBHOOK_SECRET_FILE",
            "RAISED_BTCPAY_SHOP_WEBHOOK_SECRET_FILE: is not set",
        ),
        ("RAISED_BTCPAY_SHOP_API_KEY_FILE", "RAISED_BTCPAY_SHOP_API_KEY_FILE: is not set"),
    ],
)
def test_setup_names_what_is_missing(
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    words: str,
) -> None:
    monkeypatch.delenv(variable)
    assert operator.run("btcpay", "setup", "shop") == 78
    assert words in capsys.readouterr().err
    assert not operator.secret.exists()


def test_setup_knows_only_stores_of_the_file(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert operator.run("btcpay", "setup", "ship") == 78
    assert "there is no store ship; there is shop" in capsys.readouterr().err


def line_of(said: str, kind: str) -> str:
    return next(line for line in said.splitlines() if f"  {kind} " in line)


def test_check_tries_the_store(operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    assert setup(operator) == 0
    operator.run("check")
    line = line_of(capsys.readouterr().out, "store")
    assert line.startswith("ok")
    assert "version 2.4.1" in line
    assert "older than 2.4.2: upgrade" in line


def test_check_says_that_a_webhooks_secret_is_missing(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert operator.run("check") == 1
    line = line_of(capsys.readouterr().out, "store")
    assert line.startswith("FAILED")
    assert f"RAISED_BTCPAY_SHOP_WEBHOOK_SECRET_FILE: {operator.secret} is not there" in line
    assert "raised btcpay setup shop" in line


def test_check_says_what_the_key_cannot_see(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = operator.key("little", "btcpay.store.canviewinvoices")
    monkeypatch.setenv("RAISED_BTCPAY_SHOP_API_KEY_FILE", str(key))
    assert operator.run("check") == 1
    line = line_of(capsys.readouterr().out, "store")
    assert line.startswith("FAILED")
    assert "refunds are unknown" in line
    assert "canviewpullpayments" in line


def test_check_knows_a_wrong_key(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = operator.folder / "wrong"
    wrong.write_text("0" * 40)
    monkeypatch.setenv("RAISED_BTCPAY_SHOP_API_KEY_FILE", str(wrong))
    assert operator.run("check") == 1
    assert line_of(capsys.readouterr().out, "store").startswith("FAILED")
