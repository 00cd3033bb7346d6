"""What the customer asks is in the staff's feed, the store's answer in the customer's, each in their language."""

from __future__ import annotations

import pytest

from shared.contracts.order_work import OrderAnswered, OrderAsked
from tests.unit.notifications.examples import CUSTOMER, STAFF, OrderScenario, placed


@pytest.mark.parametrize(
    ("wants", "title"),
    [
        ("cancel", "The customer asks to cancel order ORD-ABCDEFGH12"),
        ("refund", "The customer asks for a refund of order ORD-ABCDEFGH12"),
    ],
)
def test_staff_hear_what_the_customer_asks(wants: str, title: str) -> None:
    asked = OrderAsked.model_validate({"wants": wants, "text": "I ordered it twice."})
    (entry,) = OrderScenario().hear(placed()).hear(asked).feed(STAFF)[-1:]
    assert (entry.key, entry.title, entry.text) == (STAFF, title, "I ordered it twice.")


@pytest.mark.parametrize(
    ("granted", "locale", "title"),
    [
        (True, "en", "Order ORD-ABCDEFGH12: the store does what you asked for"),
        (False, "en", "Order ORD-ABCDEFGH12: the store cannot do what you asked for"),
        (False, "de", "Bestellung ORD-ABCDEFGH12: Der Shop kann Ihre Bitte nicht erfüllen"),
    ],
)
def test_the_customer_hears_the_answer(granted: bool, locale: str, title: str) -> None:
    answer = OrderAnswered(wants="cancel", granted=granted, text="It is on its way.")
    (entry,) = OrderScenario().hear(placed(locale=locale)).hear(answer).feed(CUSTOMER)[-1:]
    assert (entry.key, entry.title, entry.text) == (CUSTOMER, title, "It is on its way.")
