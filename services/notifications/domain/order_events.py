"""What each event of an order brings: facts, emails, feed entries and webhook deliveries.

order event ──► facts ──► emails, feed entries, a delivery to each endpoint that subscribes to the fact's webhook events
"""

from __future__ import annotations

from collections.abc import Iterable

from services.notifications.domain import email_draft
from services.notifications.domain.change import NotificationChange
from services.notifications.domain.email_draft import money
from services.notifications.domain.endpoint import Endpoints
from services.notifications.domain.notification_log import Customer, Line, NotificationLog, notification_logs
from shared.contracts.checkout import (
    OrderCancelled,
    OrderCompleted,
    OrderDeliveryFailed,
    OrderDeliveryResumed,
    OrderDeliveryWaiting,
    OrderExpired,
    OrderFailed,
    OrderItemsDelivered,
    OrderPaid,
    OrderPaymentActionRequired,
    OrderPaymentDeclined,
    OrderPaymentReminder,
    OrderPlaced,
    OrderRefunded,
    OrderRefundFailed,
    OrderStrayCharge,
    OrderSupplyLow,
)
from shared.contracts.delivery_work import OrderWaitsForStaff
from shared.contracts.times import moment
from shared.contracts.values import OrderItem
from shared.core import Context, Decision, Ref


def endpoints_of(event: object, key: str, log: NotificationLog) -> Iterable[Ref[Endpoints]]:
    return [Ref(Endpoints, log.store.id)]


@notification_logs.begins(OrderPlaced, reads=lambda event, key, log: [Ref(Endpoints, event.store.id)])
def placed(log: NotificationLog | None, event: OrderPlaced, context: Context) -> Decision[NotificationLog]:
    if log is not None:
        return Decision(log)
    log = NotificationLog(
        number=event.number,
        store=event.store,
        customer=Customer(event.customer.name, event.customer.email, event.customer.id),
        lines=tuple(map(_line, event.items)),
        currency=event.currency,
        subtotal=event.subtotal,
        discount=event.discount,
        tax=event.tax,
        total=event.total,
        purchased=event.purchased,
        prices_include_tax=event.prices_include_tax,
        locale=event.locale,
    )
    change = NotificationChange(log, context)
    change.add_fact("placed")
    change.notify_customer("order_placed", f"Order {log.number} received", "We are waiting for your payment.")
    return change.decision()


def _line(item: OrderItem) -> Line:
    return Line(item.product, item.quantity, item.unit_price, item.line_total, item.is_delivery_charge)


@notification_logs.on(OrderPaid, reads=endpoints_of)
def paid(log: NotificationLog, event: OrderPaid, context: Context) -> Decision[NotificationLog]:
    change, amount = NotificationChange(log, context), money(log, log.purchased)
    change.set(paid=True)
    if change.add_fact("paid"):
        change.send_emails(email_draft.order_confirmation(log), email_draft.new_order(log))
        change.notify_customer("order_paid", f"Order {log.number} is paid", f"{amount}. Thank you!")
        change.notify_staff("new_order", f"New order {log.number}", f"{amount} from {log.customer.name}.")
    return change.decision()


@notification_logs.on(OrderPaymentDeclined)
def payment_declined(log: NotificationLog, event: OrderPaymentDeclined, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("declined", str(event.attempt)):
        change.send_emails(email_draft.payment_failed(log, event))
        title = f"The payment for order {log.number} did not go through"
        text = f"{event.text} {email_draft.next_try(event, log.store.time_zone)}".strip()
        change.notify_customer("payment_failed", title, text, event.url)
    return change.decision()


@notification_logs.on(OrderPaymentActionRequired)
def payment_action_required(
    log: NotificationLog, event: OrderPaymentActionRequired, context: Context
) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("action_required", each_time=True):
        change.send_emails(email_draft.confirm_payment(log, event))
        title = f"Please confirm the payment for order {log.number}"
        text = f"Your bank asks you to confirm it by {moment(event.until, log.store.time_zone)}."
        change.notify_customer("confirm_payment", title, text, event.url)
    return change.decision()


@notification_logs.on(OrderPaymentReminder)
def payment_reminder(log: NotificationLog, event: OrderPaymentReminder, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("reminded", each_time=True):
        email = email_draft.payment_reminder(log, event)
        change.send_emails(email)
        text = f"Please pay {money(log, event.amount)} by {moment(event.until, log.store.time_zone)}."
        change.notify_customer("payment_reminder", email.subject, text, event.url)
    return change.decision()


@notification_logs.on(OrderItemsDelivered)
def items_delivered(log: NotificationLog, event: OrderItemsDelivered, context: Context) -> Decision[NotificationLog]:
    """Parcels and what can be used at once are two facts with an email each."""
    change, number = NotificationChange(log, context), log.number
    parcels = [item for item in event.items if item.instructions.kind == "shipment"]
    others = [item for item in event.items if item.instructions.kind != "shipment"]
    if others and change.add_fact("delivered", each_time=True):
        change.send_emails(email_draft.delivery(log, others))
        products = ", ".join(item.product for item in others)
        change.notify_customer("delivered", f"Order {number}: your purchase is ready", products)
    if parcels and change.add_fact("shipped", each_time=True):
        change.send_emails(email_draft.shipment(log, parcels))
        products = ", ".join(item.product for item in parcels)
        change.notify_customer("shipped", f"Order {number}: your parcel is on its way", products)
    return change.decision()


@notification_logs.on(OrderDeliveryFailed)
def delivery_failed(log: NotificationLog, event: OrderDeliveryFailed, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("delivery_failed", each_time=True):
        change.send_emails(email_draft.delivery_failure(log, event.item, event.product, event.text))
        title = f"Delivery failed: order {log.number}, {event.product}"
        change.notify_staff("delivery_failure", title, event.text)
    return change.decision()


@notification_logs.on(OrderDeliveryWaiting)
def delivery_waiting(log: NotificationLog, event: OrderDeliveryWaiting, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("delivery_waiting", each_time=True):
        change.send_emails(email_draft.delivery_waits(log, event.item, event.product, event.text))
        title = f"Delivery waits for you: order {log.number}, {event.product}"
        change.notify_staff("delivery_waiting", title, event.text)
    return change.decision()


@notification_logs.on(OrderSupplyLow)
def supply_low(log: NotificationLog, event: OrderSupplyLow, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("supply_low", each_time=True):
        change.send_emails(email_draft.supply_low(log, event.what, event.text))
        change.notify_staff("supply_low", f"Little is left: {event.what}", event.text)
    return change.decision()


@notification_logs.on(OrderWaitsForStaff)
def waits_for_staff(log: NotificationLog, event: OrderWaitsForStaff, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("waits_for_staff", each_time=True):
        email = email_draft.waits_for_staff(log, event)
        change.send_emails(email)
        change.notify_staff("waits_for_staff", email.subject, event.text)
    return change.decision()


@notification_logs.on(OrderFailed, reads=endpoints_of)
def failed(log: NotificationLog, event: OrderFailed, context: Context) -> Decision[NotificationLog]:
    change, number = NotificationChange(log, context), log.number
    change.set(failed=True)
    if change.add_fact("failed", each_time=True):
        change.send_emails(email_draft.order_failed(log, event.reason))
        text = "Our staff are working on it. You do not need to do anything."
        change.notify_customer("order_failed", f"There is a problem with order {number}", text)
        change.notify_staff("order_failed", f"Order {number} needs attention", event.reason)
    return change.decision()


@notification_logs.on(OrderDeliveryResumed, reads=endpoints_of)
def delivery_resumed(log: NotificationLog, event: OrderDeliveryResumed, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if log.failed:  # otherwise the order's status is as before
        change.set(failed=False)
        change.add_fact("resumed", each_time=True)
    return change.decision()


@notification_logs.on(OrderCompleted, reads=endpoints_of)
def completed(log: NotificationLog, event: OrderCompleted, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    change.set(failed=False)
    if change.add_fact("completed"):
        change.notify_customer("order_completed", f"Order {log.number} is complete", "Everything has been delivered.")
    return change.decision()


@notification_logs.on(OrderCancelled, reads=endpoints_of)
def cancelled(log: NotificationLog, event: OrderCancelled, context: Context) -> Decision[NotificationLog]:
    change, title = NotificationChange(log, context), f"Order {log.number} was cancelled"
    if change.add_fact("cancelled"):
        change.send_emails(email_draft.cancellation(log, event))
        change.notify_customer("order_cancelled", title, about_money(log, event))
        change.notify_staff("order_cancelled", title, event.reason or event.code)
    return change.decision()


def about_money(log: NotificationLog, event: OrderCancelled) -> str:
    if event.code == "sold_out":
        return "It is sold out. You were not charged."
    return "Your payment will be refunded." if log.paid else ""


@notification_logs.on(OrderExpired, reads=endpoints_of)
def expired(log: NotificationLog, event: OrderExpired, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("expired"):
        change.send_emails(email_draft.expiry(log))
        change.notify_customer("order_expired", f"Order {log.number} has expired", "It was not paid in time.")
    return change.decision()


@notification_logs.on(OrderRefunded, reads=endpoints_of)
def refunded(log: NotificationLog, event: OrderRefunded, context: Context) -> Decision[NotificationLog]:
    change, title = NotificationChange(log, context), f"{money(log, event.amount)} of order {log.number} was refunded"
    if change.add_fact("refunded", event.refund):
        change.send_emails(email_draft.refund(log, event))
        change.notify_customer("refund", title)
        change.notify_staff("refund", title, event.reason)
    return change.decision()


@notification_logs.on(OrderRefundFailed, reads=endpoints_of)
def refund_failed(log: NotificationLog, event: OrderRefundFailed, context: Context) -> Decision[NotificationLog]:
    """The customer is told of one that the bank sent back, since of any other nothing was said before."""
    change, amount = NotificationChange(log, context), money(log, event.amount)
    if change.add_fact("refund_returned" if event.returned else "refund_failed", each_time=True):
        change.send_emails(email_draft.refund_failure(log, event.amount, event.text, returned=event.returned))
        title = f"Refund {'sent back' if event.returned else 'failed'}: order {log.number}, {amount}"
        change.notify_staff("refund_failure", title, event.text)
        if event.returned:
            change.send_emails(email_draft.refund_returned(log, event.amount))
            change.notify_customer("refund_returned", f"Your refund of {amount} was sent back by the bank")
    return change.decision()


@notification_logs.on(OrderStrayCharge)
def stray_charge(log: NotificationLog, event: OrderStrayCharge, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("stray_charge", event.transaction):
        email = email_draft.stray_charge(log, event)
        change.send_emails(email)
        change.notify_staff("stray_charge", email.subject, f"{event.transaction}: see the provider's dashboard.")
    return change.decision()
