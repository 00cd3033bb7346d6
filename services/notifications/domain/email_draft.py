"""Emails before they have a recipient: subject and data of each template (`templates/<template>.html` and `.txt`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import Audience, SendEmail
from services.notifications.domain.words import for_customer, for_staff, status_word
from shared.contracts.approval import OrderCardNeeded
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
from shared.contracts.values import OrderStatus, order_page
from shared.core import Context
from shared.languages import Language

TEMPLATES: dict[str, tuple[str, ...]] = {
    "paid": ("order_confirmation", "new_order"),
    "received": ("request_received", "new_request"),
    "card_needed": ("card_needed",),
    "accepted": ("request_accepted",),
    "request_declined": ("request_declined",),
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
    "problem": ("order_problem",),
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
    """`data` goes to the template, along with what every template gets. All texts are in the reader's language."""

    template: str
    subject: str
    audience: Audience = "customer"
    data: dict[str, Any] = field(default_factory=dict)
    status: OrderStatus | None = None
    """The order's, if the email is about its change."""
    pay_until: datetime | None = None
    """It asks the customer to pay until then, and there is a pay page."""


def order_confirmation(log: NotificationLog, paid: int) -> EmailDraft:
    subject = for_customer(log).gettext("Your order %(number)s", number=log.number)
    data = totals(log) | {"free": not paid}
    return EmailDraft("order_confirmation", subject, data=data, status=OrderStatus.PROCESSING)


def new_order(log: NotificationLog, paid: int) -> EmailDraft:
    """`paid`: nothing, if staff give it to the customer."""
    words = for_staff(log)
    data = totals(log, words) | {"free": not paid}
    subject = words.gettext("New order %(number)s: %(amount)s", number=log.number, amount=money(log, paid, words))
    return EmailDraft("new_order", subject, "staff", data)


def payment_failed(log: NotificationLog, declined: OrderPaymentDeclined) -> EmailDraft:
    words = for_customer(log)
    data = {
        "url": declined.url,
        "until": moment(log, declined.until),
        "reason": words.known(declined.text),
        "amount": money(log, log.purchased),
        "no_try_left": declined.tries_left == 0,
        "next_try": next_try(log, declined),
    }
    subject = words.gettext("The payment for order %(number)s did not go through", number=log.number)
    return EmailDraft("payment_failed", subject, data=data, pay_until=pay_until(declined))


def next_try(log: NotificationLog, declined: OrderPaymentDeclined) -> str:
    """What the customer can do after a declined payment, and until when."""
    words, until = for_customer(log), moment(log, declined.until)
    if declined.tries_left == 0:
        return words.gettext(
            "The order cannot be paid again: no further try is left. Contact us before %(until)s if you still want it.",
            until=until,
        )
    if declined.retry_after:
        start = moment(log, declined.retry_after + ROUNDING_UP)
        text = words.gettext(
            "You can pay again from %(start)s until %(until)s, with the same card or another one.",
            start=start,
            until=until,
        )
    else:
        text = words.gettext("You can pay again until %(until)s, with the same card or another one.", until=until)
    if not declined.tries_left:
        return text
    left = words.ngettext("You can try once more.", "You can try %(n)s times more.", declined.tries_left)
    return f"{text} {left}"


def payment_reminder(log: NotificationLog, event: OrderPaymentReminder) -> EmailDraft:
    data = {
        "url": event.url,
        "until": moment(log, event.until),
        "amount": money(log, event.amount),
        "declined": event.declined,
    }
    subject = for_customer(log).gettext("Your order %(number)s is not paid yet", number=log.number)
    return EmailDraft("payment_reminder", subject, data=data, pay_until=pay_until(event))


def confirm_payment(log: NotificationLog, event: OrderPaymentActionRequired) -> EmailDraft:
    data = {"url": event.url, "until": moment(log, event.until), "amount": money(log, log.purchased)}
    subject = for_customer(log).gettext("Please confirm the payment for order %(number)s", number=log.number)
    return EmailDraft("confirm_payment", subject, data=data, pay_until=pay_until(event))


def pay_until(
    event: OrderPaymentActionRequired | OrderPaymentDeclined | OrderPaymentReminder | OrderCardNeeded,
) -> datetime | None:
    """A checkout of an older build told payments nothing for the pay page: there is none. Nor is there one for who can
    pay by hand only."""
    on_page = event.page is not None and any(provider != MANUAL for provider in event.page.providers)
    return event.until if on_page else None


def delivery(log: NotificationLog, items: Sequence[DeliveredItem]) -> EmailDraft:
    subject = for_customer(log).gettext("Your purchase is ready: order %(number)s", number=log.number)
    return EmailDraft("delivery", subject, data={"items": _delivered(log, items)})


def shipment(log: NotificationLog, items: Sequence[DeliveredItem]) -> EmailDraft:
    subject = for_customer(log).gettext("Your parcel is on its way: order %(number)s", number=log.number)
    return EmailDraft("shipment", subject, data={"items": _delivered(log, items)})


def refund(log: NotificationLog, message: OrderRefunded) -> EmailDraft:
    data = {
        "amount": money(log, message.amount),
        "refunded": money(log, message.refunded),
        "whole": message.whole,
        "recorded": message.recorded,
    }
    subject = for_customer(log).gettext(
        "A refund for order %(number)s: %(amount)s", number=log.number, amount=data["amount"]
    )
    return EmailDraft("refund", subject, data=data)


def cancellation(log: NotificationLog, message: OrderCancelled) -> EmailDraft:
    # What a customer writes goes to no address that the customer names.
    reason = "" if message.code == "abandoned" else without_links(message.reason)
    data = {"sold_out": message.code == "sold_out", "paid": log.paid, "reason": reason}
    subject = for_customer(log).gettext("Order %(number)s was cancelled", number=log.number)
    return EmailDraft("cancellation", subject, data=data, status=OrderStatus.CANCELLED)


def expiry(log: NotificationLog) -> EmailDraft:
    subject = for_customer(log).gettext("Order %(number)s has expired", number=log.number)
    return EmailDraft("expiry", subject, status=OrderStatus.EXPIRED)


def order_problem(log: NotificationLog) -> EmailDraft:
    subject = for_customer(log).gettext("There is a problem with order %(number)s", number=log.number)
    return EmailDraft("order_problem", subject, status=OrderStatus.FAILED)


def refund_returned(log: NotificationLog, amount: int) -> EmailDraft:
    subject = for_customer(log).gettext("Your refund for order %(number)s was sent back by the bank", number=log.number)
    return EmailDraft("refund_returned", subject, data={"amount": money(log, amount)})


def delivery_failure(log: NotificationLog, item: str, product: str, text: str) -> EmailDraft:
    data = {"item": item, "product": product, "reason": text}
    subject = for_staff(log).gettext(
        "Delivery failed: order %(number)s, %(product)s", number=log.number, product=product
    )
    return EmailDraft("delivery_failure", subject, "staff", data)


def delivery_waits(log: NotificationLog, item: str, product: str, text: str) -> EmailDraft:
    data = {"item": item, "product": product, "reason": text}
    subject = for_staff(log).gettext(
        "Delivery waits for you: order %(number)s, %(product)s", number=log.number, product=product
    )
    return EmailDraft("delivery_waiting", subject, "staff", data)


def supply_low(log: NotificationLog, what: str, text: str) -> EmailDraft:
    subject = for_staff(log).gettext("Little is left: %(what)s", what=what)
    return EmailDraft("supply_low", subject, "staff", {"what": what, "reason": text})


def waits_for_staff(log: NotificationLog, event: OrderWaitsForStaff) -> EmailDraft:
    words = for_staff(log)
    data = {"what": event.what, "since": moment(log, event.since, words), "reason": event.text}
    if event.again:
        subject = words.gettext("Still waits for you: order %(number)s, %(what)s", number=log.number, what=event.what)
    else:
        subject = words.gettext("Waits for you: order %(number)s, %(what)s", number=log.number, what=event.what)
    return EmailDraft("waits_for_staff", subject, "staff", data)


def refund_failure(log: NotificationLog, amount: int, text: str, *, returned: bool = False) -> EmailDraft:
    words = for_staff(log)
    data = {"amount": money(log, amount, words), "reason": text, "returned": returned}
    subject = words.gettext("Refund failed: order %(number)s, %(amount)s", number=log.number, amount=data["amount"])
    return EmailDraft("refund_failure", subject, "staff", data)


def stray_charge(log: NotificationLog, event: OrderStrayCharge) -> EmailDraft:
    words = for_staff(log)
    amount = words.amount(event.amount, event.currency)
    subject = words.gettext("A strange charge names order %(number)s: %(amount)s", number=log.number, amount=amount)
    return EmailDraft("stray_charge", subject, "staff", {"amount": amount, "transaction": event.transaction})


def order_failed(log: NotificationLog, reason: str) -> EmailDraft:
    subject = for_staff(log).gettext("Order %(number)s needs attention", number=log.number)
    return EmailDraft("order_failed", subject, "staff", {"reason": reason})


def addressed(draft: EmailDraft, log: NotificationLog, fact: str, context: Context) -> SendEmail:
    """The call that sends it. The Message-ID is the same when the message is decided again."""
    store, to_staff = log.store, draft.audience == "staff"
    words = for_staff(log) if to_staff else for_customer(log)
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
            "greeting": greeting(words, log.customer.name),
            "customer": {"name": without_links(log.customer.name), "email": log.customer.email},
            "status": status_word(log, draft.status) if draft.status else "",
            **draft.data,
            **pay_link_of(context.key, draft.pay_until),
        },
        language=words.name,
    )


def pay_link_of(order: str, until: datetime | None) -> dict[str, Any]:
    """What the gateway makes the link to the pay page of, instead of `url`, where there is such a page."""
    return {"pay": {"order": order, "until": until.isoformat()}} if until else {}


def greeting(words: Language, name: str) -> str:
    shown = greeted(name)
    return words.gettext("Hello %(name)s,", name=shown) if shown else words.gettext("Hello,")


def totals(log: NotificationLog, words: Language | None = None) -> dict[str, Any]:
    """The order's lines and sums for people: for the customer unless a language is given. Sums that are zero are left
    out."""
    words = words or for_customer(log)
    included, added = (log.tax, 0) if log.prices_include_tax else (0, log.tax)
    subtotal, tax, discount = words.gettext("Subtotal"), words.gettext("Tax"), words.gettext("Discount")
    sums = [(subtotal, log.subtotal), (tax, added), (discount, -log.discount)]
    return {
        "lines": [
            {"product": line.product, "quantity": line.quantity, "amount": money(log, line.line_total, words)}
            for line in log.lines
        ],
        "sums": [{"name": name, "amount": money(log, amount, words)} for name, amount in sums if amount],
        "amount": money(log, log.purchased, words),
        "included_tax": money(log, included, words) if included else "",
    }


def money(log: NotificationLog, amount: int, words: Language | None = None) -> str:
    """Of the order's currency, in minor units: for the customer unless a language is given."""
    return (words or for_customer(log)).amount(amount, log.currency)


def moment(log: NotificationLog, at: datetime, words: Language | None = None) -> str:
    """In the store's time zone: for the customer unless a language is given."""
    return (words or for_customer(log)).moment(at, log.store.time_zone)


def _delivered(log: NotificationLog, items: Sequence[DeliveredItem]) -> list[dict[str, Any]]:
    """What templates show of each item; empty texts for missing values."""
    return [
        {
            "product": item.product,
            "quantity": item.quantity,
            "kind": item.instructions.kind,
            "link": item.instructions.link or "",
            "expires": moment(log, item.instructions.expires) if item.instructions.expires else "",
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
