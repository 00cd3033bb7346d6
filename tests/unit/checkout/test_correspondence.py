"""Notes, messages that were handed in, what the customer asks, and the answer."""

from __future__ import annotations

from uuid import uuid4

import pytest

from services.checkout.domain.correspondence import Written
from shared.contracts.checkout import CancelOrder, OrderCancelled
from shared.contracts.order_work import AnswerOrder, MessageOrder, NoteOrder, OrderAnswered, OrderAsked
from shared.contracts.payments import PaymentsRefused, RefundPayment
from shared.contracts.storefront import CheckoutAsked
from shared.contracts.values import OrderStatus
from shared.core.ids import effect_id
from tests.unit.checkout.examples import (
    OPENED,
    START,
    OrderScenario,
    delivered,
    paid_order,
    placed_order,
    refunded,
    reserved_order,
)

S = OrderStatus
CANCEL, REFUND = CheckoutAsked(wants="cancel", text="I ordered it twice."), CheckoutAsked(wants="refund")


def written(order: OrderScenario) -> list[Written]:
    return order.all.of(Written)


# Notes and messages


def test_notes_are_kept_and_counted_and_customers_never_see_them() -> None:
    order = placed_order().given()
    order.hear(NoteOrder(text="Called.\nIt is a present."), actor="staff:anna")
    order.hear(NoteOrder(text="Calls often.", about="customer"), actor="staff:bert")

    first, second = written(order)
    assert (first.kind, first.text, first.actor, first.email) == ("note", "Called.\nIt is a present.", "staff:anna", "")
    assert (second.kind, second.store, second.email) == ("customer_note", "northwind", "ada@example.com")
    assert (order.record().notes, order.facts) == (2, [])
    assert not any("present" in entry.text or "present" in str(entry.detail) for entry in order.timeline)


def test_there_is_no_note_on_a_customer_who_is_not_known_yet() -> None:
    opened = OrderScenario(OPENED)
    assert opened.refuses(NoteOrder(text="Who?", about="customer")).code == "no_customer"
    assert opened.hear(NoteOrder(text="A test.")).record().notes == 1


def test_messages_from_elsewhere_are_kept_as_evidence() -> None:
    message = MessageOrder(
        sender="customer", author="Ada", text="Where is it?", written_at=START, attachments=("desk/1.jpg",)
    )
    order = reserved_order().given(CancelOrder()).hear(message, actor="service:helpdesk")

    (kept,) = written(order)
    assert (kept.kind, kept.sender, kept.author, kept.written_at) == ("message", "customer", "Ada", START)
    assert (kept.text, kept.attachments, kept.actor) == ("Where is it?", ("desk/1.jpg",), "service:helpdesk")
    assert (order.record().messages, order.record().status, order.facts) == (1, S.CANCELLED, [])


# What the customer asks


def test_what_the_customer_asks_waits_for_staff() -> None:
    order = paid_order().hear(CANCEL, actor="customer")

    assert order.facts == [OrderAsked(wants="cancel", text="I ordered it twice.")]
    asked = order.record().asked
    assert asked and (asked.wants, asked.text, asked.at) == ("cancel", "I ordered it twice.", order.at)
    assert order.refuses(REFUND).code == "already_asked"
    assert [entry.kind for entry in written(order)] == ["asked"]


@pytest.mark.parametrize(
    ("order", "asks", "code"),
    [
        (OrderScenario(OPENED), CANCEL, "not_cancellable"),
        (paid_order().given(delivered("1"), delivered("2")), CANCEL, "not_cancellable"),
        (reserved_order(), REFUND, "nothing_to_refund"),
        (paid_order().hear(refunded(3500, 3500)), REFUND, "nothing_to_refund"),
        (paid_order().hear(CancelOrder()), REFUND, "nothing_to_refund"),
    ],
)
def test_what_cannot_be_is_not_asked(order: OrderScenario, asks: CheckoutAsked, code: str) -> None:
    assert order.refuses(asks).code == code


def test_a_cancellation_that_is_granted_is_done() -> None:
    order = paid_order().hear(CANCEL)
    order.hear(AnswerOrder(wants="cancel", granted=True, text="Done."), actor="staff:anna")

    answer, cancelled = order.facts
    assert answer == OrderAnswered(wants="cancel", granted=True, text="Done.")
    assert isinstance(cancelled, OrderCancelled)
    assert (order.record().status, order.record().asked) == (S.CANCELLED, None)
    assert [(entry.kind, entry.text) for entry in written(order)] == [
        ("asked", "I ordered it twice."),
        ("answer", "Done."),
    ]


def test_a_refund_that_is_granted_is_requested_of_payments() -> None:
    order = paid_order().given(REFUND, AnswerOrder(wants="refund", granted=True))
    (sent,) = order.sent
    assert isinstance(sent.command, RefundPayment) and sent.command.amount is None
    assert (order.record().status, order.record().asked) == (S.PROCESSING, None)


def test_a_refund_that_was_granted_and_that_payments_refuses_is_for_staff_to_see() -> None:
    order, answer = paid_order().given(REFUND), uuid4()
    order.hear(AnswerOrder(wants="refund", granted=True), message_id=answer)
    why, (sent,) = "paypal refunds it for 180 days only.", order.sent
    id = effect_id(answer, f"{sent.command.type} {sent.key}", 1)
    order.hear(PaymentsRefused(command=sent.command.type, command_id=str(id), code="refund_window_over", text=why))
    assert order.state.return_refused == why
    assert order.record().message == "A refund that the customer expects was refused."

    order.hear(refunded(3500, 3500))
    assert order.state.return_refused == ""


def test_what_is_refused_changes_nothing_else() -> None:
    order = paid_order().given(CANCEL, AnswerOrder(wants="cancel", granted=False, text="It is on its way."))
    assert order.facts == [OrderAnswered(wants="cancel", granted=False, text="It is on its way.")]
    assert (order.record().status, order.record().asked, order.sent) == (S.PROCESSING, None, [])
    assert order.hear(CANCEL).record().asked


def test_only_what_was_asked_is_answered() -> None:
    granted = AnswerOrder(wants="refund", granted=True)
    assert paid_order().refuses(granted).code == "nothing_asked"
    assert paid_order().hear(CANCEL).refuses(granted).code == "nothing_asked"


def test_what_has_become_impossible_is_not_granted_but_can_be_refused() -> None:
    order = paid_order().given(CANCEL, delivered("1"), delivered("2"))
    assert order.refuses(AnswerOrder(wants="cancel", granted=True)).code == "not_cancellable"
    assert order.hear(AnswerOrder(wants="cancel", granted=False)).record().asked is None


def test_an_order_that_has_ended_waits_for_no_answer() -> None:
    order = paid_order().given(CANCEL, CancelOrder())
    assert order.record().asked is None


def test_who_grants_needs_the_permission_of_what_is_done() -> None:
    assert AnswerOrder(wants="cancel", granted=True).also_needs() == ("order.cancel",)
    assert AnswerOrder(wants="refund", granted=True).also_needs() == ("payment.refund",)
    assert AnswerOrder(wants="refund", granted=False).also_needs() == ()
