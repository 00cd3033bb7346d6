"""Reminders of customers who have not paid, at the times that the store has set."""

from __future__ import annotations

from datetime import datetime

from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import ChargeState, Order, PaymentReminder, orders, required
from services.checkout.domain.pay_page import page_of
from services.checkout.domain.tries import tries_left
from shared.contracts.checkout import OrderPaymentReminder
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision

NOT_NOW = (ChargeState.IN_PROGRESS, ChargeState.UNRESOLVED)


def remind_from(change: OrderChange, start: datetime) -> None:
    """Count the reminders from this time on."""
    if change.state.reminders:
        change.set(reminded=0)
        change.timer(start + change.state.reminders[0], PaymentReminder())


def cancel_reminders(change: OrderChange) -> None:
    if change.state.reminders:
        change.cancel_timer(PaymentReminder)


def _start(order: Order) -> datetime:
    return order.declined_at or order.payable_since or order.placed_at or order.created_at


@orders.on(PaymentReminder)
def payment_reminder(order: Order, timer: PaymentReminder, context: Context) -> Decision[Order]:
    """Only while the customer can act. A time that has passed meanwhile is left out."""
    change, start = OrderChange(order, context), _start(order)
    if why := _no_reminder(order, context.at):
        change.received(OrderPaymentReminder.type, "Time to remind of the payment.")
        return change.without_effect(why)
    due = sum(start + wait <= context.at for wait in order.reminders)
    if due <= order.reminded:  # a later start was set since
        change.timer(start + order.reminders[order.reminded], PaymentReminder())
        return change.decision()
    change.set(reminded=due)
    if due < len(order.reminders):
        change.timer(start + order.reminders[due], PaymentReminder())
    if order.pay_url and order.charge not in NOT_NOW and tries_left(order):
        change.publish(
            OrderPaymentReminder(
                reminder=due,
                amount=order.purchased,
                currency=order.currency,
                url=order.page(context.key),
                until=required(order.deadline, "deadline"),
                declined=order.declined_at is not None,
                page=page_of(order, context.key),
            )
        )
    else:
        text = f"Reminder {due} left out: it cannot be paid now."
        change.note(OrderPaymentReminder.type, text, actor="system")
    return change.decision()


def _no_reminder(order: Order, at: datetime) -> str:
    """Why the timer comes too late; empty: it does not."""
    if order.status is not OrderStatus.PENDING_PAYMENT:
        return f"the order is {order.status_in_words}"
    if order.is_closing or order.is_overdue(at):
        return "the time to pay is over"
    return "all reminders were sent" if order.reminded >= len(order.reminders) else ""
