"""Stripe's units and limits (https://docs.stripe.com/currencies), against the sandbox's own reading of the page."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from deploy.sandboxes.stripe import money as sandbox
from deploy.sandboxes.stripe.errors import StripeError
from services.payments.gateways.stripe.currencies import NotInOurUnits, from_stripe, to_stripe
from services.payments.gateways.stripe.objects import is_of_another
from services.payments.gateways.stripe.records import _movement
from shared.contracts.providers import CHARGES, step_of
from shared.core.money import CURRENCIES, Money, decimal_string, exponent

STRIPE = CHARGES["stripe"]
ZERO_DECIMAL = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()
CURRENCY = some.sampled_from(sorted(STRIPE))


@some.composite
def charges(draw: some.DrawFn) -> Money:
    """What can be charged, with a preference for the limits."""
    currency = draw(CURRENCY)
    limits = STRIPE[currency]
    least, most = -(-limits.least // limits.step), limits.most // limits.step
    return Money(limits.step * draw(some.integers(least, most)), currency)


def accepted(amount: int, currency: str) -> bool:
    try:
        sandbox.check(amount, currency.lower())
    except StripeError:
        return False
    return True


def in_major_units(amount: int, currency: str) -> Decimal:
    """As the sandbox reads an amount that it was sent."""
    code = currency.lower()
    decimals = 0 if code in sandbox.ZERO_DECIMAL else 3 if code in sandbox.THREE_DECIMAL else 2
    return Decimal(amount).scaleb(-decimals)


@given(charge=charges())
def test_stripe_takes_what_was_meant_and_says_it_back(charge: Money) -> None:
    sent = to_stripe(charge.amount, charge.currency)
    assert accepted(sent, charge.currency)
    assert in_major_units(sent, charge.currency) == Decimal(charge.decimal())
    assert from_stripe(sent, charge.currency.lower()) == charge.amount


@given(charge=charges(), refunded=some.integers(1, 10**12))
def test_a_part_of_a_charge_can_be_sent_as_well(charge: Money, refunded: int) -> None:
    step = step_of("stripe", charge.currency)
    part = min(refunded * step, charge.amount)
    sandbox.check_step(to_stripe(part, charge.currency), charge.currency.lower())


@pytest.mark.parametrize("currency", sorted(STRIPE))
def test_beyond_the_limits_stripe_accepts_nothing(currency: str) -> None:
    limits = STRIPE[currency]
    assert accepted(to_stripe(limits.most, currency), currency)
    assert not accepted(to_stripe(limits.most + limits.step, currency), currency)
    assert not accepted(to_stripe(limits.least - limits.step, currency), currency)
    if limits.step == 10:
        assert not accepted(to_stripe(limits.least + 1, currency), currency)


def test_both_sides_know_the_same_currencies_of_today() -> None:
    assert {code.upper() for code in sandbox.CURRENCIES} & CURRENCIES == set(STRIPE)


def test_icelandic_krona_is_sent_with_two_decimals() -> None:
    assert exponent("ISK") == 0
    assert to_stripe(5, "ISK") == 500
    assert to_stripe(5000, "ISK") == 500_000
    assert from_stripe(500, "isk") == 5


def test_ugandan_shilling_is_sent_with_two_decimals() -> None:
    assert exponent("UGX") == 0
    assert to_stripe(5, "UGX") == 500
    assert from_stripe(500, "ugx") == 5


@pytest.mark.parametrize("currency", ["HUF", "TWD"])
def test_hungarian_forint_and_new_taiwan_dollar_are_charged_with_their_decimals(currency: str) -> None:
    """Without decimals they are only paid out."""
    assert to_stripe(1045 * 100 + 45, currency) == 104_545
    assert accepted(104_545, currency)


@pytest.mark.parametrize("currency", ZERO_DECIMAL)
def test_zero_decimal_currencies_are_sent_in_whole_units(currency: str) -> None:
    whole = 500 * 10 ** exponent(currency)
    assert to_stripe(whole, currency) == 500
    assert from_stripe(500, currency) == whole


def test_of_malagasy_ariary_stripe_knows_no_parts() -> None:
    assert step_of("stripe", "MGA") == 100
    with pytest.raises(NotInOurUnits):
        to_stripe(50_050, "MGA")


@pytest.mark.parametrize("currency", ["BHD", "JOD", "KWD", "OMR", "TND"])
def test_the_last_digit_of_three_decimals_is_zero(currency: str) -> None:
    assert to_stripe(5120, currency) == 5120
    assert (accepted(5120, currency), accepted(5124, currency)) == (True, False)
    assert step_of("stripe", currency) == 10


@pytest.mark.parametrize(
    ("currency", "least", "most"),
    [
        ("USD", "0.50", "999999.99"),
        ("EUR", "0.50", "999999.99"),
        ("GBP", "0.30", "999999.99"),
        ("JPY", "50", "99999999"),
        ("ISK", "1", "999999"),
        ("HUF", "175.00", "999999.99"),
        ("KWD", "0.010", "99999.990"),
        ("IDR", "0.50", "9999999999.99"),
        ("COP", "0.50", "99999999.99"),
        ("INR", "0.50", "9999999.99"),
        ("MGA", "1.00", "99999999.00"),
    ],
)
def test_the_limits_in_major_units(currency: str, least: str, most: str) -> None:
    limits = STRIPE[currency]
    assert decimal_string(limits.least, currency) == least
    assert decimal_string(limits.most, currency) == most


def test_a_part_of_a_krona_was_not_charged_by_orderbus_and_is_listed_as_stripe_has_it() -> None:
    """Stripe took them until 2023."""
    intent = {"id": "pi_1", "amount": 4010, "currency": "isk", "metadata": {"order": "o-1", "attempt": "1"}}
    assert is_of_another(intent, "o-1", 1)
    assert not is_of_another(intent | {"amount": 4000}, "o-1", 1)
    assert (_movement(intent, 4010, "attempt").amount, _movement(intent, 4000, "attempt").amount) == (4010, 40)


def test_a_currency_of_former_times_is_listed_as_stripe_has_it() -> None:
    movement = _movement({"id": "pi_1", "currency": "hrk"}, 4010, "attempt")
    assert (movement.amount, movement.currency) == (4010, "HRK")
