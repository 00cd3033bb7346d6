"""Amounts as Stripe writes them, and as everything else here does: minor units by ISO 4217.

Two decimals, but none for the zero-decimal currencies, three for the three-decimal ones, and two for ISK and UGX though
ISO 4217 gives them none: https://docs.stripe.com/currencies#zero-decimal, #three-decimal, #special-cases. (UGX is in
the first list as well; the special case says how it is sent.)
"""

from __future__ import annotations

from shared.core.money import exponent

_NONE = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
_THREE = frozenset("BHD JOD KWD OMR TND".split())


class NotInOurUnits(ValueError):
    """An amount that is no whole number of the other side's units."""


def to_stripe(amount: int, currency: str) -> int:
    """Raises NotInOurUnits for a part of Stripe's unit (MGA), ValueError for no ISO 4217 currency."""
    return _converted(amount, exponent(currency), _decimals(currency), currency)


def from_stripe(amount: int, currency: str) -> int:
    """`currency` in any case. Raises NotInOurUnits for a part of our unit (ISK of before 2023), ValueError for no ISO
    4217 currency."""
    code = currency.upper()
    return _converted(amount, _decimals(code), exponent(code), code)


def _decimals(currency: str) -> int:
    return 0 if currency in _NONE else 3 if currency in _THREE else 2


def _converted(amount: int, decimals: int, others: int, currency: str) -> int:
    if type(amount) is not int:
        raise TypeError("an amount is a whole number")
    scale: dict[int, int] = {0: 1, 2: 100, 3: 1000}
    whole, rest = divmod(amount * scale[others], scale[decimals])
    if rest:
        raise NotInOurUnits(f"{amount} {currency} is no whole number of units")
    return whole
