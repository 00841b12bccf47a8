"""How clients divide an investment into stages, sat by sat.

The clients compute with the .NET decimal type, whose rounding neither exact fractions nor Python's
decimal module reproduce; it is emulated with integers here. Source: docs/angor.md 7.3, 7.4.
"""

from collections.abc import Iterator, Sequence
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

from raised.errors import InvalidInput

_MANTISSA_LIMIT: Final = 1 << 96
_MAX_SCALE: Final = 28
_MAX_DIGITS: Final = 29  # of a mantissa
_WIDE: Final = Context(prec=2 * _MAX_DIGITS, rounding=ROUND_HALF_EVEN, Emin=MIN_EMIN, Emax=MAX_EMAX)
# Ours: a hostile project must not make us try millions of sums.
_MAX_TRIES: Final = 1_000

AMOUNT_SPLIT: Final = "amount_split"
FEE_AMOUNT: Final = "fee_amount"
SPEND_ALL: Final = "spend_all"

_Number = tuple[int, int]  # mantissa and scale of a .NET decimal


def fee(gross_sats: int) -> int:
    """The fee of one percent that goes to the project's address."""
    return gross_sats // 100


def split(net_sats: int, percents: Sequence[Decimal]) -> tuple[int, ...]:
    """The stages of a net amount (after the fee), the last one taking what is left."""
    stages = [_share(net_sats, percent) for percent in percents[:-1]]
    return (*stages, net_sats - sum(stages)) if percents else ()


def split_legacy(gross_sats: int, percents: Sequence[Decimal]) -> tuple[int, ...]:
    """The stages of a gross amount before 2025-07-09: the fee on top, each stage rounded alone."""
    return tuple(_share(gross_sats, percent) for percent in percents)


def equal_percents(count: int) -> tuple[Decimal, ...]:
    """The percentages of dynamic stages: a hundred divided by their number, as .NET rounds it."""
    if count < 1:
        return ()
    mantissa, scale = _fit(100, count)
    # Made of its digits: arithmetic would round to the precision of the context.
    digits = tuple(map(int, str(mantissa)))
    return (Decimal((0, digits, -scale)),) * count


def net_decimal(value: Decimal) -> Decimal:
    """The number as .NET's decimal type reads it: longer ones are rounded half to even.

    Raises InvalidInput for negative numbers, and for those that it cannot hold.
    """
    try:
        _number(value)
    except InvalidInput:
        return _rounded(value)
    return value


def _rounded(value: Decimal) -> Decimal:
    if not value.is_finite() or value < 0:
        raise InvalidInput("a number that is none, or below zero")
    for scale in range(_MAX_SCALE, -1, -1):
        try:
            # One rounding from all digits: arithmetic would first round to the context's precision.
            rounded = value.copy_abs().quantize(Decimal((0, (1,), -scale)), context=_WIDE)
        except InvalidOperation:  # more digits than a mantissa has
            continue
        if _mantissa(rounded) < _MANTISSA_LIMIT:
            return rounded
    raise InvalidInput("a number too large for amounts")


def _mantissa(value: Decimal) -> int:
    return int("".join(map(str, value.as_tuple().digits)))


def amount_flags(
    fee_sats: int, stages: Sequence[int], percents: Sequence[Decimal]
) -> tuple[str, ...]:
    """What is odd about the amounts of an investment, by both rules that clients have had.

    `spend_all` explains what would else be `amount_split` and `fee_amount`: everything is right for
    some gross amount, but the last stage paid the miner.
    """
    total = sum(stages)
    split_fits = tuple(stages) == split(total, percents)
    fee_fits = fee_sats == fee(total + fee_sats)
    if not (split_fits and fee_fits):
        grosses = tuple(_legacy_grosses(stages, percents))
        split_fits = split_fits or bool(grosses)
        fee_fits = fee_fits or fee_sats in map(fee, (total, *grosses))
    if split_fits and fee_fits:
        return ()
    if _only_last_short(fee_sats, stages, percents):
        return (SPEND_ALL,)
    flags = ((AMOUNT_SPLIT, split_fits), (FEE_AMOUNT, fee_fits))
    return tuple(flag for flag, fits in flags if not fits)


def _legacy_grosses(stages: Sequence[int], percents: Sequence[Decimal]) -> Iterator[int]:
    """The gross amounts whose legacy split is these stages: a few neighbours, or none."""
    largest = max(percents, default=Decimal(0))
    if len(stages) != len(percents) or largest <= 0:
        return
    mantissa, scale = _number(largest)
    unit = 100 * 10**scale
    value = stages[list(percents).index(largest)]
    first = max((2 * value - 1) * unit // (2 * mantissa) - 1, 0)
    last = (2 * value + 1) * unit // (2 * mantissa) + 1
    if last - first > _MAX_TRIES:
        return
    distinct = set(zip(stages, percents, strict=True))
    for gross in range(first, last + 1):
        if all(_share(gross, percent) == stage for stage, percent in distinct):
            yield gross


def _only_last_short(fee_sats: int, stages: Sequence[int], percents: Sequence[Decimal]) -> bool:
    """Whether some gross amount with this fee gives these stages, but for a larger last one."""
    if len(stages) != len(percents) or not stages:
        return False
    for gross in range(fee_sats * 100, fee_sats * 100 + 100):
        net = gross - fee_sats
        if sum(stages) >= net:
            continue
        leading = zip(stages[:-1], percents[:-1], strict=True)
        if all(_share(net, percent) == stage for stage, percent in leading):
            return True
    return False


@lru_cache(maxsize=4_096)
def _share(amount: int, percent: Decimal) -> int:
    """The amount times (percent / 100), as .NET computes and converts it to a whole number."""
    factor, factor_scale = _factor(percent)
    product, scale = _fit(amount * factor, 10**factor_scale)
    return _round_half_even(product, 10**scale)


@lru_cache(maxsize=1_024)
def _factor(percent: Decimal) -> _Number:
    mantissa, scale = _number(percent)
    return _fit(mantissa, 100 * 10**scale)


def _number(value: Decimal) -> _Number:
    """The number as a .NET decimal. Raises InvalidInput when it is negative or does not fit."""
    sign, digits, exponent = value.as_tuple()
    if sign or not isinstance(exponent, int) or len(digits) > 2 * _MAX_SCALE:
        raise InvalidInput("not a number that amounts are computed with")
    if not -2 * _MAX_SCALE <= exponent <= _MAX_SCALE:
        raise InvalidInput("a number out of range")
    mantissa = _mantissa(value)
    return _fit(mantissa * 10 ** max(exponent, 0), 10 ** max(-exponent, 0))


def _fit(numerator: int, denominator: int) -> _Number:
    """The fraction, rounded half to even at the largest scale whose mantissa fits in 96 bits."""
    digits = len(str(numerator // denominator))
    for scale in range(min(_MAX_SCALE, _MAX_DIGITS - digits), -1, -1):
        mantissa = _round_half_even(numerator * 10**scale, denominator)
        if mantissa < _MANTISSA_LIMIT:
            return mantissa, scale
    raise InvalidInput("a number too large for amounts")


def _round_half_even(numerator: int, denominator: int) -> int:
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    return quotient + (twice > denominator or (twice == denominator and quotient % 2 == 1))
