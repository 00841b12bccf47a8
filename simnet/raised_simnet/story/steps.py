"""The steps of a story: values that say what somebody does, made before there is a chain."""

from dataclasses import dataclass

from raised.domain.bitcoin.tx import TxOut
from raised_simnet.actors.funding_txs import FundingTx
from raised_simnet.actors.keys import Key
from raised_simnet.actors.nostr_event import Event
from raised_simnet.actors.stage_spends import RecoveryKeys, Revealed
from raised_simnet.btcpay.shop_steps import ShopStep

Label = str
FOR_EVER = 1 << 30


# What a payment means to those who make it. The oracle knows no more than this.


@dataclass(frozen=True, slots=True)
class Founds:
    """It announces a project: the identifier, and the event it commits to."""

    identifier: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Invests:
    """It locks money by the terms of this event."""

    identifier: str
    event_id: str
    investor_key: bytes
    placement: FundingTx


@dataclass(frozen=True, slots=True)
class Mimics:
    """It looks like an investment and is none."""

    identifier: str


@dataclass(frozen=True, slots=True)
class Buys:
    """Its first output pays invoices: one, or several of shops that share a wallet."""

    invoices: tuple[Label, ...]
    sats: int


@dataclass(frozen=True, slots=True)
class GivesBack:
    """It pays what somebody claims of this offer."""

    offer: Label


Meaning = Founds | Invests | Mimics | Buys | GivesBack | None


@dataclass(frozen=True, slots=True)
class StageRef:
    """One stage output of the investment with this label."""

    label: Label
    index: int


# How stage outputs are left.


@dataclass(frozen=True, slots=True)
class ByClaim:
    """The founder claims."""

    founder: Key


@dataclass(frozen=True, slots=True)
class ByEnd:
    """The investor takes back what is left at the end."""

    investor: Key


@dataclass(frozen=True, slots=True)
class BySecrets:
    """The investor shows enough seeder secrets."""

    investor: Key
    revealed: Revealed


@dataclass(frozen=True, slots=True)
class Penalty:
    """Into the investor's penalty for so many days."""

    days: int


@dataclass(frozen=True, slots=True)
class Address:
    """To this script, straight away."""

    script: bytes


@dataclass(frozen=True, slots=True)
class ByRecovery:
    """Investor and founder sign together; one destination for each coin, a coin for the fee."""

    keys: RecoveryKeys
    destinations: tuple[Penalty | Address, ...]
    fee_coin: int


Way = ByClaim | ByEnd | BySecrets | ByRecovery


# The steps.


@dataclass(frozen=True, slots=True)
class Publish:
    """Send an event to all relays, or to some.

    `identifier` and `sound` say what the author knows of a project event: whose it claims to be,
    and whether it is what it should be. `withdraws`: the event that a kind 5 takes back.
    """

    event: Event
    identifier: str | None = None
    sound: bool = True
    withdraws: str | None = None
    relays: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Pay:
    """Send a payment. It stays unconfirmed for `wait` blocks.

    `money`: the number of a coin of the story's fan-out (the same number twice is a double spend),
    or the label of a claim whose output pays. `exact`: no change output.
    """

    label: Label
    outputs: tuple[TxOut, ...]
    meaning: Meaning
    money: int | Label
    wait: int = 0
    extra_fee: int = 0
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """Spend stage outputs: to whoever leaves, or to where a recovery says."""

    label: Label
    coins: tuple[StageRef, ...]
    way: Way
    wait: int = 0


@dataclass(frozen=True, slots=True)
class FreePenalty:
    """Spend penalty outputs of the recovery with this label."""

    label: Label
    recovery: Label
    vins: tuple[int, ...]
    investor: Key


@dataclass(frozen=True, slots=True)
class Mine:
    """A block with everything that does not wait, at this time."""

    time: int


@dataclass(frozen=True, slots=True)
class Reorganise:
    """The last `depth` blocks give way to one more.

    Transactions keep their block but those in `late`, which move to the last one, those in `early`,
    which come first of all, and those in `lose`, which are never mined: a payment because its coin
    is spent otherwise, a spend because nobody sends it again. `emptied`: the branch holds nothing,
    everything waits again.
    """

    depth: int
    emptied: bool = False
    lose: tuple[Label, ...] = ()
    late: tuple[Label, ...] = ()
    early: tuple[Label, ...] = ()


Step = Publish | Pay | Leave | FreePenalty | Mine | Reorganise | ShopStep
