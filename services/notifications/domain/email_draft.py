"""Emails before they have a recipient: subject and data of each template (`templates/<template>.html` and `.txt`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import Audience, SendEmail
from shared.contracts.checkout import (
    DeliveredItem,
    OrderCancelled,
    OrderPaymentActionRequired,
    OrderPaymentDeclined,
    OrderPaymentReminder,
    OrderRefunded,
    OrderStrayCharge,
)
from shared.contracts.delivery_work import OrderWaitsForStaff
from shared.contracts.providers import MANUAL
from shared.contracts.text import greeted, without_links
from shared.contracts.times import moment
from shared.contracts.values import order_page
from shared.core import Context
from shared.core.money import Money

TEMPLATES: dict[str, tuple[str, ...]] = {
    "paid": ("order_confirmation", "new_order"),
    "declined": ("payment_failed",),
    "action_required": ("confirm_payment",),
    "reminded": ("payment_reminder",),
    "delivered": ("delivery",),
    "shipped": ("shipment",),
    "delivery_failed": ("delivery_failure",),
    "delivery_waiting": ("delivery_waiting",),
    "supply_low": ("supply_low",),
    "waits_for_staff": ("waits_for_staff",),
    "failed": ("order_failed",),
    "cancelled": ("cancellation",),
    "expired": ("expiry",),
    "refunded": ("refund",),
    "refund_failed": ("refund_failure",),
    "refund_returned": ("refund_failure", "refund_returned"),
    "stray_charge": ("stray_charge",),
}
"""Emails by kind of fact."""
ROUNDING_UP = timedelta(minutes=1) - timedelta.resolution
"""Times for people have no seconds."""


@dataclass(frozen=True, slots=True)
class EmailDraft:
    """`data` goes to the template, along with what every template gets."""

    template: str
    subject: str
    audience: Audience = "customer"
    data: dict[str, Any] = field(default_factory=dict)
    pay_until: datetime | None = None
    """It asks the customer to pay until then, and there is a pay page."""


def order_confirmation(log: NotificationLog) -> EmailDraft:
    return EmailDraft("order_confirmation", f"Your order {log.number}", data=totals(log))


def new_order(log: NotificationLog) -> EmailDraft:
    amount = money(log, log.purchased)
    return EmailDraft("new_order", f"New order {log.number}: {amount}", "staff", totals(log))


def payment_failed(log: NotificationLog, declined: OrderPaymentDeclined) -> EmailDraft:
    data = {
        "url": declined.url,
        "until": moment(declined.until, log.store.time_zone),
        "reason": declined.text,
        "amount": money(log, log.purchased),
        "no_try_left": declined.tries_left == 0,
        "next_try": next_try(declined, log.store.time_zone),
    }
    subject = f"The payment for order {log.number} did not go through"
    return EmailDraft("payment_failed", subject, data=data, pay_until=_pay_until(declined))


def next_try(declined: OrderPaymentDeclined, zone: str | None) -> str:
    """What the customer can do after a declined payment, and until when."""
    until = moment(declined.until, zone)
    if declined.tries_left == 0:
        return (
            f"The order cannot be paid again: no further try is left. Contact us before {until} if you still want it."
        )
    start = f"from {moment(declined.retry_after + ROUNDING_UP, zone)} until" if declined.retry_after else "until"
    left = f" You can try {_times(declined.tries_left)} more." if declined.tries_left else ""
    return f"You can pay again {start} {until}, with the same card or another one.{left}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def payment_reminder(log: NotificationLog, event: OrderPaymentReminder) -> EmailDraft:
    data = {
        "url": event.url,
        "until": moment(event.until, log.store.time_zone),
        "amount": money(log, event.amount),
        "declined": event.declined,
    }
    subject = f"Your order {log.number} is not paid yet"
    return EmailDraft("payment_reminder", subject, data=data, pay_until=_pay_until(event))


def confirm_payment(log: NotificationLog, event: OrderPaymentActionRequired) -> EmailDraft:
    until = moment(event.until, log.store.time_zone)
    data = {"url": event.url, "until": until, "amount": money(log, log.purchased)}
    subject = f"Please confirm the payment for order {log.number}"
    return EmailDraft("confirm_payment", subject, data=data, pay_until=_pay_until(event))


def _pay_until(
    event: OrderPaymentActionRequired | OrderPaymentDeclined | OrderPaymentReminder,
) -> datetime | None:
    """A checkout of an older build told payments nothing for the pay page: there is none. Nor is there one for who can
    pay by hand only."""
    on_page = event.page is not None and any(provider != MANUAL for provider in event.page.providers)
    return event.until if on_page else None


def delivery(log: NotificationLog, items: Sequence[DeliveredItem]) -> EmailDraft:
    return EmailDraft("delivery", f"Your purchase is ready: order {log.number}", data={"items": _delivered(log, items)})


def shipment(log: NotificationLog, items: Sequence[DeliveredItem]) -> EmailDraft:
    subject = f"Your parcel is on its way: order {log.number}"
    return EmailDraft("shipment", subject, data={"items": _delivered(log, items)})


def refund(log: NotificationLog, message: OrderRefunded) -> EmailDraft:
    data = {
        "amount": money(log, message.amount),
        "refunded": money(log, message.refunded),
        "whole": message.whole,
        "recorded": message.recorded,
    }
    return EmailDraft("refund", f"A refund for order {log.number}: {data['amount']}", data=data)


def cancellation(log: NotificationLog, message: OrderCancelled) -> EmailDraft:
    # What a customer writes goes to no address that the customer names.
    reason = "" if message.code == "abandoned" else without_links(message.reason)
    data = {"sold_out": message.code == "sold_out", "paid": log.paid, "reason": reason}
    return EmailDraft("cancellation", f"Order {log.number} was cancelled", data=data)


def expiry(log: NotificationLog) -> EmailDraft:
    return EmailDraft("expiry", f"Order {log.number} has expired")


def delivery_failure(log: NotificationLog, item: str, product: str, text: str) -> EmailDraft:
    data = {"item": item, "product": product, "reason": text}
    return EmailDraft("delivery_failure", f"Delivery failed: order {log.number}, {product}", "staff", data)


def delivery_waits(log: NotificationLog, item: str, product: str, text: str) -> EmailDraft:
    data = {"item": item, "product": product, "reason": text}
    return EmailDraft("delivery_waiting", f"Delivery waits for you: order {log.number}, {product}", "staff", data)


def supply_low(log: NotificationLog, what: str, text: str) -> EmailDraft:
    return EmailDraft("supply_low", f"Little is left: {what}", "staff", {"what": what, "reason": text})


def waits_for_staff(log: NotificationLog, event: OrderWaitsForStaff) -> EmailDraft:
    data = {"what": event.what, "since": moment(event.since), "reason": event.text}
    subject = f"{'Still waits' if event.again else 'Waits'} for you: order {log.number}, {event.what}"
    return EmailDraft("waits_for_staff", subject, "staff", data)


def refund_returned(log: NotificationLog, amount: int) -> EmailDraft:
    data = {"amount": money(log, amount)}
    return EmailDraft("refund_returned", f"Your refund for order {log.number} was sent back by the bank", data=data)


def refund_failure(log: NotificationLog, amount: int, text: str, *, returned: bool = False) -> EmailDraft:
    data = {"amount": money(log, amount), "reason": text, "returned": returned}
    return EmailDraft("refund_failure", f"Refund failed: order {log.number}, {data['amount']}", "staff", data)


def stray_charge(log: NotificationLog, event: OrderStrayCharge) -> EmailDraft:
    data = {"amount": str(Money(event.amount, event.currency)), "transaction": event.transaction}
    return EmailDraft("stray_charge", f"A strange charge names order {log.number}: {data['amount']}", "staff", data)


def order_failed(log: NotificationLog, reason: str) -> EmailDraft:
    return EmailDraft("order_failed", f"Order {log.number} needs attention", "staff", {"reason": reason})


def addressed(draft: EmailDraft, log: NotificationLog, fact: str, context: Context) -> SendEmail:
    """The call that sends it. The Message-ID is the same when the message is decided again."""
    store, to_staff = log.store, draft.audience == "staff"
    id = context.named_id("email", fact, draft.template, draft.audience)
    return SendEmail(
        message_id=f"<{id.hex}@{message_id_domain(store.sender)}>",
        template=draft.template,
        audience=draft.audience,
        to=store.staff_email if to_staff else log.customer.email,
        sender=store.sender,
        sender_name=store.name,
        reply_to=log.customer.email if to_staff else store.support_email,
        subject=draft.subject,
        at=context.at,
        data={
            "number": log.number,
            "order_url": order_page(store.order_url, context.key),
            "store": store.name,
            "support": store.support_email,
            "greeting": greeted(log.customer.name),
            "customer": {"name": without_links(log.customer.name), "email": log.customer.email},
            **draft.data,
            **pay_link_of(context.key, draft.pay_until),
        },
    )


def pay_link_of(order: str, until: datetime | None) -> dict[str, Any]:
    """What the gateway makes the link to the pay page of, instead of `url`, where there is such a page."""
    return {"pay": {"order": order, "until": until.isoformat()}} if until else {}


def totals(log: NotificationLog) -> dict[str, Any]:
    """The order's lines and sums for people. Sums that are zero are left out."""
    included, added = (log.tax, 0) if log.prices_include_tax else (0, log.tax)
    sums = [("Subtotal", log.subtotal), ("Tax", added), ("Discount", -log.discount)]
    return {
        "lines": [
            {"product": line.product, "quantity": line.quantity, "amount": money(log, line.line_total)}
            for line in log.lines
        ],
        "sums": [{"name": name, "amount": money(log, amount)} for name, amount in sums if amount],
        "amount": money(log, log.purchased),
        "included_tax": money(log, included) if included else "",
    }


def money(log: NotificationLog, amount: int) -> str:
    return str(Money(amount, log.currency))


def _delivered(log: NotificationLog, items: Sequence[DeliveredItem]) -> list[dict[str, Any]]:
    """What templates show of each item; empty texts for missing values."""
    return [
        {
            "product": item.product,
            "quantity": item.quantity,
            "kind": item.instructions.kind,
            "link": item.instructions.link or "",
            "expires": moment(item.instructions.expires, log.store.time_zone) if item.instructions.expires else "",
            "code": item.instructions.code or "",
            "codes": list(item.instructions.codes),
            "carrier": item.instructions.carrier or "",
            "tracking": item.instructions.tracking or "",
            "note": item.instructions.note or "",
        }
        for item in items
    ]


def message_id_domain(address: str) -> str:
    """The right-hand side of a Message-ID: the sender's domain, if it is a plain one."""
    domain = address.rpartition("@")[2]
    return domain if len(domain) <= 120 and re.fullmatch(r"[A-Za-z0-9.-]+", domain) else "mail.invalid"
