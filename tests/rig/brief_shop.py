"""A brief story of one shop, for tests in which its webhooks are lost."""

from typing import Final

from tests.rig.brief_story import BRIEF_TURNS

from raised_simnet.btcpay.invoice import Status
from raised_simnet.btcpay.order import Order
from raised_simnet.btcpay.shop_script import DAY, ShopScript, sats_of
from raised_simnet.story.storyboard import Story, Storyboard

BRIEF_SHOP: Final = "stall"


def brief_shop_story(seed: int, start_at: int) -> Story:
    """Invoices paid in time, in part, late or never; refunds, marks, replaced payments, edits."""
    storyboard = Storyboard(seed, start_at, BRIEF_TURNS)
    script = ShopScript(storyboard, BRIEF_SHOP)
    for turn in range(2, BRIEF_TURNS - 3, 2):
        script.pay(turn, (script.order(turn, f"plain-{turn}", Order("50.00")),), sats_of("50.00"))
        quick = script.order(turn + 1, f"quick-{turn}", Order("21000", "SATS"))
        script.lightning(turn + 1, quick, 21_000_000 + turn)
    _unusual_payments(script)
    _changes_without_webhook(script)
    _refunds(script)
    return storyboard.finish()


def _unusual_payments(script: ShopScript) -> None:
    part = script.order(3, "part", Order("30.00"))
    script.pay(3, (part,), sats_of("12.70"))
    late = script.order(4, "late", Order("0.002", "BTC"))
    script.pay(6, (late,), 200_000)
    script.order(5, "never", Order("15.00"))
    cash = script.order(5, "cash", Order("500.00"))
    script.mark(6, cash, Status.SETTLED)
    disowned = script.order(6, "disowned", Order("0.005", "BTC"))
    script.pay(7, (disowned,), 500_000)
    script.mark(9, disowned, Status.INVALID)


def _changes_without_webhook(script: ShopScript) -> None:
    """What no webhook announces: payments that are replaced, and edited metadata."""
    patient = Order("0.003", "BTC", expires_after=9 * DAY)
    again = script.pay(2, (script.order(2, "again", patient),), 300_000, wait=4)
    script.replace(4, again, pays_again=True)
    gone = script.pay(2, (script.order(2, "gone", patient),), 300_000, wait=4)
    script.replace(4, gone, pays_again=False)
    moved = script.order(3, "moved", patient)
    script.tidy(4, moved, {"orderId": "elsewhere"})
    script.pay(5, (moved,), 300_000)


def _refunds(script: ShopScript) -> None:
    over = script.order(4, "over", Order("20.00"))
    script.pay(4, (over,), sats_of("32.05"))
    back = sats_of("12.05")
    script.pay_out(8, script.offer(7, over, back), back)
    # By the default name: only an event, which may be lost, links a refund of another name.
    quick = script.order(5, "taken back", Order("0.001", "BTC"))
    script.lightning(5, quick, 100_000_000)
    script.pay_out(9, script.offer(8, quick, 90_000), 90_000)
