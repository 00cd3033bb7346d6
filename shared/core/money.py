"""Money: an integer number of minor units and an ISO 4217 currency. Never a float.

Shared because all services add, split and display amounts, and must agree to the last minor unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

MAX_AMOUNT = 2**63 - 1
"""The largest amount in minor units: what a PostgreSQL bigint holds."""

# ISO 4217, list one (active currencies). Two decimals unless named here.
_NO_DECIMALS = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split())
_THREE_DECIMALS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
_TWO_DECIMALS = frozenset(
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP "
    "CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES "
    "KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK "
    "NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB "
    "TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST YER ZAR ZMW ZWG".split()
)
CURRENCIES = _NO_DECIMALS | _TWO_DECIMALS | _THREE_DECIMALS


def exponent(currency: str) -> int:
    """How many decimals the currency has: 0 (JPY), 2 (USD) or 3 (KWD). Raises ValueError for no ISO 4217 currency."""
    if currency in _TWO_DECIMALS:
        return 2
    if currency in _NO_DECIMALS:
        return 0
    if currency in _THREE_DECIMALS:
        return 3
    raise ValueError(f"{currency!r} is not an active ISO 4217 currency")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units (cents, yen, fils) of one currency. May be negative: a ledger needs both signs."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if isinstance(self.amount, bool) or not isinstance(self.amount, int):
            raise TypeError(f"an amount is a whole number of minor units, not {self.amount!r}")
        if abs(self.amount) > MAX_AMOUNT:
            raise ValueError(f"{self.amount} is beyond the largest amount, {MAX_AMOUNT}")
        exponent(self.currency)

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __mul__(self, quantity: int) -> Money:
        return Money(self.amount * quantity, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other)

    def decimal(self) -> str:
        """The amount in major units as an exact decimal string: `12.30`, `1230`, `1.230`."""
        return decimal_string(self.amount, self.currency)

    def __str__(self) -> str:
        return f"{self.decimal()} {self.currency}"

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be mixed")
        return other.amount


def decimal_string(amount: int, currency: str) -> str:
    """`1230, "USD"` as `12.30`; `1230, "JPY"` as `1230`; `1230, "KWD"` as `1.230`."""
    return format(Decimal(amount).scaleb(-exponent(currency)), "f")


def parse_decimal(text: str, currency: str) -> int:
    """Minor units of a decimal string. Raises ValueError if it has more decimals than the currency."""
    minor = Decimal(text).scaleb(exponent(currency))
    if not minor.is_finite() or minor != minor.to_integral_value():
        raise ValueError(f"{text!r} is not a whole number of minor units of {currency}")
    return int(minor)


def allocate(amount: int, weights: Sequence[int], step: int = 1) -> list[int]:
    """Split `amount` minor units in proportion to `weights`, so that the parts sum exactly to the whole.

    Largest remainder method: no part is `step` or more from its exact share, equal remainders go to the earlier part.
    Every part is a multiple of `step` if the amount is; an odd rest goes to the largest part. With all weights zero the
    split is even. Raises ValueError for no weights or a negative one.
    """
    if amount == sum(weights) and step == 1 and weights and min(weights) >= 0 and amount:
        return list(weights)
    if step > 1:
        parts = [part * step for part in allocate(abs(amount) // step, weights)]
        parts[parts.index(max(parts))] += abs(amount) % step
        return parts if amount >= 0 else [-part for part in parts]
    if not weights or min(weights) < 0:
        raise ValueError("allocation needs at least one weight, none of them negative")
    shares = list(weights) if any(weights) else [1] * len(weights)
    total = sum(shares)
    sign = -1 if amount < 0 else 1
    parts = [abs(amount) * share // total for share in shares]
    remainders = [abs(amount) * share % total for share in shares]
    missing = abs(amount) - sum(parts)
    for index in sorted(range(len(shares)), key=lambda i: (-remainders[i], i))[:missing]:
        parts[index] += 1
    return [sign * part for part in parts]
