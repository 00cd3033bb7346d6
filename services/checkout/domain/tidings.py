"""What only the timeline wants to know: mails, webhooks, stock that is back, refused commands."""

from __future__ import annotations

from services.checkout.domain.decisions import noted, on_fact
from services.checkout.domain.order import Order
from services.checkout.domain.timeline import Note
from shared.contracts.envelope import Refusal
from shared.contracts.fulfillment import FulfillmentRefused, StockReleased
from shared.contracts.notifications import (
    EmailFailed,
    EmailSent,
    NotificationsRefused,
    WebhookDelivered,
    WebhookExhausted,
)
from shared.contracts.payments import PaymentsRefused
from shared.shell.core import Context, Decision


@on_fact(EmailSent)
def mail_sent(order: Order, message: EmailSent, context: Context) -> Decision[Order]:
    text = f"Mail to {_who(message.audience)}: {message.template}."
    return noted(order, context, Note(message.type, text, {"message": message.message}))


@on_fact(EmailFailed)
def mail_failed(order: Order, message: EmailFailed, context: Context) -> Decision[Order]:
    text = f"Mail to {_who(message.audience)} did not go out: {message.template}."
    detail = {"message": message.message, "code": message.code, "error": message.text}
    return noted(order, context, Note(message.type, text, detail))


@on_fact(WebhookDelivered)
def webhook_delivered(order: Order, message: WebhookDelivered, context: Context) -> Decision[Order]:
    text = f"Webhook {message.endpoint} took {message.event} (attempts: {message.attempts})."
    return noted(order, context, Note(message.type, text, {"message": message.message}))


@on_fact(WebhookExhausted)
def webhook_exhausted(order: Order, message: WebhookExhausted, context: Context) -> Decision[Order]:
    text = f"Webhook {message.endpoint} did not take {message.event} (attempts: {message.attempts})."
    return noted(order, context, Note(message.type, text, {"message": message.message, "error": message.text}))


@on_fact(StockReleased)
def stock_released(order: Order, message: StockReleased, context: Context) -> Decision[Order]:
    return noted(order, context, Note(message.type, "The stock is back.", {"skus": dict(message.skus)}))


@on_fact(PaymentsRefused, FulfillmentRefused, NotificationsRefused)
def command_refused(order: Order, message: Refusal, context: Context) -> Decision[Order]:
    note = Note(message.type, f"{message.command} was refused: {message.text}", {"code": message.code})
    return noted(order, context, note)


def _who(audience: str) -> str:
    return "the customer" if audience == "customer" else "staff"
