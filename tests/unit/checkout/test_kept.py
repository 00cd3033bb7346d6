"""How long what an opened checkout told is kept."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.checkout.domain.kept import AbandonedKept
from services.checkout.domain.order import SubmissionOverdue
from services.checkout.domain.order_records import Opened
from shared.contracts.checkout import CancelOrder, OrderExpired, OrderPlaced
from shared.contracts.storefront import CartLine, CheckoutAbandoned, Source
from shared.contracts.values import OrderStatus
from tests.unit.checkout.examples import OPENED, OrderScenario, store, submission

DAYS = timedelta(days=30)
CART = (CartLine(sku="course", quantity=2),)
TOLD = OPENED.model_copy(
    update={
        "email": "ada@example.com",
        "locale": "de-AT",
        "items": CART,
        "origin": Source(link="https://links.example/ada", source="mail", tags=("spring",), client_ip="192.0.2.7"),
    }
)


def opened(kept: timedelta | None = DAYS) -> OrderScenario:
    return OrderScenario().hear(store(keep_abandoned=kept), "northwind").hear(TOLD)


@pytest.mark.parametrize("end", [None, CheckoutAbandoned(), CancelOrder()])
def test_what_an_abandoned_checkout_told_is_erased_in_time(end: object) -> None:
    one = opened().given(*([end] if end else []))
    one.let_time_pass(DAYS - timedelta(minutes=1))
    assert one.state.status in (OrderStatus.EXPIRED, OrderStatus.CANCELLED)
    told = one.record().opened
    assert (told and told.email, one.record().country) == ("ada@example.com", "DE")

    one.let_time_pass(timedelta(minutes=1))
    assert one.state.opened == Opened(None, CART), "reports still see what was in it"
    assert (one.state.country, one.state.locale, one.state.origin) == (None, None, Source())
    text = one.record().model_dump_json()
    assert not any(
        word in text for word in ("ada@example.com", '"DE"', "de-AT", "links.example", '"mail"', "192.0.2.7")
    )
    assert one.timeline[-1].text == "What the checkout told when it was opened is erased, but for what was in the cart."
    assert one.pending == {}


def test_a_store_that_does_not_say_how_long_keeps_it() -> None:
    one = opened(None).let_time_pass(100 * DAYS)
    assert one.state.opened == Opened("ada@example.com", CART)
    assert one.timer(AbandonedKept) is None


def test_what_is_submitted_is_kept_as_an_order() -> None:
    one = opened().hear(submission("course"))
    assert one.timer(AbandonedKept) is None
    assert one.hear(AbandonedKept()).state.country == "DE"
    assert one.timeline[-1].text.endswith("(No effect: it was submitted.)")


def test_a_checkout_is_kept_as_the_store_wanted_it_when_it_was_opened() -> None:
    one = opened().hear(store(keep_abandoned=2 * DAYS), "northwind").let_time_pass(DAYS)
    assert one.state.opened == Opened(None, CART)


def test_one_that_is_open_until_then_expires_first() -> None:
    one = opened(timedelta(days=1))
    assert one.timer(SubmissionOverdue)
    one.let_go_off(AbandonedKept)
    assert one.facts == [OrderExpired(was=OrderStatus.CREATED)]
    assert (one.state.status, one.state.opened, one.pending) == (OrderStatus.EXPIRED, Opened(None, CART), {})


def test_how_long_orders_are_to_be_kept_is_told_to_the_other_services() -> None:
    one = OrderScenario().hear(store(keep_orders=12 * DAYS), "northwind").hear(submission("course"))
    assert one.last.of(OrderPlaced)[0].store.keep_orders == 12 * DAYS
