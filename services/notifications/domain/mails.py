"""What each mail says: its subject and the data of its template (`templates/<template>.html` and `.txt`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from services.notifications.domain.operations import SendEmail
from services.notifications.domain.state import Audience, Mail, NotificationLog
from shared.contracts.checkout import DeliveredItem, OrderCancelled, OrderRefunded
from shared.contracts.values import order_page
from shared.core import Context
from shared.core.money import Money

TEMPLATES: dict[str, tuple[str, ...]] = {
    "paid": ("order_confirmation", "new_order"),
    "declined": ("payment_failed",),
    "action_required": ("confirm_payment",),
    "delivered": ("delivery",),
    "shipped": ("shipment",),
    "delivery_failed": ("delivery_failure",),
    "failed": ("order_failed",),
    "cancelled": ("cancellation",),
    "expired": ("expiry",),
    "refunded": ("refund",),
    "refund_failed": ("refund_failure",),
}
"""Mails by kind of fact."""


@dataclass(frozen=True, slots=True)
class EmailDraft:
    """A mail to be. `data` goes to its template beside what every template gets."""

    template: str
    subject: str
    audience: Audience = "customer"
    data: dict[str, Any] = field(default_factory=dict)


def order_confirmation(thread: NotificationLog) -> EmailDraft:
    return EmailDraft("order_confirmation", f"Your order {thread.number}", data=totals(thread))


def new_order(thread: NotificationLog) -> EmailDraft:
    amount = money(thread, thread.purchased)
    return EmailDraft("new_order", f"New order {thread.number}: {amount}", "staff", totals(thread))


def payment_failed(thread: NotificationLog, url: str, until: datetime, text: str) -> EmailDraft:
    data = {"url": url, "until": moment(until), "reason": text, "amount": money(thread, thread.purchased)}
    return EmailDraft("payment_failed", f"The payment for order {thread.number} did not go through", data=data)


def confirm_payment(thread: NotificationLog, url: str, until: datetime) -> EmailDraft:
    data = {"url": url, "until": moment(until), "amount": money(thread, thread.purchased)}
    return EmailDraft("confirm_payment", f"Please confirm the payment for order {thread.number}", data=data)


def delivery(thread: NotificationLog, items: Sequence[DeliveredItem]) -> EmailDraft:
    return EmailDraft("delivery", f"Your purchase is ready: order {thread.number}", data={"items": _delivered(items)})


def shipment(thread: NotificationLog, items: Sequence[DeliveredItem]) -> EmailDraft:
    return EmailDraft(
        "shipment", f"Your parcel is on its way: order {thread.number}", data={"items": _delivered(items)}
    )


def refund(thread: NotificationLog, message: OrderRefunded) -> EmailDraft:
    data = {
        "amount": money(thread, message.amount),
        "refunded": money(thread, message.refunded),
        "whole": message.whole,
    }
    return EmailDraft("refund", f"A refund for order {thread.number}: {data['amount']}", data=data)


def cancellation(thread: NotificationLog, message: OrderCancelled) -> EmailDraft:
    data = {"sold_out": message.code == "sold_out", "paid": thread.paid, "reason": message.reason}
    return EmailDraft("cancellation", f"Order {thread.number} was cancelled", data=data)


def expiry(thread: NotificationLog) -> EmailDraft:
    return EmailDraft("expiry", f"Order {thread.number} has expired")


def delivery_failure(thread: NotificationLog, item: str, product: str, text: str) -> EmailDraft:
    data = {"item": item, "product": product, "reason": text}
    return EmailDraft("delivery_failure", f"Delivery failed: order {thread.number}, {product}", "staff", data)


def refund_failure(thread: NotificationLog, amount: int, text: str) -> EmailDraft:
    data = {"amount": money(thread, amount), "reason": text}
    return EmailDraft("refund_failure", f"Refund failed: order {thread.number}, {data['amount']}", "staff", data)


def order_failed(thread: NotificationLog, reason: str) -> EmailDraft:
    return EmailDraft("order_failed", f"Order {thread.number} needs a person", "staff", {"reason": reason})


def write(thread: NotificationLog, fact: str, letter: EmailDraft, context: Context) -> tuple[Mail, SendEmail]:
    """The mail as remembered and the call that sends it."""
    store, staff = thread.store, letter.audience == "staff"
    named = context.named_id("mail", fact, letter.template, letter.audience)
    identity = f"<{named.hex}@{_mail_domain(store.sender)}>"
    operation = SendEmail(
        message_id=identity,
        template=letter.template,
        audience=letter.audience,
        to=store.staff_email if staff else thread.customer.email,
        sender=store.sender,
        sender_name=store.name,
        reply_to=thread.customer.email if staff else store.support_email,
        subject=letter.subject,
        at=context.at,
        data={
            "number": thread.number,
            "order_url": order_page(store.order_url, context.key),
            "store": store.name,
            "support": store.support_email,
            "customer": {"name": thread.customer.name, "email": thread.customer.email},
            **letter.data,
        },
    )
    return Mail(identity, fact, letter.template, letter.audience), operation


def totals(thread: NotificationLog) -> dict[str, Any]:
    """The order's lines and sums for people. Sums that are zero are left out."""
    sums = [("Subtotal", thread.subtotal), ("Tax", thread.tax), ("Discount", -thread.discount)]
    return {
        "lines": [
            {"product": line.product, "quantity": line.quantity, "amount": money(thread, line.line_total)}
            for line in thread.lines
        ],
        "sums": [{"name": name, "amount": money(thread, amount)} for name, amount in sums if amount],
        "amount": money(thread, thread.purchased),
    }


def money(thread: NotificationLog, amount: int) -> str:
    return str(Money(amount, thread.currency))


def moment(at: datetime) -> str:
    """`3 March 2026, 14:05 UTC`: the customer's time zone is not known."""
    utc = at.astimezone(UTC)
    return f"{utc.day} {_MONTHS[utc.month - 1]} {utc.year}, {utc:%H:%M} UTC"


_MONTHS = (
    "January February March April May June July August September October November December".split()
)  # strftime's names follow the machine's locale


def _delivered(items: Sequence[DeliveredItem]) -> list[dict[str, Any]]:
    """What templates show of each item; empty where there is nothing."""
    return [
        {
            "product": item.product,
            "quantity": item.quantity,
            "kind": item.instructions.kind,
            "link": item.instructions.link or "",
            "expires": moment(item.instructions.expires) if item.instructions.expires else "",
            "code": item.instructions.code or "",
            "carrier": item.instructions.carrier or "",
            "tracking": item.instructions.tracking or "",
            "note": item.instructions.note or "",
        }
        for item in items
    ]


def _mail_domain(address: str) -> str:
    """The right-hand side of a Message-ID: the sender's domain where it is a plain one."""
    domain = address.rpartition("@")[2]
    return domain if len(domain) <= 120 and re.fullmatch(r"[A-Za-z0-9.-]+", domain) else "mail.invalid"
