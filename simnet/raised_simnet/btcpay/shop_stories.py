"""What happens in the shops of the full story: every way to pay, and to be paid back."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from raised_simnet.btcpay.invoice import LIGHTNING, ON_CHAIN, Speed, Status
from raised_simnet.btcpay.order import Order
from raised_simnet.btcpay.shop import Collection
from raised_simnet.btcpay.shop_script import DAY, ShopScript, sats_of
from raised_simnet.btcpay.shop_steps import Label
from raised_simnet.btcpay.store import Policy
from raised_simnet.story.project_script import Intent, ProjectScript
from raised_simnet.story.steps import FOR_EVER
from raised_simnet.story.storyboard import Storyboard

STUDIO: Final = "studio"
KIOSK: Final = "kiosk"
_PREFIX: Final = "ICE-"
_GUESTS: Final = 12
_PATIENT: Final = 30 * DAY


@dataclass(frozen=True, slots=True)
class ShopCast:
    """Both shops. `robbed`: a payment that the great reorganisation takes back."""

    studio: ShopScript
    kiosk: ShopScript
    robbed: Label


def shop_stories(script: Storyboard, port: ProjectScript) -> ShopCast:
    """Two shops; what the first one sells for the harbour belongs to the harbour's campaign."""
    studio = ShopScript(script, STUDIO)
    kiosk = ShopScript(script, KIOSK, Policy(network_fee=Decimal("0.000002")))
    rule = {STUDIO: _PREFIX}
    script.collections.append(Collection("sea-ice", "Sea ice", (port.plan.identifier,), rule))
    _ordinary(studio)
    _impatient(studio)
    _fickle(studio)
    _by_hand(studio)
    _giving(studio)
    _money_back(studio)
    _crossed(studio, port)
    _shared(studio, kiosk)
    _strange(kiosk)
    for number in range(_GUESTS):
        _guest(script, script.random.choice((studio, kiosk)), number)
    return ShopCast(studio, kiosk, _upset(studio))


def _ordinary(studio: ShopScript) -> None:
    """In full and in time: on the chain, by Lightning, by both, and more than enough."""
    plain = studio.order(6, "ICE-1", Order("50.00"))
    studio.pay(6, (plain,), sats_of("50.00"))
    quick = studio.order(7, "ICE-2", Order("21000", "SATS"))
    studio.lightning(7, quick, 21_000_000)
    both = studio.order(8, "ICE-3", Order("10.00"))
    studio.pay(8, (both,), sats_of("5.00"))
    studio.lightning(8, both, 5_000_000)
    studio.lightning(8, both, sats_of("10.00") * 1000 - sats_of("5.00") * 1000 - 4_999_877)
    patient = Order("0.0021", "BTC", speed=Speed.LOW, monitored_for=_PATIENT)
    studio.pay(10, (studio.order(10, "ICE-4", patient),), 210_000)
    studio.order(12, "free", Order("0"))


def _impatient(studio: ShopScript) -> None:
    """In part, late, in part and late, never, and not confirmed in time."""
    part = studio.order(8, "ICE-5", Order("30.00"))
    studio.pay(8, (part,), sats_of("12.70"))
    late = studio.order(9, "ICE-6", Order("0.002", "BTC"))
    studio.pay(11, (late,), 200_000)
    slowly = studio.order(9, "7", Order("40.00"))
    studio.pay(9, (slowly,), sats_of("15.00"))
    studio.pay(13, (slowly,), sats_of("25.01"))
    studio.order(14, "8", Order("15.00"))
    stuck = studio.order(15, "9", Order("80.00", monitored_for=60))
    studio.pay(15, (stuck,), sats_of("80.00"), wait=3)


def _fickle(studio: ShopScript) -> None:
    """Payments that are replaced: by another to the same invoice, and by none."""
    again = studio.order(16, "10", Order("0.003", "BTC", expires_after=9 * DAY))
    first = studio.pay(16, (again,), 300_000, wait=5)
    studio.replace(18, first, pays_again=True)
    never = studio.order(17, "11", Order("0.004", "BTC", expires_after=9 * DAY))
    gone = studio.pay(17, (never,), 400_000, wait=5)
    studio.replace(19, gone, pays_again=False)


def _by_hand(studio: ShopScript) -> None:
    """Paid in cash; disowned; disowned and taken back; put aside while it is open."""
    cash = studio.order(20, "cash-1", Order("500.00"))
    studio.mark(20, cash, Status.SETTLED)
    disowned = studio.order(20, "ICE-12", Order("0.005", "BTC"))
    studio.pay(21, (disowned,), 500_000)
    studio.mark(24, disowned, Status.INVALID)
    forgiven = studio.order(21, "ICE-13", Order("60.00"))
    studio.pay(21, (forgiven,), sats_of("20.00"))
    studio.mark(23, forgiven, Status.INVALID)
    studio.mark(25, forgiven, Status.SETTLED)
    nothing = studio.order(22, "14", Order("9.00"))
    studio.mark(24, nothing, Status.INVALID)
    moved = studio.order(23, "15", Order("0.0007", "BTC", expires_after=9 * DAY))
    studio.tidy(24, moved, {"orderId": "ICE-15", "buyerEmail": "a@example.org"})
    studio.pay(25, (moved,), 70_000)


def _giving(studio: ShopScript) -> None:
    """Top-ups: in time, twice, late and never."""
    gift = Order("0", "BTC", top_up=True)
    once = studio.order(26, "ICE-gift-1", gift)
    studio.pay(26, (once,), 123_456)
    twice = studio.order(27, "ICE-gift-2", gift)
    studio.pay(27, (twice,), 50_000, wait=2)
    studio.pay(27, (twice,), 25_000)
    tardy = studio.order(28, "gift-3", gift)
    studio.pay(30, (tardy,), 42_000)
    studio.order(28, "gift-4", gift)


def _money_back(studio: ShopScript) -> None:
    """Refunds by their usual name and by another, wages, a claim refused, one not confirmed."""
    over = studio.order(31, "ICE-16", Order("20.00"))
    studio.pay(31, (over,), sats_of("32.05"))
    back = sats_of("12.05")
    studio.pay_out(34, studio.offer(33, over, back), back)
    named = studio.order(31, "17", Order("0.001", "BTC"))
    studio.lightning(31, named, 100_000_000)
    studio.pay_out(35, studio.offer(34, named, 90_000, "Sorry, sold out"), 90_000)
    studio.pay_out(36, studio.offer(35, None, 77_000), 77_000)
    studio.refuse(37, studio.offer(36, named, 5_000))
    end = studio.script.turns - 1
    studio.pay_out(end, studio.offer(end - 1, named, 4_000), 4_000)


def _crossed(studio: ShopScript, port: ProjectScript) -> None:
    """Invoices whose address is a stage of an investment: the coin is locked, not taken."""
    for turn, who in ((32, "olga"), (97, "omar")):  # a reorganisation meets the second
        intent = Intent(studio.script.random.randrange(3_000_000, 6_000_000))
        stage = port.invests(who, intent).placement.stages[0]
        price = f"{Decimal(stage.value).scaleb(-8):f}"
        studio.order(
            turn, f"ICE-{who}", Order(price, "BTC", script=stage.stage_scripts.script_pubkey)
        )
        port.invest(turn, who, intent)


def _shared(studio: ShopScript, kiosk: ShopScript) -> None:
    """Shops that share a wallet see the same coin: it is one payment."""
    for turn in (38, 57):
        mine = studio.order(turn, f"ICE-both-{turn}", Order("0.006", "BTC"))
        shared = Order("0.006", "BTC", script=studio.address(mine))
        theirs = kiosk.order(turn, f"both-{turn}", shared)
        studio.pay(turn, (mine, theirs), 600_000)


def _strange(kiosk: ShopScript) -> None:
    """Another coin, alone and beside bitcoin; a fee on top; almost enough."""
    coins = Order("50.00", methods=(ON_CHAIN, "LTC-CHAIN"), rates={"LTC-CHAIN": "100"})
    kiosk.other_coin(40, kiosk.order(40, "ltc-1", coins), "LTC-CHAIN", "0.5")
    mixed = kiosk.order(41, "ltc-2", coins)
    kiosk.other_coin(41, mixed, "LTC-CHAIN", "0.12345678")
    kiosk.pay(41, (mixed,), sats_of("40.00"))
    surcharge = kiosk.order(42, "fee", Order("0.001", "BTC"))
    kiosk.pay(42, (surcharge,), 40_000)
    kiosk.pay(42, (surcharge,), 60_200)
    nearly = kiosk.order(43, "nearly", replace(coins, methods=(ON_CHAIN, LIGHTNING), tolerance="5"))
    kiosk.pay(43, (nearly,), sats_of("48.00"))


def _upset(studio: ShopScript) -> Label:
    """What the reorganisations meet: a part that is lost for good, a slow one, the newest."""
    part = studio.order(58, "ICE-18", Order("0.008", "BTC", expires_after=9 * DAY))
    robbed = studio.pay(58, (part,), 300_000)
    studio.pay(59, (part,), 200_000)
    patient = Order("0.009", "BTC", speed=Speed.LOW, monitored_for=_PATIENT)
    studio.pay(57, (studio.order(57, "ICE-19", patient),), 900_000)
    studio.pay(98, (studio.order(98, "20", patient),), 900_000)
    end = studio.script.turns - 1
    studio.pay(end - 2, (studio.order(end - 2, "ICE-21", patient),), 910_000)
    studio.pay(end, (studio.order(end, "ICE-22", Order("0.0011", "BTC")),), 110_000)
    waiting = studio.order(end - 1, "23", replace(patient, price="0.0012"))
    studio.pay(end - 1, (waiting,), 120_000, wait=FOR_EVER)
    studio.order(end, "24", Order("33.00"))
    return robbed


def _guest(script: Storyboard, shop_script: ShopScript, number: int) -> None:
    """A buyer who is like any other: how much, when and how is left to chance."""
    dice = script.random
    turn = dice.randrange(5, script.turns - 8)
    dollars = f"{dice.randrange(500, 20_000) / 100:.2f}"
    beginning = dice.choice((_PREFIX, "")) if shop_script.shop == STUDIO else ""
    label = shop_script.order(turn, f"{beginning}guest-{number}", Order(dollars))
    match dice.randrange(4):
        case 0:
            shop_script.lightning(turn, label, sats_of(dollars) * 1000 + dice.randrange(1000))
        case 1:
            shop_script.pay(turn, (label,), sats_of(dollars) * dice.randrange(20, 95) // 100)
        case 2:
            shop_script.pay(turn + dice.randrange(2, 6), (label,), sats_of(dollars))
        case _:
            shop_script.pay(turn, (label,), sats_of(dollars))
