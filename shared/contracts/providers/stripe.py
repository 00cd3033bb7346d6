"""What Stripe can charge.

Minimum amounts, steps: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts and #special-cases,
#three-decimal. The minimum is that of an account which settles in the currency; another account may have a higher one,
which only Stripe knows. Maximum amounts: eight digits in Stripe's unit (https://docs.stripe.com/api/payment_intents/create,
`amount`), and the exceptions of the first page for IDR, COP and INR. Some cards allow more; no method allows less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shared.contracts.providers.limits import ChargeLimits
from shared.core.money import CURRENCIES, exponent, parse_decimal

_SUPPORTED = frozenset(
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP CNY COP "
    "CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK JMD "
    "JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN "
    "NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD "
    "SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR ZMW".split()
)
_MINIMUM = {
    **dict.fromkeys("USD ARS AUD BRL CAD CHF COP EUR IDR ILS INR NZD PHP RUB SGD ZAR".split(), "0.50"),
    **dict.fromkeys("AED MYR PLN RON".split(), "2.00"),
    **dict.fromkeys("NOK SEK".split(), "3.00"),
    **{"CZK": "15.00", "DKK": "2.50", "GBP": "0.30", "HKD": "4.00", "HUF": "175.00"},
    **{"JPY": "50", "KRW": "50", "MXN": "10", "THB": "10"},
}
"""In major units, as the page has it."""
_MAXIMUM = {"IDR": "9999999999.99", "COP": "99999999.99", "INR": "9999999.99"}
_WHOLE_UNITS_AS_HUNDREDTHS = frozenset({"ISK", "UGX"})
_WHOLE_UNITS = frozenset({"MGA"})
"""Of ISO 4217's two decimals Stripe knows none."""
_LAST_DIGIT_ZERO = frozenset("BHD JOD KWD OMR TND".split())


def _most(currency: str) -> str:
    if currency in _MAXIMUM:
        return _MAXIMUM[currency]
    if currency in _LAST_DIGIT_ZERO:
        return "99999.990"
    if currency in _WHOLE_UNITS or (exponent(currency) == 0 and currency not in _WHOLE_UNITS_AS_HUNDREDTHS):
        return "99999999"
    return "999999" if currency in _WHOLE_UNITS_AS_HUNDREDTHS else "999999.99"


def _charges() -> Iterator[tuple[str, ChargeLimits]]:
    for currency in sorted(_SUPPORTED & CURRENCIES):
        step = 100 if currency in _WHOLE_UNITS else 10 if currency in _LAST_DIGIT_ZERO else 1
        least = parse_decimal(_MINIMUM[currency], currency) if currency in _MINIMUM else step
        yield currency, ChargeLimits(least, parse_decimal(_most(currency), currency), step)


CHARGES: Mapping[str, ChargeLimits] = dict(_charges())
