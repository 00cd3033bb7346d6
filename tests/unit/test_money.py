"""Money: whole minor units, exact parts, and the decimals of each currency."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.money import CURRENCIES, MAX_AMOUNT, Money, allocate, decimal_string, exponent, parse_decimal

amounts = st.integers(-MAX_AMOUNT, MAX_AMOUNT)
weights = st.lists(st.integers(0, 10**12), min_size=1, max_size=40)
currencies = st.sampled_from(["JPY", "USD", "KWD"]) | st.sampled_from(sorted(CURRENCIES))


@given(amounts, weights)
def test_parts_sum_exactly_to_the_whole(amount: int, shares: list[int]) -> None:
    assert sum(allocate(amount, shares)) == amount


@given(amounts, weights.filter(any))
def test_no_part_is_a_whole_unit_from_its_exact_share(amount: int, shares: list[int]) -> None:
    total = sum(shares)
    for part, share in zip(allocate(amount, shares), shares, strict=True):
        assert abs(part * total - amount * share) < total


@given(amounts, weights.filter(any))
def test_nothing_goes_to_a_weight_of_zero(amount: int, shares: list[int]) -> None:
    assert all(part == 0 for part, share in zip(allocate(amount, shares), shares, strict=True) if share == 0)


@given(amounts, st.integers(1, 40))
def test_equal_weights_differ_by_one_at_most_and_the_earlier_part_gets_more(amount: int, count: int) -> None:
    sizes = [abs(part) for part in allocate(amount, [7] * count)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1
    assert allocate(amount, [0] * count) == allocate(amount, [7] * count)


@given(amounts, weights)
def test_a_refund_mirrors_its_capture(amount: int, shares: list[int]) -> None:
    assert allocate(-amount, shares) == [-part for part in allocate(amount, shares)]


@given(st.integers(-(10**15), 10**15), weights.filter(any), st.sampled_from([10, 100]))
def test_parts_in_steps_sum_exactly_and_are_less_than_a_step_from_their_shares(
    steps: int, shares: list[int], step: int
) -> None:
    parts, total = allocate(steps * step, shares, step), sum(shares)
    assert sum(parts) == steps * step
    assert not any(part % step for part in parts)
    for part, share in zip(parts, shares, strict=True):
        assert abs(part * total - steps * step * share) < step * total


@given(amounts, weights)
def test_parts_of_an_amount_that_is_off_the_step_sum_exactly_too(amount: int, shares: list[int]) -> None:
    parts = allocate(amount, shares, 10)
    assert sum(parts) == amount
    assert sum(part % 10 != 0 for part in parts) <= 1


def test_a_split_by_hand() -> None:
    assert allocate(100, [1, 1, 1]) == [34, 33, 33]
    assert allocate(5380, [3000, 1900]) == [3294, 2086]
    assert allocate(1, [0, 0, 3]) == [0, 0, 1]


@pytest.mark.parametrize("shares", [[], [1, -1]])
def test_a_split_over_nothing_or_a_negative_weight_is_an_error(shares: list[int]) -> None:
    with pytest.raises(ValueError, match="none of them negative"):
        allocate(100, shares)


@given(amounts, currencies)
def test_a_decimal_string_comes_back_as_the_same_amount(amount: int, currency: str) -> None:
    assert parse_decimal(decimal_string(amount, currency), currency) == amount


@given(amounts, currencies)
def test_a_decimal_string_has_exactly_the_currencys_decimals(amount: int, currency: str) -> None:
    _, _, decimals = decimal_string(amount, currency).partition(".")
    assert len(decimals) == exponent(currency)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1230, "JPY", "1230"),
        (1230, "USD", "12.30"),
        (1230, "KWD", "1.230"),
        (0, "USD", "0.00"),
        (-5, "USD", "-0.05"),
        (MAX_AMOUNT, "USD", "92233720368547758.07"),
    ],
)
def test_amounts_as_people_write_them(amount: int, currency: str, text: str) -> None:
    assert decimal_string(amount, currency) == text
    assert str(Money(amount, currency)) == f"{text} {currency}"


@pytest.mark.parametrize(("text", "currency"), [("1.5", "JPY"), ("1.005", "USD"), ("1.0005", "KWD"), ("NaN", "USD")])
def test_more_decimals_than_the_currency_has_are_an_error(text: str, currency: str) -> None:
    with pytest.raises(ValueError, match="not a whole number of minor units"):
        parse_decimal(text, currency)


@pytest.mark.parametrize("currency", ["usd", "XXX", "", "EURO", "BTC"])
def test_what_is_no_currency_is_an_error(currency: str) -> None:
    with pytest.raises(ValueError, match="not an active ISO 4217 currency"):
        Money(1, currency)


@pytest.mark.parametrize("amount", [1.0, True, Decimal(1), "1"])
def test_an_amount_is_never_anything_but_an_integer(amount: object) -> None:
    with pytest.raises(TypeError, match="whole number of minor units"):
        Money(amount, "USD")  # type: ignore[arg-type]


def test_an_amount_beyond_a_bigint_is_an_error() -> None:
    with pytest.raises(ValueError, match="beyond the largest"):
        Money(MAX_AMOUNT, "USD") + Money(1, "USD")


@given(amounts, amounts)
def test_sums_of_money_are_those_of_its_amounts(one: int, other: int) -> None:
    if abs(one + other) <= MAX_AMOUNT:
        assert Money(one, "KWD") + Money(other, "KWD") == Money(one + other, "KWD")
        assert Money(one + other, "KWD") - Money(other, "KWD") == Money(one, "KWD")
    assert (Money(one, "KWD") < Money(other, "KWD")) == (one < other)
    assert (Money(one, "KWD") <= Money(other, "KWD")) == (one <= other)


def test_currencies_do_not_mix() -> None:
    with pytest.raises(ValueError, match="cannot be mixed"):
        Money(1, "USD") + Money(1, "EUR")
    with pytest.raises(ValueError, match="cannot be mixed"):
        _ = Money(1, "USD") < Money(1, "EUR")


def test_a_unit_price_times_a_quantity() -> None:
    assert Money(1500, "USD") * 3 == Money(4500, "USD")
    assert -Money(1500, "USD") == Money(-1500, "USD")
