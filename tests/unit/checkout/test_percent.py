"""A discount that says its per cent: its amount must be that."""

from __future__ import annotations

from typing import Any

import pytest

from services.checkout.domain import sums
from shared.contracts.storefront import DeliveryCharge, SubmittedItem
from shared.contracts.values import Discount
from tests.unit.checkout.examples import OPENED, OrderScenario, submission


def problems(*discounts: tuple[int, str | None], lines: tuple[int, ...] = (1000, 2500), **more: Any) -> list[str]:
    """Of a checkout whose other sums are right. `lines`: what each costs. `own`: their own discounts."""
    own = more.pop("own", None) or [None] * len(lines)
    items = tuple(
        SubmittedItem(sku="course", quantity=1, unit_price=price, discount=discount)
        for price, discount in zip(lines, own, strict=True)
    )
    whole, tax = sum(lines) + more.pop("charges", 0), more.get("tax", 0)
    given = tuple(Discount(code="SPRING", amount=amount, percent=percent) for amount, percent in discounts)
    total = whole if more.get("prices_include_tax") else whole + tax
    message = submission(
        items=items,
        discounts=given,
        subtotal=whole,
        total=total,
        purchased=total - sum(discount.amount for discount in given),
        **more,
    )
    return [f"{problem.field}: {problem.text}" for problem in sums.problems(message)]


def test_of_the_whole_order_it_is_that_per_cent_of_the_total() -> None:
    assert problems((350, "10")) == []
    assert problems((349, "10")) == ["discounts.0.amount: Is 3.49 USD, but 10 % of 35.00 USD is 3.50 USD."]
    assert problems((417, "10"), tax=665) == []


@pytest.mark.parametrize(
    ("price", "percent", "amount"),
    [(1005, "10", 101), (1004, "10", 100), (999, "33.3333", 333), (1000, "0.05", 1), (1000, "0.04", 0), (1, "50", 1)],
)
def test_half_a_minor_unit_is_rounded_up(price: int, percent: str, amount: int) -> None:
    assert problems((amount, percent), lines=(price,)) == []
    for other in (amount - 1, amount + 1):
        if 0 <= other <= price:
            assert len(problems((other, percent), lines=(price,))) == 1


def test_with_tax_on_top_it_is_of_both_and_with_tax_included_of_the_prices() -> None:
    assert problems((416, "10"), tax=660) == []
    assert problems((350, "10"), tax=559, prices_include_tax=True) == []


def test_each_of_several_is_of_the_total_and_a_fixed_one_is_not_looked_at() -> None:
    assert problems((350, "10"), (175, "5"), (100, None)) == []
    assert problems((350, "10"), (158, "5")) == ["discounts.1.amount: Is 1.58 USD, but 5 % of 35.00 USD is 1.75 USD."]


def test_of_lines_that_say_their_discounts_it_is_of_those() -> None:
    assert problems((250, "10"), own=(None, 250)) == []
    parcel = (DeliveryCharge(name="Parcel", amount=490),)
    assert problems((250, "10"), own=(None, 250), deliveries=parcel, charges=490) == []
    assert problems((240, "10"), own=(None, 240)) == [
        "discounts.0.amount: Is 2.40 USD, but 10 % of 25.00 USD is 2.50 USD."
    ]


def test_their_parts_may_be_rounded_each_or_together() -> None:
    assert problems((202, "10"), lines=(1005, 1005), own=(101, 101)) == []
    assert problems((201, "10"), lines=(1005, 1005), own=(101, 100)) == []
    assert len(problems((200, "10"), lines=(1005, 1005), own=(100, 100))) == 1


def test_of_several_on_lines_only_the_most_is_known() -> None:
    assert problems((250, "10"), (100, None), own=(100, 250)) == []
    assert problems((351, "10"), (100, None), own=(100, 351)) == [
        "discounts.0.amount: 10 % of 35.00 USD is at most 3.50 USD."
    ]


def test_where_the_provider_charges_in_steps_it_can_be_rounded_to_one() -> None:
    for amount in (1235, 1240):
        assert problems((amount, "10"), lines=(12350,), currency="KWD") == []
    assert len(problems((1230, "10"), lines=(12350,), currency="KWD")) == 1


def test_an_order_is_refused_for_it_and_nothing_is_changed() -> None:
    wrong = submission("course", discounts=(Discount(code="SPRING", amount=120, percent="10"),), purchased=880)

    refused = OrderScenario(OPENED).refuses(wrong)

    assert [(problem.field, problem.code) for problem in refused.problems] == [("discounts.0.amount", "wrong_sum")]
