"""Whatever is bought in whatever currency: parts sum exactly to the whole, and each line has its own tax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared.contracts.providers import DEFAULT, step_of
from shared.contracts.storefront import CheckoutSubmitted, DeliveryCharge
from shared.contracts.values import TaxLine
from shared.core.money import CURRENCIES, allocate
from tests.unit.checkout.baskets import basket, item, placed, wrong


@st.composite
def checkouts(draw: st.DrawFn) -> CheckoutSubmitted:
    """Checkouts whose sums are right, in any currency; their lines say their discounts and taxes, or do not."""
    currency = draw(st.sampled_from(["JPY", "USD", "KWD", "MGA"]) | st.sampled_from(sorted(CURRENCIES)))
    step, included = step_of(DEFAULT, currency), draw(st.booleans())
    amounts = st.integers(0, 10**9) | st.integers(0, 30)
    rates = draw(st.lists(st.sampled_from(["0", "5.5", "7", "7.00", "19", "100"]), min_size=1, max_size=4))
    own_tax, own_discount = draw(st.sampled_from(["amount", "rate", "both", "some", "none"])), draw(st.booleans())
    taxes: dict[str, int] = {}
    fields: list[dict[str, Any]] = []
    gross = 0
    for number in range(draw(st.integers(1, 12))):
        amount, rate = draw(amounts), f"{float(draw(st.sampled_from(rates))):g}"
        base = float(rate)
        tax = draw(st.integers(0, amount)) if included else int(amount * base) // 100 + draw(st.integers(0, 1))
        tax = tax if base else 0
        discount = draw(st.integers(0, amount)) if own_discount else None
        taxes[rate] = taxes.get(rate, 0) + tax
        gross += amount if included else amount + tax
        states = own_tax in ("amount", "both") or (own_tax == "some" and draw(st.booleans()))
        says: dict[str, Any] = {"tax": tax if states else None, "discount": discount}
        says |= {"tax_rate": rate, "tax_country": "DE"} if own_tax in ("rate", "both", "some") else {}
        fields.append({"amount": amount, "name": f"line {number}", **says})
    discount = sum(field["discount"] or 0 for field in fields) if own_discount else draw(st.integers(0, gross))
    charges = draw(st.integers(0, len(fields) - 1))
    message = basket(
        *(item(f"sku-{n}", field["amount"], **_own(field)) for n, field in enumerate(fields[charges:])),
        deliveries=[DeliveryCharge(**field) for field in fields[:charges]],
        taxes=[TaxLine(rate=rate, country="DE", amount=amount) for rate, amount in taxes.items()],
        discount=discount,
        included=included,
        currency=currency,
    )
    assume(message.purchased % step == 0)
    return message


def _own(field: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in field.items() if name not in ("amount", "name")}


@settings(max_examples=300, deadline=None)
@given(checkouts())
def test_the_parts_sum_exactly_to_the_whole_and_none_is_negative(message: CheckoutSubmitted) -> None:
    found, step = placed(message), step_of(DEFAULT, message.currency)
    assert sum(line.line_total for line in found) == message.subtotal
    assert sum(line.tax or 0 for line in found) == message.tax
    assert sum(line.discount or 0 for line in found) == message.total - message.purchased
    assert sum(line.purchased for line in found) == message.purchased
    assert all(min(line.purchased, line.tax or 0, line.discount or 0) >= 0 for line in found)
    assert not any(line.purchased % step for line in found)
    assert not message.prices_include_tax or all((line.tax or 0) <= line.line_total for line in found)
    for line in found:
        own = line.line_total - (line.discount or 0) + (0 if message.prices_include_tax else line.tax or 0)
        assert abs(line.purchased - own) < step, "worth its own tax and discount"


@settings(max_examples=200, deadline=None)
@given(checkouts())
def test_a_lines_own_tax_and_discount_are_kept(message: CheckoutSubmitted) -> None:
    for given_line, line in zip((*message.items, *message.deliveries), placed(message), strict=True):
        assert given_line.tax in (None, line.tax)
        assert given_line.discount in (None, line.discount)
        assert given_line.tax_rate in (None, line.tax_rate)


@settings(max_examples=100, deadline=None)
@given(checkouts(), st.sampled_from(["subtotal", "tax", "total", "purchased"]), st.sampled_from([-1, 1, 10**6]))
def test_a_sum_that_is_wrong_is_named_alone(message: CheckoutSubmitted, name: str, by: int) -> None:
    assert wrong(message.model_copy(update={name: getattr(message, name) + by})).keys() == {name}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=6), st.sets(st.integers(0, 5)), st.booleans())
def test_where_rates_and_amounts_tell_it_the_guess_is_right(
    amounts: Sequence[int], reduced: set[int], included: bool
) -> None:
    """Or the tax is split in proportion to the amounts."""
    rates = [7 if index in reduced else 19 for index in range(len(amounts))]
    own = [amount * rate // (100 + rate if included else 100) for amount, rate in zip(amounts, rates, strict=True)]
    taxes = [
        TaxLine(rate=str(rate), country="DE", amount=sum(tax for tax, of in zip(own, rates, strict=True) if of == rate))
        for rate in dict.fromkeys(rates)
    ]
    items = [item(f"sku-{index}", amount) for index, amount in enumerate(amounts)]
    found = [line.tax or 0 for line in placed(basket(*items, taxes=taxes, included=included))]
    near = all(abs(tax - right) <= len(amounts) for tax, right in zip(found, own, strict=True))
    assert near or found == allocate(sum(own), amounts)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_line_includes_more_tax_than_its_price(data: st.DataObject) -> None:
    """Or the checkout is refused. Rates may be absurd, and lines say what they like."""
    rates = data.draw(st.lists(st.sampled_from(["7", "19", "900", "999"]), min_size=1, max_size=3, unique=True))
    says = data.draw(st.booleans())
    items = [
        item(f"sku-{n}", amount, tax_rate=data.draw(st.sampled_from(rates)) if says else None)
        for n, amount in enumerate(data.draw(st.lists(st.integers(0, 300), min_size=1, max_size=4)))
    ]
    taxes = [TaxLine(rate=rate, country="DE", amount=data.draw(st.integers(0, 300))) for rate in rates]
    message = basket(*items, taxes=taxes, included=True)
    if not wrong(message):
        assert all((line.tax or 0) <= line.line_total for line in placed(message))


@pytest.mark.parametrize("included", [True, False])
@pytest.mark.parametrize(("amount", "discount"), [(0, None), (2, None), (1000, 1000), (1000, 998)])
def test_a_line_without_tax_may_say_a_rate_of_which_there_is_no_tax_line(
    included: bool, amount: int, discount: int | None
) -> None:
    """Shops leave out tax lines of nothing: 19 % of 0.02 are nothing."""
    gift = item("gift", amount, tax_rate="19", discount=discount)
    book = item("book", 1000, tax_rate="7", discount=0 if discount else None)
    taxes = [TaxLine(rate="7", country="DE", amount=65)]
    lines = placed(basket(gift, book, taxes=taxes, included=included, discount=discount or 0))
    assert [line.tax for line in lines] == [0, 65]
    dear = basket(item("gift", 300, tax_rate="19"), book, taxes=taxes, included=included)
    assert "items.0.tax_rate" in wrong(dear)
