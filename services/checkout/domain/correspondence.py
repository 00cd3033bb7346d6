"""What is written about an order: staff's notes, messages that were handed in, what the customer asks, and the answer.

The order has the counts, and what waits for an answer; the texts are records, which nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.checkout.domain.cancellation import cancel, not_cancellable
from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import Order, orders
from services.checkout.domain.order_records import Asked
from services.checkout.domain.returned import expect_refund
from shared.contracts.order_work import AnswerOrder, MessageOrder, NoteOrder, OrderAnswered, OrderAsked
from shared.contracts.payments import RefundPayment
from shared.contracts.storefront import CheckoutAsked
from shared.contracts.values import VOID, OrderStatus
from shared.core import Context, Decision, Record, Refused

NO_CUSTOMER = Refused("no_customer", "The order has no customer yet: the checkout was only opened.")
NOTHING_ASKED = Refused("nothing_asked", "The customer waits for no such answer.")


class Written(Record):
    """One row. `kind`: note, customer_note, message, asked, answer."""

    key: str
    id: UUID
    at: datetime
    """When it was added."""
    actor: str
    kind: str
    text: str
    sender: str
    """Of a message: `customer` or `store`."""
    author: str
    written_at: datetime | None
    attachments: Sequence[str]
    store: str
    email: str
    """Of the customer that a note is about, in lower case; otherwise empty."""


def _write(change: OrderChange, kind: str, text: str, message: MessageOrder | None = None, email: str = "") -> None:
    context = change.context
    change.record(
        Written(
            key=context.key,
            id=context.new_id(),
            at=context.at,
            actor=context.actor or "system",
            kind=kind,
            text=text,
            sender=message.sender if message else "",
            author=message.author if message else "",
            written_at=message.written_at if message else None,
            attachments=message.attachments if message else (),
            store=change.state.store.id,
            email=email,
        )
    )


ERASED = Refused("erased", "The customer's personal data was erased. Nothing more is kept of them.")


@orders.on(NoteOrder)
def noted(order: Order, command: NoteOrder, context: Context) -> Decision[Order] | Refused:
    if order.erased_at:
        return ERASED
    about_customer = command.about == "customer"
    if about_customer and order.customer is None:
        return NO_CUSTOMER
    change = OrderChange(order, context)
    email = order.customer.email.lower() if order.customer and about_customer else ""
    _write(change, "customer_note" if about_customer else "note", command.text, email=email)
    change.set(notes=order.notes + 1)
    change.note(command.type, f"A note on the {command.about} was added.")
    return change.decision()


@orders.on(MessageOrder)
def handed_in(order: Order, command: MessageOrder, context: Context) -> Decision[Order] | Refused:
    if order.erased_at:
        return ERASED
    change, count = OrderChange(order, context), len(command.attachments)
    _write(change, "message", command.text, command)
    change.set(messages=order.messages + 1)
    text = f"A message of the {command.sender} was handed in."
    change.note(command.type, text, attachments=count or None)
    return change.decision()


# What the customer asks


@orders.on(CheckoutAsked)
def asked(order: Order, command: CheckoutAsked, context: Context) -> Decision[Order] | Refused:
    if order.erased_at:
        return ERASED
    if order.asked:
        return Refused("already_asked", "The store has not answered the earlier request yet.")
    if refused := _not_possible(order, command.wants):
        return refused
    change = OrderChange(order, context)
    _write(change, "asked", command.text)
    change.set(asked=Asked(command.wants, context.at, command.text))
    change.publish(OrderAsked(wants=command.wants, text=command.text))
    return change.decision()


def _not_possible(order: Order, wants: str) -> Refused | None:
    if wants == "cancel":
        possible = order.placed_at is not None and order.may_become(OrderStatus.CANCELLED)
        return None if possible else not_cancellable(order)
    if order.is_unpaid or order.status in VOID or order.refunded + order.restored_amount >= order.paid:
        return Refused("nothing_to_refund", "Nothing of the order can be refunded.")
    return None


@orders.on(AnswerOrder)
def answered(order: Order, command: AnswerOrder, context: Context) -> Decision[Order] | Refused:
    """What is granted is done."""
    if order.asked is None or order.asked.wants != command.wants:
        return NOTHING_ASKED
    if command.granted and (refused := _not_possible(order, command.wants)):
        return refused
    change = OrderChange(order, context)
    _write(change, "answer", command.text)
    change.set(asked=None)
    change.publish(OrderAnswered(wants=command.wants, granted=command.granted, text=command.text))
    if command.granted and command.wants == "cancel":
        cancel(change, reason="The customer asked for it.")
    elif command.granted:
        change.send(context.key, RefundPayment(reason="requested_by_customer", note="The customer asked for it."))
        expect_refund(change, str(context.id_of_command(RefundPayment.type, context.key)))
    return change.decision()
