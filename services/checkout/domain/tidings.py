"""What only the timeline wants to know: mails, webhooks, stock that is back, refused commands."""

from __future__ import annotations

from services.checkout.domain.decisions import noted, on_fact
from services.checkout.domain.order import Order
from services.checkout.domain.timeline import Note
from shared.contracts.fulfillment import FulfillmentRefused, ItemSettled, StockReleased
from shared.contracts.notifications import (
    EmailFailed,
    EmailResent,
    EmailSent,
    EmailSettled,
    NotificationsRefused,
    WebhookDelivered,
    WebhookExhausted,
    WebhooksReplayed,
)
from shared.contracts.payments import PaymentsRefused
from shared.core import Context, Decision, Refusal


@on_fact(EmailSent)
def mail_sent(order: Order, message: EmailSent, context: Context) -> Decision[Order]:
    text = f"Mail to {_who(message.audience)}: {message.template}."
    return noted(order, context, Note(message.type, text, {"message": message.message}))


@on_fact(EmailFailed)
def mail_failed(order: Order, message: EmailFailed, context: Context) -> Decision[Order]:
    text = f"Mail to {_who(message.audience)} did not go out: {message.template}."
    detail = {"message": message.message, "code": message.code, "error": message.text}
    return noted(order, context, Note(message.type, text, detail))


@on_fact(EmailResent)
def mail_resent(order: Order, message: EmailResent, context: Context) -> Decision[Order]:
    text = f"Mail to {_who(message.audience)} is sent again: {message.template}."
    return noted(order, context, Note(message.type, text, {"message": message.message}))


@on_fact(EmailSettled)
def mail_settled(order: Order, message: EmailSettled, context: Context) -> Decision[Order]:
    went = "went out" if message.outcome == "sent" else "did not go out"
    text = f"Mail to {_who(message.audience)} {went}: {message.template}. {message.reason}"
    return noted(order, context, Note(message.type, text, {"message": message.message, "outcome": message.outcome}))


@on_fact(WebhookDelivered)
def webhook_delivered(order: Order, message: WebhookDelivered, context: Context) -> Decision[Order]:
    text = f"Webhook {message.endpoint} took {message.event} (attempts: {message.attempts})."
    return noted(order, context, Note(message.type, text, {"message": message.message}))


@on_fact(WebhookExhausted)
def webhook_exhausted(order: Order, message: WebhookExhausted, context: Context) -> Decision[Order]:
    text = f"Webhook {message.endpoint} did not take {message.event} (attempts: {message.attempts})."
    return noted(order, context, Note(message.type, text, {"message": message.message, "error": message.text}))


@on_fact(WebhooksReplayed)
def webhooks_replayed(order: Order, message: WebhooksReplayed, context: Context) -> Decision[Order]:
    text = f"Webhook deliveries are sent again: {len(message.messages)}."
    return noted(order, context, Note(message.type, text, {"messages": list(message.messages)}))


@on_fact(ItemSettled)
def item_settled(order: Order, message: ItemSettled, context: Context) -> Decision[Order]:
    line = order.line(message.item)
    name = line.item.product if line else f"Item {message.item}"
    text = f"{name} was settled as {message.outcome.replace('_', ' ')}: {message.reason}"
    return noted(order, context, Note(message.type, text, {"item": message.item, "outcome": message.outcome}))


@on_fact(StockReleased)
def stock_released(order: Order, message: StockReleased, context: Context) -> Decision[Order]:
    return noted(order, context, Note(message.type, "The stock is back.", {"skus": dict(message.skus)}))


@on_fact(PaymentsRefused, FulfillmentRefused, NotificationsRefused)
def command_refused(order: Order, message: Refusal, context: Context) -> Decision[Order]:
    note = Note(message.type, f"{message.command} was refused: {message.text}", {"code": message.code})
    return noted(order, context, note)


def _who(audience: str) -> str:
    return "the customer" if audience == "customer" else "staff"
