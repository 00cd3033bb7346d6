"""What is said of orders that are given or free, and of those that staff completed."""

from __future__ import annotations

from services.notifications.gateways.templates import EmailTemplates
from shared.contracts.checkout import OrderCompleted, OrderPaid
from tests.unit.notifications.examples import CUSTOMER, PAID, STAFF, OrderScenario, bodies, placed


def test_of_an_order_that_is_given_or_free_no_reader_hears_of_a_payment() -> None:
    order = OrderScenario().hear(placed()).hear(OrderPaid(amount=0, currency="EUR"))
    confirmation, alert = order.emails
    for shown in bodies(EmailTemplates().render(confirmation)):
        assert "There is nothing to pay for order ORD-ABCDEFGH12." in shown and "payment" not in shown
    for shown in bodies(EmailTemplates().render(alert)):
        assert "Order ORD-ABCDEFGH12 of Ada Lovelace" in shown and "paid" not in shown
    assert alert.subject == "New order ORD-ABCDEFGH12: €0.00"
    assert order.feed(CUSTOMER)[-1].text == "There is nothing to pay."
    assert order.feed(STAFF)[-1].text == "€0.00 from Ada Lovelace."


def test_what_staff_completed_need_not_be_delivered() -> None:
    order = OrderScenario().hear(placed()).hear(PAID).hear(OrderCompleted(by_hand=True))
    assert (order.feed(CUSTOMER)[-1].title, order.feed(CUSTOMER)[-1].text) == (
        "Order ORD-ABCDEFGH12 is complete",
        "",
    )
