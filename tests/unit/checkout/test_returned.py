"""Returned items, and refunds for them that payments refuses."""

from __future__ import annotations

import itertools

from shared.contracts.delivery_work import ItemReturned
from shared.contracts.payments import PaymentsRefused
from tests.unit.checkout.examples import delivered, paid_order, refunded

BACK = ItemReturned(item="1", quantity=1, returned=1, whole=True, resaleable=True, reason="Too small.", refund="c-1")
WHY = "At most 5.00 USD can still be refunded."


def refusal(id: str = "c-1") -> PaymentsRefused:
    return PaymentsRefused(command="payment.refund", command_id=id, code="too_much", text=WHY)


def test_a_refused_refund_of_a_return_is_told_whatever_comes_first() -> None:
    for facts in itertools.permutations((BACK, refusal())):
        order = paid_order("course").given(delivered("1"))
        order.given(*facts)

        assert (order.state.return_refused, order.record().message) == (
            WHY,
            "A refund that the customer expects was refused.",
        )
        assert f"payment.refund was refused: {WHY}" in [entry.text for entry in order.timeline]


def test_it_is_over_with_the_next_refund() -> None:
    order = paid_order("course").given(delivered("1"), BACK, refusal())
    order.hear(refunded(5, order.state.paid))

    assert (order.state.return_refused, order.record().message) == ("", None)


def test_refusals_of_other_refunds_are_in_the_timeline_only() -> None:
    order = paid_order("course").given(delivered("1"), BACK)
    order.hear(refusal("c-2"))
    assert (order.state.return_refused, order.record().message) == ("", None)


def test_what_is_refunded_already_is_owed_no_more() -> None:
    order = paid_order("course").given(delivered("1"))
    order.given(refunded(order.state.paid, order.state.paid), BACK, refusal())
    assert order.state.return_refused == ""
