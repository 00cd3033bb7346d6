"""From the reserved stock to the money, and back: what payments and fulfillment's stock tell of an order."""

from __future__ import annotations

from services.checkout.domain.closing import close
from services.checkout.domain.decisions import GraceOver, changed, noted, on_fact, too_late
from services.checkout.domain.order import Charge, Order, moved
from services.checkout.domain.timeline import Note, card_name, money
from shared.contracts.checkout import OrderPaid, OrderPaymentActionRequired, OrderPaymentDeclined, OrderPaymentRequested
from shared.contracts.fulfillment import StockRefused, StockReserved
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentCancelled,
    PaymentCaptured,
    PaymentDeclined,
    PaymentSettled,
    PaymentSettlementContradicted,
    PaymentUnresolved,
)
from shared.contracts.values import Card, OrderStatus, PaymentStatus
from shared.core import Context, Decision, Timer
from shared.core.fast_dataclasses import replace

PENDING = OrderStatus.PENDING_PAYMENT
CHECKED = "The payment is being checked with the payment provider."
CLOSED_UNPAID = frozenset({OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.DECLINED})


# Stock


@on_fact(StockReserved)
def reserved(order: Order, message: StockReserved, context: Context) -> Decision[Order]:
    note = Note(message.type, "The stock is set aside.")
    if order.status is not PENDING or order.reserved:
        return too_late(order, context, note)
    order = replace(order, reserved=True)
    if order.purchased == 0:
        return _paid(order, context, [note, Note("order.paid", "It costs nothing: paid.")], None)
    after, event = request_payment(order, context)
    return changed(after, context, [note], [event])


@on_fact(StockRefused)
def sold_out(order: Order, message: StockRefused, context: Context) -> Decision[Order]:
    note = Note(message.type, f"Sold out: {', '.join(message.skus)}.", {"skus": list(message.skus)})
    if order.status is not PENDING or order.reserved:
        return too_late(order, context, note)
    return close(order, context, note, reason="Sold out.", code="sold_out", sold_out=message.skus)


def request_payment(order: Order, context: Context) -> tuple[Order, OrderPaymentRequested]:
    """The next attempt, by the customer's choice, which is not kept."""
    assert order.customer is not None
    after = replace(
        order,
        attempts=order.attempts + 1,
        charge=Charge.UNDER_WAY,
        choice=None,
        payment_status=PaymentStatus.PENDING,
        pay_url=None,
        message=None,
    )
    event = OrderPaymentRequested(
        attempt=after.attempts,
        number=order.number,
        store=order.store.id,
        amount=order.purchased,
        currency=order.currency,
        items=tuple(line.item for line in order.lines),
        customer_email=order.customer.email,
        return_url=order.page(context.key),
        payment_method=(order.choice.payment_method or None) if order.choice else None,
        token=(order.choice.token or None) if order.choice else None,
        statement_descriptor=order.statement_descriptor,
        requested_at=context.at,
        until=order.deadline,
    )
    return after, event


# The result of an attempt


@on_fact(PaymentCaptured)
def captured(order: Order, message: PaymentCaptured, context: Context) -> Decision[Order]:
    """Paid, whichever attempt it was. What comes after the end of the order, or a second time, payments gives back."""
    by = f" with {card_name(message.card)}" if message.card else ""
    detail = message.model_dump(mode="json", exclude={"card"}) | {"card": card_name(message.card)}
    note = Note(message.type, f"{money(message.amount, message.currency)} captured{by}.", detail)
    if order.paid or order.status not in CLOSED_UNPAID | {PENDING}:
        return too_late(order, context, note)
    if (message.amount, message.currency) != (order.purchased, order.currency):
        text = f"Captured {money(message.amount, message.currency)}, which is not the order's amount."
        return changed(replace(order, message=text), context, [replace(note, text=text)])
    if order.status is PENDING:
        return _paid(order, context, [note, Note("order.paid", "Paid in full: delivery begins.")], message.card)
    late = replace(order, paid=order.purchased, payment_status=PaymentStatus.PAID, charge=Charge.NONE)
    text = f"{note.text} The order is {order.status}: payments gives it back."
    return changed(replace(late, paid_at=context.at), context, [replace(note, text=text)])


def _paid(order: Order, context: Context, notes: list[Note], card: Card | None) -> Decision[Order]:
    after = replace(
        moved(order, OrderStatus.PROCESSING, context.at),
        paid=order.purchased,
        payment_status=PaymentStatus.PAID,
        charge=Charge.NONE,
        paid_at=context.at,
    )
    event = OrderPaid(amount=order.purchased, currency=order.currency, card=card)
    return changed(after, context, notes, [event], cancel=[GraceOver])


@on_fact(PaymentDeclined)
def declined(order: Order, message: PaymentDeclined, context: Context) -> Decision[Order]:
    """The customer gets the whole grace period again."""
    detail = {
        "attempt": message.attempt,
        "code": message.code,
        "card": card_name(message.card),
        "provider": message.detail,
    }
    note = Note(message.type, f"Attempt {message.attempt} was declined: {message.text}", detail)
    if not _awaited(order, message.attempt):
        return too_late(order, context, note)
    until = context.at + order.grace
    after = replace(
        order,
        charge=Charge.NONE,
        payment_status=PaymentStatus.FAILED,
        deadline=until,
        pay_url=order.page(context.key),
        message=message.text or None,
    )
    event = OrderPaymentDeclined(
        attempt=message.attempt,
        code=message.reason or "card_declined",
        text=message.text,
        url=order.page(context.key),
        until=until,
    )
    return changed(after, context, [note], [event], [Timer(until, GraceOver())])


@on_fact(PaymentActionRequired)
def action_required(order: Order, message: PaymentActionRequired, context: Context) -> Decision[Order]:
    note = Note(message.type, "The customer must confirm the payment with the bank.", {"attempt": message.attempt})
    if not _awaited(order, message.attempt):
        return too_late(order, context, note)
    assert order.deadline is not None
    after = replace(order, charge=Charge.ACTION_REQUIRED, pay_url=message.url, message=note.text)
    return changed(after, context, [note], [OrderPaymentActionRequired(url=message.url, until=order.deadline)])


@on_fact(PaymentUnresolved)
def unresolved(order: Order, message: PaymentUnresolved, context: Context) -> Decision[Order]:
    text = f"Outcome of payment attempt {message.attempt} unknown: it is checked with the provider."
    note = Note(message.type, text, {"attempt": message.attempt, "provider": message.text})
    after = replace(order, message=CHECKED)
    if _awaited(order, message.attempt):
        after = replace(after, charge=Charge.UNRESOLVED, pay_url=None)
    return changed(after, context, [note])


@on_fact(PaymentSettled)
def settled(order: Order, message: PaymentSettled, context: Context) -> Decision[Order]:
    """What follows from it is told beside it."""
    what = f"refund {message.refund}" if message.refund else f"payment attempt {message.attempt}"
    detail = {"attempt": message.attempt, "refund": message.refund, "reference": message.reference}
    note = Note(message.type, f"Settled by hand: {what} was {message.outcome}. {message.reason}", detail)
    return noted(order, context, note)


@on_fact(PaymentSettlementContradicted)
def settlement_contradicted(order: Order, message: PaymentSettlementContradicted, context: Context) -> Decision[Order]:
    note = Note(
        message.type, f"Needs attention: {message.text}", {"attempt": message.attempt, "refund": message.refund}
    )
    return noted(order, context, note)


@on_fact(PaymentCancelled)
def called_off(order: Order, message: PaymentCancelled, context: Context) -> Decision[Order]:
    note = Note(message.type, f"Attempt {message.attempt} was called off.", {"attempt": message.attempt})
    if not _awaited(order, message.attempt):
        return noted(order, context, note)
    return changed(replace(order, charge=Charge.NONE, pay_url=order.page(context.key)), context, [note])


def _awaited(order: Order, attempt: int) -> bool:
    """The order waits for the result of this attempt."""
    return order.status is PENDING and order.charge is not Charge.NONE and order.attempts == attempt
