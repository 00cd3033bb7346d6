"""What each event of an order brings: facts, emails, feed entries and webhook deliveries.

order event ──► facts ──► emails, feed entries, a delivery to each endpoint that subscribes to the fact's webhook events
"""

from __future__ import annotations

from collections.abc import Iterable

from services.notifications.domain import email_draft
from services.notifications.domain.change import NotificationChange
from services.notifications.domain.email_draft import moment, money
from services.notifications.domain.endpoint import Endpoints
from services.notifications.domain.notification_log import Customer, Line, NotificationLog, notification_logs
from services.notifications.domain.words import for_customer, for_staff, own_word
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
from shared.contracts.values import OrderItem, OrderStatus
from shared.core import Context, Decision, Ref
from shared.languages import Language


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
    change.add_fact("placed", status=OrderStatus.RECEIVED if event.to_approve else OrderStatus.PENDING_PAYMENT)
    if not event.to_approve:  # else `order.approval_requested` says what it waits for
        words = for_customer(log)
        title = words.gettext("Order %(number)s received", number=log.number)
        change.notify_customer("order_placed", title, words.gettext("We are waiting for your payment."))
    return change.decision()


def _line(item: OrderItem) -> Line:
    return Line(item.product, item.quantity, item.unit_price, item.line_total, item.is_delivery_charge)


@notification_logs.on(OrderPaid, reads=endpoints_of)
def paid(log: NotificationLog, event: OrderPaid, context: Context) -> Decision[NotificationLog]:
    change, number, words, staff = NotificationChange(log, context), log.number, for_customer(log), for_staff(log)
    change.set(paid=True)
    if log.fact("paid") is None:
        change.set(amount_paid=event.amount)
    if change.add_fact("paid", status=OrderStatus.PROCESSING):
        paid = event.amount
        change.send_emails(email_draft.order_confirmation(log, paid), email_draft.new_order(log, paid))
        title = status_title(log, OrderStatus.PROCESSING, words.gettext("Order %(number)s is paid", number=number))
        thanks = words.gettext("%(amount)s. Thank you!", amount=money(log, paid))
        change.notify_customer("order_paid", title, thanks if paid else words.gettext("There is nothing to pay."))
        amount, title = money(log, paid, staff), staff.gettext("New order %(number)s", number=number)
        text = staff.gettext("%(amount)s from %(name)s.", amount=amount, name=log.customer.name)
        change.notify_staff("new_order", title, text)
    return change.decision()


def status_title(log: NotificationLog, status: OrderStatus, title: str) -> str:
    """A feed entry's title about an order's new status: in the store's word, if it has one."""
    word = own_word(log, status)
    if word is None:
        return title
    return for_customer(log).gettext("Order %(number)s: %(status)s", number=log.number, status=word)


@notification_logs.on(OrderPaymentDeclined)
def payment_declined(log: NotificationLog, event: OrderPaymentDeclined, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("declined", str(event.attempt)):
        email = email_draft.payment_failed(log, event)
        change.send_emails(email)
        text = f"{for_customer(log).known(event.text)} {email_draft.next_try(log, event)}".strip()
        change.notify_customer("payment_failed", email.subject, text, event.url)
    return change.decision()


@notification_logs.on(OrderPaymentActionRequired)
def payment_action_required(
    log: NotificationLog, event: OrderPaymentActionRequired, context: Context
) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("action_required", each_time=True):
        email = email_draft.confirm_payment(log, event)
        change.send_emails(email)
        text = for_customer(log).gettext(
            "Your bank asks you to confirm it by %(until)s.", until=moment(log, event.until)
        )
        change.notify_customer("confirm_payment", email.subject, text, event.url)
    return change.decision()


@notification_logs.on(OrderPaymentReminder)
def payment_reminder(log: NotificationLog, event: OrderPaymentReminder, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("reminded", each_time=True):
        email = email_draft.payment_reminder(log, event)
        change.send_emails(email)
        amount, until = money(log, event.amount), moment(log, event.until)
        text = for_customer(log).gettext("Please pay %(amount)s by %(until)s.", amount=amount, until=until)
        change.notify_customer("payment_reminder", email.subject, text, event.url)
    return change.decision()


@notification_logs.on(OrderItemsDelivered)
def items_delivered(log: NotificationLog, event: OrderItemsDelivered, context: Context) -> Decision[NotificationLog]:
    """Parcels and what can be used at once are two facts with an email each."""
    change, number, words = NotificationChange(log, context), log.number, for_customer(log)
    parcels = [item for item in event.items if item.instructions.kind == "shipment"]
    others = [item for item in event.items if item.instructions.kind != "shipment"]
    if others and change.add_fact("delivered", each_time=True):
        change.send_emails(email_draft.delivery(log, others))
        products = ", ".join(item.product for item in others)
        title = words.gettext("Order %(number)s: your purchase is ready", number=number)
        change.notify_customer("delivered", title, products)
    if parcels and change.add_fact("shipped", each_time=True):
        change.send_emails(email_draft.shipment(log, parcels))
        products = ", ".join(item.product for item in parcels)
        title = words.gettext("Order %(number)s: your parcel is on its way", number=number)
        change.notify_customer("shipped", title, products)
    return change.decision()


@notification_logs.on(OrderDeliveryFailed)
def delivery_failed(log: NotificationLog, event: OrderDeliveryFailed, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("delivery_failed", each_time=True):
        email = email_draft.delivery_failure(log, event.item, event.product, event.text)
        change.send_emails(email)
        change.notify_staff("delivery_failure", email.subject, event.text)
    return change.decision()


@notification_logs.on(OrderDeliveryWaiting)
def delivery_waiting(log: NotificationLog, event: OrderDeliveryWaiting, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("delivery_waiting", each_time=True):
        email = email_draft.delivery_waits(log, event.item, event.product, event.text)
        change.send_emails(email)
        change.notify_staff("delivery_waiting", email.subject, event.text)
    return change.decision()


@notification_logs.on(OrderSupplyLow)
def supply_low(log: NotificationLog, event: OrderSupplyLow, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("supply_low", each_time=True):
        email = email_draft.supply_low(log, event.what, event.text)
        change.send_emails(email)
        change.notify_staff("supply_low", email.subject, event.text)
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
    """The customer is told in the store's words, and by email only the first time. Of an order that cannot be paid any
    more the customer was told why by what failed last."""
    change, words = NotificationChange(log, context), for_customer(log)
    if not event.unpaid:
        change.set(failed=True)
    if change.add_fact("failed", each_time=True, status=OrderStatus.FAILED):
        alert, problem = email_draft.order_failed(log, event.reason), email_draft.order_problem(log)
        change.send_emails(alert)
        if not event.unpaid:
            text = words.gettext("Our staff are working on it. You do not need to do anything.")
            change.notify_customer("order_failed", problem.subject, text)
        change.notify_staff("order_failed", alert.subject, event.reason)
        if not event.unpaid and change.add_fact("problem"):
            change.send_emails(problem)
    return change.decision()


@notification_logs.on(OrderDeliveryResumed, reads=endpoints_of)
def delivery_resumed(log: NotificationLog, event: OrderDeliveryResumed, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if log.failed:  # otherwise the order's status is as before
        change.set(failed=False)
        change.add_fact("resumed", each_time=True, status=event.status)
    return change.decision()


@notification_logs.on(OrderCompleted, reads=endpoints_of)
def completed(log: NotificationLog, event: OrderCompleted, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    change.set(failed=False)
    if change.add_fact("completed", status=OrderStatus.COMPLETED):
        words = for_customer(log)
        title = words.gettext("Order %(number)s is complete", number=log.number)
        text = "" if event.by_hand else words.gettext("Everything has been delivered.")
        change.notify_customer("order_completed", status_title(log, OrderStatus.COMPLETED, title), text)
    return change.decision()


@notification_logs.on(OrderCancelled, reads=endpoints_of)
def cancelled(log: NotificationLog, event: OrderCancelled, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("cancelled", status=OrderStatus.CANCELLED):
        email = email_draft.cancellation(log, event)
        change.send_emails(email)
        title = status_title(log, OrderStatus.CANCELLED, email.subject)
        change.notify_customer("order_cancelled", title, about_money(log, event))
        title = for_staff(log).gettext("Order %(number)s was cancelled", number=log.number)
        change.notify_staff("order_cancelled", title, event.reason or event.code)
    return change.decision()


def about_money(log: NotificationLog, event: OrderCancelled) -> str:
    words = for_customer(log)
    if event.code == "sold_out":
        return words.gettext("It is sold out. You were not charged.")
    return words.gettext("Your payment will be refunded.") if log.paid else ""


@notification_logs.on(OrderExpired, reads=endpoints_of)
def expired(log: NotificationLog, event: OrderExpired, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("expired", status=OrderStatus.EXPIRED):
        email = email_draft.expiry(log)
        change.send_emails(email)
        title = status_title(log, OrderStatus.EXPIRED, email.subject)
        change.notify_customer("order_expired", title, for_customer(log).gettext("It was not paid in time."))
    return change.decision()


@notification_logs.on(OrderRefunded, reads=endpoints_of)
def refunded(log: NotificationLog, event: OrderRefunded, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("refunded", event.refund, status=event.status, refund=event.amount):
        change.send_emails(email_draft.refund(log, event))
        change.notify_customer("refund", _refunded_title(for_customer(log), log, event))
        change.notify_staff("refund", _refunded_title(for_staff(log), log, event), event.reason)
    return change.decision()


def _refunded_title(words: Language, log: NotificationLog, event: OrderRefunded) -> str:
    amount = money(log, event.amount, words)
    return words.gettext("%(amount)s of order %(number)s was refunded", amount=amount, number=log.number)


@notification_logs.on(OrderRefundFailed, reads=endpoints_of)
def refund_failed(log: NotificationLog, event: OrderRefundFailed, context: Context) -> Decision[NotificationLog]:
    """The customer is told of one that the bank sent back, since of any other nothing was said before."""
    change, words = NotificationChange(log, context), for_staff(log)
    kind = "refund_returned" if event.returned else "refund_failed"
    if change.add_fact(kind, each_time=True, status=event.status, refund=event.amount):
        change.send_emails(email_draft.refund_failure(log, event.amount, event.text, returned=event.returned))
        about = {"number": log.number, "amount": money(log, event.amount, words)}
        if event.returned:
            title = words.gettext("Refund sent back: order %(number)s, %(amount)s", **about)
        else:
            title = words.gettext("Refund failed: order %(number)s, %(amount)s", **about)
        change.notify_staff("refund_failure", title, event.text)
        if event.returned:
            change.send_emails(email_draft.refund_returned(log, event.amount))
            amount = money(log, event.amount)
            title = for_customer(log).gettext("Your refund of %(amount)s was sent back by the bank", amount=amount)
            change.notify_customer("refund_returned", title)
    return change.decision()


@notification_logs.on(OrderStrayCharge)
def stray_charge(log: NotificationLog, event: OrderStrayCharge, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    if change.add_fact("stray_charge", event.transaction):
        email = email_draft.stray_charge(log, event)
        change.send_emails(email)
        text = for_staff(log).gettext("%(charge)s: see the provider's dashboard.", charge=event.transaction)
        change.notify_staff("stray_charge", email.subject, text)
    return change.decision()
