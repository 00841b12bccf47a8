"""What every source needs that asks over HTTP: bounded answers, patience, and how its host did."""

import random
import re
from dataclasses import dataclass, field
from typing import Final

import httpx

from raised.clock import now

_SECONDS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(slots=True)
class HostStats:
    """How a host did lately, for its health."""

    last_success_at: int | None = None
    last_error: tuple[str, str] | None = None
    latency_ms: int | None = None
    errors: dict[str, int] = field(default_factory=dict[str, int])

    def record_success(self) -> None:
        """Remember that it answered now."""
        self.last_success_at = now()

    def record_error(self, code: str, sentence: str, times: int = 1) -> None:
        """Count an error and remember it as the last one."""
        self.errors[code] = self.errors.get(code, 0) + times
        self.last_error = (code, sentence)

    def record_latency(self, seconds: float) -> None:
        """Take the time of an answer into the running mean."""
        took_ms = int(seconds * 1000)
        before = self.latency_ms
        self.latency_ms = took_ms if before is None else (before * 3 + took_ms) // 4


def jittered(ceiling: float) -> float:
    """Full jitter: anything up to the ceiling, so that clients do not come back together."""
    return random.uniform(ceiling / 10, ceiling)  # noqa: S311 - spreads load, hides nothing


def retry_after(response: httpx.Response) -> int | None:
    """The seconds that a host wants to be left alone for, where it says so in seconds."""
    value: str = response.headers.get("Retry-After", "")
    # Nothing but plain digits, and few: other digits, or thousands of them, are no number to int.
    return int(value) if _SECONDS.fullmatch(value) else None


async def bounded_body(response: httpx.Response, most: int) -> bytes:
    """The body of a streamed answer, given up soon after `most` bytes: then it is longer."""
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > most:
            break
    return bytes(body)
