"""A record that an earlier version wrote is upgraded, and says what it said then."""

import json
from pathlib import Path

from tests.rig.earlier_record import SUMMARY, load_earlier_record
from tests.rig.node import Node

from raised.db.upgrade import newest_revision
from raised_simnet.story import paced_player

TOML = """
network = "regtest"
[[relay]]
url = "ws://127.0.0.1:9"
[[chain.explorer]]
url = "http://127.0.0.1:9"
"""


async def test_an_earlier_record_is_upgraded_and_shows_what_it_showed(
    empty_database_url: str, tmp_path: Path
) -> None:
    await load_earlier_record(empty_database_url)
    async with Node(tmp_path, TOML, database_url=empty_database_url) as node:
        upgraded = await node.command("db", "upgrade")
        assert upgraded.code == 0, upgraded.words
        assert upgraded.out.split()[-1] == newest_revision()
        assert await node.is_consistent()
        await node.api.start()
        summary = await node.until(paced_player.SUMMARY, lambda answer: "totals" in answer)
    then = json.loads(SUMMARY.read_text())
    assert paced_player.comparable(summary) == paced_player.comparable(then)
    assert summary["as_of"]["hash"] == then["as_of"]["hash"]
    assert summary["as_of"]["seq"] == then["as_of"]["seq"]
