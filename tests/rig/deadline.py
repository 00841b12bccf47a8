"""How long tests wait for what must happen."""

import time
from collections.abc import Callable
from typing import Final

# A test that waits so long has failed. It measures no speed: on a machine that is busy with other
# work everything takes ten times as long, and nothing of it is wrong.
DEADLINE_SECONDS: Final = 120
_POLL_SECONDS: Final = 0.005


def wait_until(condition: Callable[[], object]) -> None:
    """Block this thread until another one has made the condition true.

    Raises:
        AssertionError: it did not until the deadline.
    """
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(_POLL_SECONDS)
