"""Which bytes of a connection are accounted for."""

import json

import pytest

from raised.nostr.byte_accounting import ByteAccounting
from raised_simnet.actors.nostr_event import compact, sign_event

SECRET = bytes(31) + b"\x09"
EVENT = sign_event(
    SECRET,
    kind=3030,
    content='{"näme":"日本語 \\ \U0001f600", "tag":"<b>"}',
    created_at=5,
    tags=[["d", "ä"]],
)
TEXT = json.dumps(EVENT, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    "sent",
    [
        compact(["EVENT", "live-0", EVENT]),
        json.dumps(["EVENT", "live-0", EVENT]),
        json.dumps(["EVENT", "live-0", EVENT], ensure_ascii=False),
        json.dumps(["EVENT", "live-0", EVENT]).replace('\\"', "\\u0022"),
    ],
)
def test_an_event_is_accounted_for_however_a_relay_encodes_it(sent: str) -> None:
    accounting = ByteAccounting()
    accounting.add_message(TEXT, "live-0")
    assert accounting.close_period(len(sent.encode())) == 0


def test_the_bytes_of_a_dropped_event_are_unusable() -> None:
    sent = len(compact(["EVENT", "live-0", EVENT]).encode())
    accounting = ByteAccounting()
    accounting.add_message(TEXT, "live-0")
    accounting.add_message('["EOSE","live-0"]')
    received = sent + 17 + sent
    assert 0 < accounting.unusable(received) <= sent
    assert accounting.close_period(received) > 100
    assert accounting.close_period(received) == 0
    assert accounting.close_period(received + 7) == 7
