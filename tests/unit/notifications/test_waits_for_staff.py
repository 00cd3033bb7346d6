"""Staff are told, and told again, of an order that waits for them."""

from __future__ import annotations

from shared.contracts.delivery_work import OrderWaitsForStaff
from tests.unit.notifications.examples import CUSTOMER, STAFF, paid_order


def test_staff_are_told_again_of_an_order_that_waits_for_them() -> None:
    order = paid_order()
    for again in (False, True):
        order.hear(OrderWaitsForStaff(what="Ring", text="Ring: Engrave it.", since=order.at, again=again))

    first, second = order.emails[2:]
    assert (first.template, first.to, first.subject, second.data["reason"]) == (
        "waits_for_staff",
        "staff@northwind.example",
        f"Waits for you: order {order.state.number}, Ring",
        "Ring: Engrave it.",
    )
    assert second.subject.startswith("Still waits for you: ")
    assert order.feed(STAFF)[-1].kind == "waits_for_staff"
    assert "waits_for_staff" not in [entry.kind for entry in order.feed(CUSTOMER)]
