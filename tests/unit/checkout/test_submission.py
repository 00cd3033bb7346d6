"""What is wrong with a checkout is said at once, and changes nothing (path 8)."""

from __future__ import annotations

from typing import Any

import pytest

from shared.contracts.checkout import CancelOrder, OrderPlaced
from shared.contracts.storefront import (
    CheckoutAbandoned,
    CheckoutOpened,
    CheckoutPaymentRetried,
    PaymentChoice,
    SubmittedItem,
)
from shared.contracts.values import OrderStatus, TaxLine
from shared.core import Refused
from tests.unit.checkout.conversation import (
    ADA,
    HOME,
    OPENED,
    Conversation,
    configured,
    placed_order,
    submission,
)


def line(sku: str = "course", quantity: int = 1, unit_price: int = 1000, **more: Any) -> SubmittedItem:
    return SubmittedItem(sku=sku, quantity=quantity, unit_price=unit_price, **more)


def codes(refused: Refused) -> set[tuple[str, str]]:
    return {(problem.field, problem.code) for problem in refused.problems}


WRONG: list[tuple[dict[str, Any], set[tuple[str, str]]]] = [
    ({"items": ()}, {("items", "no_items"), ("subtotal", "wrong_sum")}),
    ({"items": (line("nothing"),)}, {("items.0.sku", "unknown_sku")}),
    ({"items": (line("old"),)}, {("items.0.sku", "inactive_sku")}),
    ({"items": (line(quantity=0),)}, {("items.0.quantity", "quantity_not_positive"), ("subtotal", "wrong_sum")}),
    ({"items": (line(quantity=-1),)}, {("items.0.quantity", "quantity_not_positive"), ("subtotal", "wrong_sum")}),
    (
        {"items": (line("gift", 2**31 - 1, 0),)},
        {("items.0.quantity", "quantity_too_large"), ("subtotal", "wrong_sum")},
    ),
    ({"items": (line(unit_price=1),)}, {("items.0.unit_price", "wrong_price"), ("subtotal", "wrong_sum")}),
    ({"items": (line("gold", 2, 2**62),)}, {("items.0", "amount_too_large"), ("subtotal", "wrong_sum")}),
    ({"items": (line("atlas"),)}, {("shipping", "address_missing"), ("items.0.unit_price", "wrong_price")}),
    (
        {"items": (line("atlas"),), "shipping": HOME.model_copy(update={"line1": " "})},
        {("shipping.line1", "address_incomplete"), ("items.0.unit_price", "wrong_price")},
    ),
    ({"subtotal": 999}, {("subtotal", "wrong_sum"), ("total", "wrong_sum")}),
    ({"subtotal": 2**63 - 1, "tax": 1}, {("total", "amount_too_large")}),
    ({"taxes": (TaxLine(rate="19", country="DE", amount=5),)}, {("tax", "wrong_sum")}),
    ({"total": 1001}, {("total", "wrong_sum"), ("purchased", "wrong_sum")}),
    ({"purchased": 999}, {("purchased", "wrong_sum")}),
    ({"discounts": ({"code": "X", "amount": 1001},)}, {("discounts", "discount_too_large")}),
    ({"payment": PaymentChoice()}, {("payment", "payment_missing")}),
    ({"payment": PaymentChoice(token="")}, {("payment", "payment_missing")}),
    ({"payment": PaymentChoice(token="tok_visa", payment_method="pm_1")}, {("payment", "payment_ambiguous")}),
    ({"currency": "EUR"}, {("currency", "currency_not_offered"), ("items.0.sku", "no_price")}),
    (
        {"items": (line(custom_fields={"x": "y" * 2000, **{f"f{i}": "z" * 2000 for i in range(49)}}),) * 4},
        {
            ("", "too_large"),
            ("subtotal", "wrong_sum"),
        },
    ),
]


@pytest.mark.parametrize(("changes", "problems"), WRONG)
def test_a_wrong_checkout_is_refused_and_the_order_stays(
    changes: dict[str, Any], problems: set[tuple[str, str]]
) -> None:
    order = Conversation()
    order.tell(OPENED)

    refused = order.refused(submission("course", **changes))
    assert refused.code == "invalid_submission"
    assert codes(refused) == problems
    assert order.order.status is OrderStatus.CREATED
    order.tell(submission("course"))


def test_every_problem_is_listed_at_once() -> None:
    refused = Conversation(configured(require_sign_in=True)).refused(
        submission(
            "course",
            items=(line("atlas", 0, 3000), line("nothing")),
            payment=PaymentChoice(),
            purchased=7,
            currency="JPY",
        )
    )
    assert codes(refused) == {
        ("customer.signed_in", "sign_in_required"),
        ("shipping", "address_missing"),
        ("items.0.quantity", "quantity_not_positive"),
        ("items.0.sku", "no_price"),
        ("items.1.sku", "unknown_sku"),
        ("purchased", "wrong_sum"),
        ("payment", "payment_missing"),
    }
    assert all(problem.text in refused.text for problem in refused.problems)


def test_a_signed_in_customer_may_buy_where_the_store_asks_for_it() -> None:
    order = Conversation(configured(require_sign_in=True))
    order.tell(submission("course", customer=ADA.model_copy(update={"signed_in": True})))
    assert order.order.status is OrderStatus.PENDING_PAYMENT


def test_the_same_sku_may_stand_in_two_lines() -> None:
    order = Conversation()
    order.tell(submission("course", "course", "game", discount=1))
    (placed,) = order.all(OrderPlaced)
    assert [item.item for item in placed.items] == ["1", "2", "3"]
    assert sum(item.purchased for item in placed.items) == 4499


def test_the_largest_amount_is_still_an_order() -> None:
    order = Conversation()
    order.tell(submission("gold", tax=2**62 - 1))
    assert order.order.total == 2**63 - 1


def test_what_the_page_said_at_opening_is_kept_unless_said_anew() -> None:
    order = placed_order("course")
    assert order.order.country == "DE"


def test_a_second_submission_is_refused() -> None:
    assert placed_order("course").refused(submission("course")).code == "already_submitted"
    assert placed_order("course").refused(OPENED).code == "already_opened"


def test_an_order_stays_in_its_store() -> None:
    order = Conversation()
    order.rows |= {ref: row for ref, row in order.rows.items() if ref.key == "northwind"}
    other = type(next(ref for ref in order.rows if ref.key == "northwind"))
    store = next(ref for ref in order.rows if ref.key == "northwind")
    order.rows[other(store.kind, "elsewhere")] = configured()
    order.tell(OPENED)

    refused = order.refused(submission("course", store="elsewhere"))
    assert ("store", "other_store") in codes(refused)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (CheckoutOpened(store="nowhere", currency="USD"), "unknown_store"),
        (submission(store="nowhere"), "unknown_store"),
        (CheckoutOpened(store="northwind", currency="EUR"), "invalid_submission"),
        (CheckoutPaymentRetried(payment=PaymentChoice(token="tok_visa")), "unknown_order"),
        (CheckoutAbandoned(), "unknown_order"),
        (CancelOrder(), "unknown_order"),
    ],
)
def test_without_a_store_or_an_order_there_is_nothing_to_do(message: object, code: str) -> None:
    assert Conversation().refused(message).code == code


def test_an_order_id_that_no_address_can_carry_is_refused() -> None:
    for message in (OPENED, submission()):
        answer = Conversation().answer(message, key="a/b")
        assert isinstance(answer, Refused)
        assert answer.code == "bad_order_id"


def test_paying_again_needs_reserved_stock_and_a_card() -> None:
    order = placed_order("course")
    assert order.refused(CheckoutPaymentRetried(payment=PaymentChoice(token="tok_visa"))).code == "not_reserved"
