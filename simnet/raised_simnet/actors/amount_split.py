"""How an investor's client divides an amount. Source: docs/angor.md 7.3, 7.4.

The clients compute with .NET's decimal: at most 96 bits of mantissa and 28 decimal places, every
result rounded half to even. Here that is done with integers only.
"""

from collections.abc import Sequence
from decimal import Decimal

_MANTISSA_LIMIT = 2**96
_PLACES = 28


def fee_of(gross: int) -> int:
    """The Angor fee: one percent, cut."""
    return gross // 100


def split_net(net: int, percents: Sequence[Decimal]) -> tuple[int, ...]:
    """The rule since 2025-07-09: each stage its share, the last one what is left."""
    shares = [_share(net, percent) for percent in percents[:-1]]
    return (*shares, net - sum(shares))


def split_gross(gross: int, percents: Sequence[Decimal]) -> tuple[int, ...]:
    """The rule before: every stage its share of the gross amount, the fee comes on top."""
    return tuple(_share(gross, percent) for percent in percents)


def equal_percents(stages: int) -> tuple[Decimal, ...]:
    """100/n as the clients' decimal has it, n times."""
    mantissa, places = _fit(100, stages)
    return (Decimal(mantissa).scaleb(-places),) * stages


def _share(amount: int, percent: Decimal) -> int:
    mantissa, places = _parts(percent)
    factor, factor_places = _fit(mantissa, 10 ** (places + 2))
    product, product_places = _fit(amount * factor, 10**factor_places)
    return _half_even(product, 10**product_places)


def _parts(value: Decimal) -> tuple[int, int]:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int), "a percentage is a finite number"
    assert sign == 0, "a percentage is not negative"
    mantissa = int("".join(map(str, digits)))
    return (mantissa, -exponent) if exponent <= 0 else (mantissa * 10**exponent, 0)


def _fit(numerator: int, denominator: int) -> tuple[int, int]:
    for places in range(_PLACES, -1, -1):
        mantissa = _half_even(numerator * 10**places, denominator)
        if mantissa < _MANTISSA_LIMIT:
            return mantissa, places
    raise ValueError("too large for a decimal")


def _half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2))
