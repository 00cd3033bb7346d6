"""From the checkout page to the placed order; an invalid checkout is refused with every problem at once (path 8)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.checkout.domain.numbers import order_number
from services.checkout.domain.order import SubmissionOverdue
from services.checkout.domain.sku import Sku
from services.checkout.domain.submission import lines
from shared.contracts.checkout import CancelOrder, OrderCreated, OrderExpired, OrderPaymentRequested, OrderPlaced
from shared.contracts.storefront import (
    CheckoutAbandoned,
    CheckoutOpened,
    CheckoutPaymentRetried,
    PaymentChoice,
    SubmittedItem,
)
from shared.contracts.values import OrderStatus, TaxLine
from shared.core import Refused
from tests.unit.checkout.examples import ADA, HOME, OPENED, OrderScenario, placed_order, store, submission


def line(sku: str = "course", quantity: int = 1, unit_price: int = 1000, **more: Any) -> SubmittedItem:
    return SubmittedItem(sku=sku, quantity=quantity, unit_price=unit_price, **more)


def codes(refused: Refused) -> set[tuple[str, str]]:
    return {(problem.field, problem.code) for problem in refused.problems}


def test_an_opened_checkout_makes_an_order() -> None:
    order = OrderScenario(OPENED)

    assert order.facts == [OrderCreated(number=order.state.number, store="northwind", currency="USD")]
    assert order.record().status is OrderStatus.CREATED
    assert [timer.due for timer in order.timers] == [order.at + timedelta(days=1)]


def test_a_submission_places_the_order_and_waits_for_its_stock() -> None:
    order = placed_order("course", "atlas", tax=760, discount=500)

    (placed,) = order.all.of(OrderPlaced)
    assert (placed.subtotal, placed.tax, placed.total) == (4000, 760, 4760)
    assert (placed.discount, placed.purchased) == (500, 4260)
    assert [item.purchased for item in placed.items] == [1065, 3195]
    assert [item.item for item in placed.items] == ["1", "2"]
    assert order.state.status is OrderStatus.PENDING_PAYMENT
    assert [name for _, name in order.pending] == ["PaymentOverdue"]
    assert not order.all.of(OrderPaymentRequested)


@pytest.mark.parametrize(
    ("currency", "amount", "code", "limit"),
    [
        ("EUR", 30, "amount_too_small", "0.50 EUR"),
        ("EUR", 120_000_000, "amount_too_large", "999999.99 EUR"),
        ("ISK", 1_000_000, "amount_too_large", "999999 ISK"),
        ("KWD", 3333, "amount_off_step", "0.010 KWD"),
        ("MGA", 50_050, "amount_off_step", "1.00 MGA"),
        ("JPY", 49, "amount_too_small", "50 JPY"),
    ],
)
def test_an_amount_that_cannot_be_charged_is_a_problem_of_the_amount(
    currency: str, amount: int, code: str, limit: str
) -> None:
    """And no declined card."""
    order = OrderScenario()
    sums: dict[str, Any] = {
        "items": (line(unit_price=amount),),
        "subtotal": amount,
        "total": amount,
        "purchased": amount,
    }
    refused = order.refuses(submission(currency=currency, **sums))
    (problem,) = (problem for problem in refused.problems if problem.field == "purchased")
    assert (problem.code, limit in problem.text) == (code, True)
    assert order.facts == []


def test_a_currency_that_cannot_be_charged_is_a_problem_of_the_currency() -> None:
    refused = OrderScenario().refuses(submission(currency="IQD", subtotal=5000, total=5000, purchased=5000))
    assert ("currency", "currency_not_chargeable") in codes(refused)


def test_what_is_free_is_not_charged() -> None:
    refused = OrderScenario().refuses(submission(currency="IQD", subtotal=0, total=0, purchased=0))
    assert ("currency", "currency_not_chargeable") not in codes(refused)
    assert OrderScenario(submission("gift", payment=PaymentChoice())).facts


def test_the_shares_of_items_are_multiples_of_the_providers_step() -> None:
    dinars = [Sku("s-1", name, name, {"KWD": 3340}) for name in ("a", "b", "c")]
    message = submission(currency="KWD", purchased=10_010).model_copy(
        update={"items": tuple(line(name, unit_price=3340) for name in ("a", "b", "c"))}
    )
    shares = [made.item.purchased for made in lines(message, dict(zip("abc", dinars, strict=True)))]
    assert sum(shares) == 10_010
    assert not any(share % 10 for share in shares)


def test_a_submission_whose_opening_was_lost_makes_the_order_as_well() -> None:
    assert [type(event) for event in OrderScenario(submission()).facts] == [OrderCreated, OrderPlaced]


def test_a_checkout_that_is_not_submitted_expires() -> None:
    order = OrderScenario(OPENED)

    assert order.let_go_off(SubmissionOverdue).facts == [OrderExpired(was=OrderStatus.CREATED)]
    assert order.refuses(submission()).code == "order_closed"


WRONG_SUMS = {("subtotal", "wrong_sum"), ("total", "wrong_sum"), ("purchased", "wrong_sum")}
WRONG: list[tuple[dict[str, Any], set[tuple[str, str]]]] = [
    ({"items": ()}, {("items", "no_items"), *WRONG_SUMS}),
    ({"items": (line("nothing"),)}, {("items.0.sku", "unknown_sku")}),
    ({"items": (line("old"),)}, {("items.0.sku", "inactive_sku")}),
    ({"items": (line(quantity=0),)}, {("items.0.quantity", "quantity_not_positive"), *WRONG_SUMS}),
    ({"items": (line(quantity=-1),)}, {("items.0.quantity", "quantity_not_positive"), *WRONG_SUMS}),
    (
        {"items": (line("gift", 2**31 - 1, 0),)},
        {("items.0.quantity", "quantity_too_large"), *WRONG_SUMS},
    ),
    ({"items": (line(unit_price=1),)}, {("items.0.unit_price", "wrong_price"), *WRONG_SUMS}),
    (
        {"items": (line("gold", 2, 2**62),)},
        {("items.0", "amount_too_large"), ("subtotal", "wrong_sum"), ("total", "amount_too_large")},
    ),
    ({"items": (line("atlas"),)}, {("shipping", "address_missing"), ("items.0.unit_price", "wrong_price")}),
    (
        {"items": (line("atlas"),), "shipping": HOME.model_copy(update={"line1": " "})},
        {("shipping.line1", "address_incomplete"), ("items.0.unit_price", "wrong_price")},
    ),
    ({"subtotal": 999}, {("subtotal", "wrong_sum")}),
    ({"subtotal": 2**63 - 1, "tax": 1}, {("subtotal", "wrong_sum")}),
    (
        {"taxes": (TaxLine(rate="19", country="DE", amount=5),)},
        {("tax", "wrong_sum"), ("total", "wrong_sum"), ("purchased", "wrong_sum")},
    ),
    ({"total": 1001}, {("total", "wrong_sum")}),
    ({"purchased": 999}, {("purchased", "wrong_sum")}),
    ({"discounts": ({"code": "X", "amount": 1001},)}, {("discounts", "discount_too_large")}),
    ({"payment": PaymentChoice()}, {("payment", "payment_missing")}),
    ({"payment": PaymentChoice(token="")}, {("payment", "payment_missing")}),
    ({"payment": PaymentChoice(token="tok_visa", payment_method="pm_1")}, {("payment", "payment_ambiguous")}),
    ({"currency": "EUR"}, {("currency", "currency_not_offered"), ("items.0.sku", "no_price")}),
    (
        {"items": (line(custom_fields={"x": "y" * 2000, **{f"f{i}": "z" * 2000 for i in range(49)}}),) * 4},
        {("", "too_large"), *WRONG_SUMS},
    ),
]


@pytest.mark.parametrize(("changes", "problems"), WRONG)
def test_an_invalid_checkout_is_refused_and_the_order_stays(
    changes: dict[str, Any], problems: set[tuple[str, str]]
) -> None:
    order = OrderScenario(OPENED)

    refused = order.refuses(submission("course", **changes))
    assert refused.code == "invalid_submission"
    assert codes(refused) == problems
    assert order.state.status is OrderStatus.CREATED
    order.hear(submission("course"))


def test_every_problem_is_listed_at_once() -> None:
    items, payment = (line("atlas", 0, 3000), line("nothing")), PaymentChoice()
    order = OrderScenario().hear(store(require_sign_in=True), "northwind")

    refused = order.refuses(submission("course", items=items, payment=payment, purchased=7, currency="JPY"))
    assert codes(refused) == {
        ("customer.signed_in", "sign_in_required"),
        ("shipping", "address_missing"),
        ("items.0.quantity", "quantity_not_positive"),
        ("items.0.sku", "no_price"),
        ("items.1.sku", "unknown_sku"),
        ("purchased", "wrong_sum"),
        ("purchased", "amount_too_small"),
        ("payment", "payment_missing"),
    }
    assert all(problem.text.removesuffix(".") in refused.text for problem in refused.problems)


def test_a_signed_in_customer_may_buy_where_the_store_requires_it() -> None:
    order = OrderScenario().hear(store(require_sign_in=True), "northwind")
    order.hear(submission("course", customer=ADA.model_copy(update={"signed_in": True})))
    assert order.state.status is OrderStatus.PENDING_PAYMENT


def test_two_lines_may_have_the_same_sku() -> None:
    (placed,) = OrderScenario(submission("course", "course", "game", discount=1)).all.of(OrderPlaced)
    assert [item.item for item in placed.items] == ["1", "2", "3"]
    assert sum(item.purchased for item in placed.items) == 4499


def test_an_order_of_the_largest_amount_is_placed() -> None:
    order = OrderScenario(submission("gold", tax=2**62 - 1, discount=2**63 - 1 - 99_999_999)).state
    assert (order.total, order.purchased) == (2**63 - 1, 99_999_999)


def test_what_was_known_at_the_opening_is_kept_unless_the_submission_says_otherwise() -> None:
    assert placed_order("course").state.country == "DE"


def test_a_second_submission_is_refused() -> None:
    assert placed_order("course").refuses(submission("course")).code == "already_submitted"
    assert placed_order("course").refuses(OPENED).code == "already_opened"


def test_an_order_stays_in_its_store() -> None:
    order = OrderScenario(OPENED).hear(store(), "elsewhere")

    assert ("store", "other_store") in codes(order.refuses(submission("course", store="elsewhere")))


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
    assert OrderScenario().refuses(message).code == code


def test_an_order_id_that_no_url_can_carry_is_refused() -> None:
    for message in (OPENED, submission()):
        assert OrderScenario().refuses(message, "a/b").code == "bad_order_id"


@pytest.mark.parametrize("id", [order_number("o-1"), order_number("o-1").lower(), "Ord-1"])
def test_an_order_id_that_looks_like_a_number_is_refused(id: str) -> None:
    """It would be taken for that order."""
    for message in (OPENED, submission()):
        refused = OrderScenario().refuses(message, id)
        assert refused.code == "bad_order_id" and "ORD-" in refused.text
