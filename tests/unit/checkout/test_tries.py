"""Paying again: how often, how soon, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.checkout.domain.order import Order
from services.checkout.domain.store import stores
from services.checkout.domain.tries import cool_down
from shared.contracts.checkout import OrderExpired, OrderPaymentDeclined, OrderPaymentRequested
from shared.contracts.fulfillment import StockReserved
from shared.contracts.payments import PaymentCancelled, PaymentDeclined
from shared.contracts.storefront import CheckoutPaymentRetried, PaymentChoice
from shared.contracts.values import OrderStatus
from shared.core import Scenario
from tests.unit.checkout.examples import OPENED, OrderScenario, captured, reserved_order, store, submission

AGAIN = CheckoutPaymentRetried(payment=PaymentChoice(payment_method="pm_card_mastercard"))
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def decline(attempt: int) -> PaymentDeclined:
    return PaymentDeclined(attempt=attempt, code="do_not_honor", text="Your card was declined.", reason="card_declined")


def order_of(**settings: object) -> OrderScenario:
    """A reserved order of a store with these settings."""
    order = OrderScenario().hear(store(**settings), "northwind")
    return order.given(OPENED, submission("course"), StockReserved())


def declined(times: int, order: OrderScenario | None = None) -> OrderScenario:
    """Declined so many times, each retry as soon as it may be made."""
    order = (order or reserved_order("course")).hear(decline(1))
    for attempt in range(2, times + 1):
        wait_until_allowed(order)
        order.given(AGAIN, decline(attempt))
    return order


def wait_until_allowed(order: OrderScenario) -> None:
    if order.state.retry_after:
        order.let_time_pass(order.state.retry_after - order.at)


def told(order: OrderScenario) -> OrderPaymentDeclined:
    return order.all.of(OrderPaymentDeclined)[-1]


@pytest.mark.parametrize(
    ("declines", "wait"),
    [(0, 0), (2, 0), (3, 1), (4, 2), (5, 4), (6, 8), (7, 16), (8, 32), (9, 60), (50, 60)],
)
def test_the_wait_begins_with_the_third_decline_and_doubles_up_to_an_hour(declines: int, wait: int) -> None:
    assert cool_down(MINUTE, declines) == wait * MINUTE


def test_a_customer_may_pay_again_at_once_twice() -> None:
    order = declined(2)

    assert (told(order).tries_left, told(order).retry_after) == (6, None)
    assert len(order.hear(AGAIN).all.of(OrderPaymentRequested)) == 3


def test_after_the_third_decline_the_customer_waits() -> None:
    order = declined(3)

    again = order.at + MINUTE
    assert (told(order).tries_left, told(order).retry_after) == (5, again)
    assert order.record().retry_after == again
    assert order.timeline[-1].text.endswith(f"The customer can pay again after {again:%Y-%m-%d %H:%M:%S} UTC.")
    refused = order.refuses(AGAIN)
    assert refused.code == "too_many_attempts"
    assert refused.text == f"Too many payments were declined. Try again after {again:%Y-%m-%d %H:%M:%S} UTC."
    order.let_time_pass(MINUTE)
    assert [type(event) for event in order.hear(AGAIN).facts] == [OrderPaymentRequested]
    assert order.state.retry_after is None


def test_after_the_last_try_the_order_has_failed_and_cannot_be_paid_again() -> None:
    order = declined(8)

    assert (told(order).tries_left, told(order).retry_after) == (0, None)
    assert order.record().pay_url is None
    assert order.record().message == "Your card was declined. No further try is left."
    order.let_time_pass(HOUR)
    refused = order.refuses(AGAIN)
    assert refused.code == "too_many_attempts"
    assert refused.text == "No further try is left: 8 payments were tried. Contact the store."
    assert order.state.deadline is not None and order.state.deadline > order.at
    assert len(order.all.of(OrderPaymentRequested)) == 8


def test_a_store_says_how_many_tries_there_are_and_how_long_to_wait() -> None:
    order = declined(4, order_of(payment_tries=5, payment_cool_down=timedelta(0)))

    assert (told(order).tries_left, told(order).retry_after) == (1, None)
    order.given(AGAIN, decline(5))
    assert order.refuses(AGAIN).code == "too_many_attempts"


def test_an_unfinished_try_counts_too() -> None:
    order = order_of(payment_tries=1).hear(PaymentCancelled(attempt=1))

    assert order.record().pay_url is None
    assert order.record().message == "No further try is left."
    assert order.refuses(AGAIN).code == "too_many_attempts"


def test_a_wait_beyond_the_deadline_leaves_no_try() -> None:
    order = declined(3, order_of(grace=timedelta(seconds=30)))

    assert (told(order).tries_left, told(order).retry_after) == (0, None)
    assert order.refuses(AGAIN).text == "No further try is left: 3 payments were tried. Contact the store."


def test_the_last_try_may_be_paid() -> None:
    order = order_of(payment_tries=2).given(decline(1), AGAIN)

    assert order.hear(captured(1000, attempt=2)).record().paid_at == order.at


def test_settings_beyond_the_limits_are_refused_all_at_once() -> None:
    refused = Scenario(stores, key="northwind").refuses(store(payment_tries=51, payment_cool_down=2 * HOUR))

    assert [(problem.field, problem.code) for problem in refused.problems] == [
        ("payment_tries", "out_of_range"),
        ("payment_cool_down", "too_long"),
    ]
    none = Scenario(stores, key="northwind").refuses(store(payment_tries=0))
    assert none.problems[0].text == "Must be between 1 and 50."


def test_the_deadline_counts_from_the_first_decline_and_is_not_renewed() -> None:
    order = reserved_order("course").let_time_pass(timedelta(days=3)).hear(decline(1))
    until = order.at + timedelta(days=7)
    order.let_time_pass(timedelta(days=6))
    order.given(AGAIN, decline(2))

    assert [event.until for event in order.all.of(OrderPaymentDeclined)] == [until, until]
    assert order.all.of(OrderPaymentRequested)[-1].until == until
    assert [timer.due for timer in order.pending.values()] == [until]
    assert order.let_time_pass(timedelta(days=1)).facts == [OrderExpired(was=OrderStatus.PENDING_PAYMENT)]


def test_an_order_that_an_older_build_declined_has_its_deadline_from_its_next_decline() -> None:
    order = reserved_order("course").given(decline(1), AGAIN)
    order.put(Order, "o-1", replace(order.state, declined_at=None, declines=0))

    order.hear(decline(2))

    assert told(order).until == order.at + timedelta(days=7)
    assert told(order).tries_left == 6
