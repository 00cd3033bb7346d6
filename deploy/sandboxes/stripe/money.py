"""Stripe's rules about amounts: which currencies, how small, how large, how a message writes them.

Sources: https://docs.stripe.com/currencies (minimum amounts, zero- and three-decimal currencies, special cases, maximum
amounts), https://docs.stripe.com/api/payment_intents/create (eight digits), and the error of fractional ISK:
https://support.stripe.com/questions/deprecation-of-fractional-isk-charges-and-refunds.
"""

from __future__ import annotations

from deploy.sandboxes.stripe.errors import invalid
from deploy.sandboxes.stripe.form import Form

ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
_TWO_DECIMAL = frozenset(
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop crc "
    "cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk jmd kes kgs khr "
    "kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk "
    "php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah ugx uyu "
    "uzs wst xcd yer zar zmw".split()
)
CURRENCIES = ZERO_DECIMAL | THREE_DECIMAL | _TWO_DECIMAL
MINIMUM = {
    **dict.fromkeys(["usd", "ars", "aud", "brl", "cad", "chf", "cop", "eur", "idr", "ils", "inr"], 50),
    **dict.fromkeys(["nzd", "php", "rub", "sgd", "zar"], 50),
    **{"aed": 200, "czk": 1500, "dkk": 250, "gbp": 30, "hkd": 400, "huf": 17500, "jpy": 50, "krw": 50, "mxn": 1000},
    **{"myr": 200, "nok": 300, "pln": 200, "ron": 200, "sek": 300, "thb": 1000},
}
MAXIMUM = {"idr": 999_999_999_999, "cop": 9_999_999_999, "inr": 999_999_999}
EIGHT_DIGITS = 99_999_999
NO_FRACTIONS = frozenset({"isk", "ugx"})
"""Written with two decimals, which are always 00."""


def text(amount: int, currency: str) -> str:
    """`$10.50`, `¥500`, `1.250 kwd`: as Stripe's messages write it."""
    decimals = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    whole, part = divmod(amount, 10**decimals)
    number = f"{whole:,}" + (f".{part:0{decimals}d}" if decimals else "")
    symbol = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}.get(currency)
    return f"{symbol}{number}" if symbol else f"{number} {currency}"


def read_currency(form: Form) -> str:
    currency = form.required("currency").lower()
    if currency not in CURRENCIES:
        supported = ", ".join(sorted(CURRENCIES))
        raise invalid(
            f"Invalid currency: {currency}. Stripe currently supports these currencies: {supported}", "currency"
        )
    return currency


def read_amount(form: Form, currency: str) -> int:
    amount = form.integer("amount", least=1)
    if amount is None:
        raise invalid("Missing required param: amount.", "amount", "parameter_missing")
    check(amount, currency)
    return amount


def check(amount: int, currency: str) -> None:
    least, most = MINIMUM.get(currency, 1), MAXIMUM.get(currency, EIGHT_DIGITS)
    if amount < least:
        raise invalid(f"Amount must be at least {text(least, currency)} {currency}", "amount", "amount_too_small")
    if amount > most:
        raise invalid(f"Amount must be no more than {text(most, currency)}", "amount", "amount_too_large")
    check_step(amount, currency)


def check_step(amount: int, currency: str) -> None:
    """Of charges and refunds."""
    if currency in NO_FRACTIONS and amount % 100:
        message = (
            f"Invalid amount. Currency {currency.upper()} has become effectively zero-decimal and charged amounts must "
            "be evenly divisible by 100. See https://stripe.com/docs/currencies#special-cases for more information."
        )
        raise invalid(message, "amount", "invalid_charge_amount_no_decimal_compatible")
    if currency in THREE_DECIMAL and amount % 10:
        raise invalid("Amounts in three-decimal currencies must be evenly divisible by 10.", "amount")


def fee(amount: int, currency: str) -> int:
    """Stripe's standard price, 2.9 % + 30, so that `net` is not mistaken for `amount`."""
    return min(amount, amount * 29 // 1000 + (0 if currency in ZERO_DECIMAL else 30))
