"""A brief story of one shop, for tests of what can happen to its webhooks."""

from typing import Final

from tests.rig.brief_story import BRIEF_TURNS

from raised_simnet.btcpay.invoice import Status
from raised_simnet.btcpay.order import Order
from raised_simnet.btcpay.shop_script import DAY, ShopScript, sats_of
from raised_simnet.story.storyboard import Story, Storyboard

BRIEF_SHOP: Final = "stall"


def brief_shop_story(seed: int, start_at: int) -> Story:
    """Buyers who pay in time, in part, late or never; what is refunded, marked, replaced, moved."""
    storyboard = Storyboard(seed, start_at, BRIEF_TURNS)
    clerk = ShopScript(storyboard, BRIEF_SHOP)
    for turn in range(2, BRIEF_TURNS - 3, 2):
        clerk.pay(turn, (clerk.order(turn, f"plain-{turn}", Order("50.00")),), sats_of("50.00"))
        quick = clerk.order(turn + 1, f"quick-{turn}", Order("21000", "SATS"))
        clerk.lightning(turn + 1, quick, 21_000_000 + turn)
    _odd_ones(clerk)
    _silent_ones(clerk)
    _money_back(clerk)
    return storyboard.finish()


def _odd_ones(clerk: ShopScript) -> None:
    part = clerk.order(3, "part", Order("30.00"))
    clerk.pay(3, (part,), sats_of("12.70"))
    late = clerk.order(4, "late", Order("0.002", "BTC"))
    clerk.pay(6, (late,), 200_000)
    clerk.order(5, "never", Order("15.00"))
    cash = clerk.order(5, "cash", Order("500.00"))
    clerk.mark(6, cash, Status.SETTLED)
    disowned = clerk.order(6, "disowned", Order("0.005", "BTC"))
    clerk.pay(7, (disowned,), 500_000)
    clerk.mark(9, disowned, Status.INVALID)


def _silent_ones(clerk: ShopScript) -> None:
    """What no webhook tells of: payments that are replaced, and what the keeper edits."""
    patient = Order("0.003", "BTC", expires_after=9 * DAY)
    again = clerk.pay(2, (clerk.order(2, "again", patient),), 300_000, wait=4)
    clerk.replace(4, again, pays_again=True)
    gone = clerk.pay(2, (clerk.order(2, "gone", patient),), 300_000, wait=4)
    clerk.replace(4, gone, pays_again=False)
    moved = clerk.order(3, "moved", patient)
    clerk.tidy(4, moved, {"orderId": "elsewhere"})
    clerk.pay(5, (moved,), 300_000)


def _money_back(clerk: ShopScript) -> None:
    over = clerk.order(4, "over", Order("20.00"))
    clerk.pay(4, (over,), sats_of("32.05"))
    back = sats_of("12.05")
    clerk.pay_out(8, clerk.offer(7, over, back), back)
    # By their usual name: what another name stands for, only an event says that may be lost.
    quick = clerk.order(5, "taken back", Order("0.001", "BTC"))
    clerk.lightning(5, quick, 100_000_000)
    clerk.pay_out(9, clerk.offer(8, quick, 90_000), 90_000)
