"""A relay in a process of its own: `python -m raised_simnet.relays.relay_process PORT [DIRECTORY]`.

Port 0 takes a free one. Prints its address once it listens; ends politely when its input ends, so
it never outlives who started it. With a directory what it stores survives it.
"""

import asyncio
import sys
from datetime import timedelta

from nostr_sdk import LocalRelay, LocalRelayBuilder, NostrLmdb, RateLimit, uniffi_set_event_loop

_NEVER = 10**7  # the relay's own limits are not what we test


async def _relay(port: int, directory: str | None) -> LocalRelay:
    builder = LocalRelayBuilder().addr("127.0.0.1")
    builder = builder.rate_limit(RateLimit(max_reqs=1000, notes_per_minute=_NEVER))
    if port:
        builder = builder.port(port)
    if directory is not None:
        builder = builder.database(await NostrLmdb.open(directory))
    return builder.build()


async def serve(port: int, directory: str | None) -> None:
    """Run the relay until standard input ends."""
    uniffi_set_event_loop(asyncio.get_running_loop())
    relay = await _relay(port, directory)
    await relay.run()
    sys.stdout.write(f"{await relay.url()}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    relay.shutdown()
    await asyncio.sleep(timedelta(milliseconds=100).total_seconds())  # callbacks in flight


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
