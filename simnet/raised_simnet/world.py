"""The whole outside world on loopback: a chain, explorers in front of it, relays, shops."""

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from raised_simnet.actors.nostr_event import Event
from raised_simnet.actors.wallet import Wallet, fan_out, fund
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.btcpay.api_version import V2_4_5, ApiVersion
from raised_simnet.btcpay.backend import Clock
from raised_simnet.btcpay.server import BTCPayServer
from raised_simnet.btcpay.shop import Shop, open_shop, ring
from raised_simnet.btcpay.store import STANDARD, Policy
from raised_simnet.explorer.server import Explorer, Flavour
from raised_simnet.relays.relays import Relay, publish

START: Final = 1_700_000_000
COINBASES: Final = 20


class World:
    """`async with World() as world`: everything runs inside, nothing is left behind.

    `miner` has mature coins. Every part may be driven from any thread and has its own faults;
    a relay's `kill` and `start`, an explorer's `down` and `up` are theirs.
    `explorers`: how many of Esplora's kind, or their flavours. `lasting`: relays keep their events
    over a restart. `clock`: with one there is a BTCPay Server, too, which lives by it and
    speaks this dialect.
    """

    def __init__(
        self,
        *,
        explorers: int | Sequence[Flavour] = 1,
        relays: int = 2,
        lasting: bool = False,
        start_time: int = START,
        clock: Clock | None = None,
        dialect: ApiVersion = V2_4_5,
    ) -> None:
        plain = [Flavour.ESPLORA] * explorers if isinstance(explorers, int) else explorers
        self._flavours = list(plain)
        self._relays = relays
        self._lasting = lasting
        self._start_time = start_time
        self.clock = clock
        self._dialect = dialect
        self._stack = AsyncExitStack()
        self.explorers: list[Explorer] = []
        self.relays: list[Relay] = []
        self.shops: dict[str, Shop] = {}
        self.chain: RegtestChain
        self.miner: Wallet
        self.btcpay: BTCPayServer

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simnet-")))
            (directory / "chain").mkdir()
            self.chain = RegtestChain(directory / "chain", self._start_time)
            stack.callback(self.chain.close)
            self.miner = Wallet(self.chain, "miner")
            await asyncio.to_thread(fund, self.chain, self.miner, COINBASES)
            numbers = range(self._relays)
            places = [directory / f"relay-{n}" if self._lasting else None for n in numbers]
            self.explorers = [Explorer(self.chain, flavour) for flavour in self._flavours]
            self.relays = [Relay(place) for place in places]
            parts: list[Explorer | Relay | BTCPayServer] = [*self.explorers, *self.relays]
            if self.clock is not None:
                self.btcpay = BTCPayServer(self.chain, dialect=self._dialect, clock=self.clock)
                parts.append(self.btcpay)
            for part in parts:
                stack.push_async_callback(asyncio.to_thread, part.stop)
            await together(part.start for part in parts)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    @property
    def explorer(self) -> Explorer:
        """The first explorer."""
        return self.explorers[0]

    def wallet(self, name: str, *, coins: int = 10, value: int = 10_000_000) -> Wallet:
        """A wallet with so many confirmed coins of that value, independent of one another."""
        wallet = Wallet(self.chain, name)
        self.chain.mine([fan_out(self.miner, [wallet.script], value, each=coins)])
        return wallet

    async def publish(
        self, events: Sequence[Event], *, to: Sequence[Relay] | None = None
    ) -> dict[str, str]:
        """Send events to all relays, or to some; what any of them refused, by id."""
        urls = [relay.url for relay in (self.relays if to is None else to)]
        answers = await asyncio.gather(*(asyncio.to_thread(publish, u, events) for u in urls))
        return {event_id: reason for refused in answers for event_id, reason in refused.items()}

    def open_shop(self, label: str, policy: Policy = STANDARD) -> Shop:
        """A store that the product is to follow."""
        self.shops[label] = open_shop(self.btcpay, label, policy)
        return self.shops[label]

    def ring(self, address: str) -> None:
        """Let the webhooks of all shops, if there are any, be posted to the API at this address."""
        if self.shops:
            ring(self.btcpay, tuple(self.shops.values()), address)

    def secrets(self, folder: Path) -> dict[str, str]:
        """Write the shops' secrets into files there; the variables that name them."""
        found = (shop.secrets(folder).items() for shop in self.shops.values())
        return {name: value for match in found for name, value in match}

    def settings(self) -> str:
        """A `relays.toml` that follows this world."""
        lines = ['network = "regtest"']
        for relay in self.relays:
            lines += ["[[relay]]", f'url = "{relay.url}"']
        for explorer in self.explorers:
            lines += ["[[chain.explorer]]", f'url = "{explorer.url}"']
        shops = "".join(shop.settings(self.btcpay.url) for shop in self.shops.values())
        return "\n".join([*lines, ""]) + shops


async def together(works: Iterable[Callable[[], None]]) -> None:
    """Run blocking calls at the same time."""
    await asyncio.gather(*(asyncio.to_thread(work) for work in works))
