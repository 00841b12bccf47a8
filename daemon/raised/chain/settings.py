"""The settings of the chain source: explorers, what must be proven, how far back a reorg may go."""

from dataclasses import dataclass
from typing import Final, Literal

Flavour = Literal["esplora", "mempool"]
Verify = Literal["blocks", "spv", "agree", "trust"]

# A block comes every ten minutes on main, every 30 seconds on some signets, at once on regtest.
_POLL_SECONDS: Final = {"main": 10.0, "regtest": 0.2}
# Between two tries of a history that could not be read; doubled for each further one.
_HISTORY_PAUSE_SECONDS: Final = {"main": 10.0, "regtest": 0.5}
# Longer than an explorer takes to follow a reorg, during which its tip may go back.
_FORK_WAIT_SECONDS: Final = {"main": 600.0, "regtest": 15.0}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How many requests one host gets, and how long it rests after failures.

    After a refused connection or a 5xx the host rests `base_seconds`, doubling to `cap_seconds`,
    with full jitter; after a 429 `rest_seconds`, doubling to `longest_rest_seconds`.
    """

    per_second: float = 1.0
    burst: int = 5
    attempts: int = 3
    base_seconds: float = 0.5
    cap_seconds: float = 60.0
    rest_seconds: float = 60.0
    longest_rest_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class ExplorerSettings:
    """One explorer. `flavour` is only a hint; `rate_limit` None: by the kind of host.

    `page_bytes`: the most that is read of a page of transactions.
    """

    url: str
    flavour: Flavour | None = None
    proxy: str | None = None
    rate_limit: RateLimit | None = None
    connect_seconds: float = 5.0
    read_seconds: float = 15.0
    block_seconds: float = 60.0
    page_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """The section [chain] of the configuration.

    None: the default of the network; for `verify` the strongest proof each explorer can give.
    `finality`: no reorg deeper than so many blocks is followed. `agreement`: how many explorers
    must show a block. `catch_up_blocks`: more new blocks than that are skipped, and histories read.
    """

    explorers: tuple[ExplorerSettings, ...]
    confirmations: int = 1
    verify: Verify | None = None
    catch_up_blocks: int = 144
    finality: int = 100
    agreement: int = 1
    poll_seconds: float | None = None
    fork_wait_seconds: float | None = None
    mempool_seconds: float | None = None
    health_seconds: float = 10.0
    history_pause_seconds: float | None = None

    def poll(self, network: str) -> float:
        """Seconds between two polls of the tip."""
        return self.poll_seconds or _POLL_SECONDS.get(network, 5.0)

    def fork_wait(self, network: str) -> float:
        """Seconds that a fork without more work must last before it is followed."""
        return self.fork_wait_seconds or _FORK_WAIT_SECONDS.get(network, 120.0)

    def mempool(self, network: str) -> float:
        """Seconds between two looks at the mempool."""
        return self.mempool_seconds or self.poll(network)

    def history_pause(self, network: str) -> float:
        """Seconds after the first failure to read a project's history."""
        return self.history_pause_seconds or _HISTORY_PAUSE_SECONDS.get(network, 5.0)
