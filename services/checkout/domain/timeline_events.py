"""Facts that only add a timeline entry: emails, webhooks, released stock, refused commands."""

from __future__ import annotations

from services.checkout.domain.order import Order, orders
from services.checkout.domain.timeline import counted, entry
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
from shared.core import Context, Decision, Refusal


@orders.on(EmailSent)
def email_sent(order: Order, fact: EmailSent, context: Context) -> Decision[Order]:
    text = f"{_email(fact.audience)} sent: {fact.template}."
    return Decision(order, records=[entry(context, fact.type, text, message=fact.message)])


@orders.on(EmailFailed)
def email_failed(order: Order, fact: EmailFailed, context: Context) -> Decision[Order]:
    text = f"{_email(fact.audience)} failed: {fact.template}."
    note = entry(context, fact.type, text, message=fact.message, code=fact.code, error=fact.text)
    return Decision(order, records=[note])


@orders.on(EmailResent)
def email_resent(order: Order, fact: EmailResent, context: Context) -> Decision[Order]:
    text = f"{_email(fact.audience)} is being sent again: {fact.template}."
    return Decision(order, records=[entry(context, fact.type, text, message=fact.message)])


@orders.on(EmailSettled)
def email_settled(order: Order, fact: EmailSettled, context: Context) -> Decision[Order]:
    text = f"{_email(fact.audience)} settled manually as {_words(fact.outcome)}: {fact.template}. {fact.reason}"
    return Decision(order, records=[entry(context, fact.type, text, message=fact.message, outcome=fact.outcome)])


@orders.on(WebhookDelivered)
def webhook_delivered(order: Order, fact: WebhookDelivered, context: Context) -> Decision[Order]:
    text = f"Webhook {fact.endpoint} accepted {fact.event} on attempt {fact.attempts}."
    return Decision(order, records=[entry(context, fact.type, text, message=fact.message)])


@orders.on(WebhookExhausted)
def webhook_exhausted(order: Order, fact: WebhookExhausted, context: Context) -> Decision[Order]:
    text = f"Webhook {fact.endpoint} did not accept {fact.event} after {counted(fact.attempts, 'attempt')}."
    return Decision(order, records=[entry(context, fact.type, text, message=fact.message, error=fact.text)])


@orders.on(WebhooksReplayed)
def webhooks_replayed(order: Order, fact: WebhooksReplayed, context: Context) -> Decision[Order]:
    text = f"Sending {counted(len(fact.messages), 'webhook')} again."
    return Decision(order, records=[entry(context, fact.type, text, messages=list(fact.messages))])


@orders.on(ItemSettled)
def item_settled(order: Order, fact: ItemSettled, context: Context) -> Decision[Order]:
    text = f"{order.name_of(fact.item)} settled manually as {_words(fact.outcome)}: {fact.reason}"
    return Decision(order, records=[entry(context, fact.type, text, item=fact.item, outcome=fact.outcome)])


@orders.on(StockReleased)
def stock_released(order: Order, fact: StockReleased, context: Context) -> Decision[Order]:
    return Decision(order, records=[entry(context, fact.type, "Stock released.", skus=dict(fact.skus))])


@orders.on(FulfillmentRefused, NotificationsRefused)
def command_refused(order: Order, fact: Refusal, context: Context) -> Decision[Order]:
    text = f"{fact.command} was refused: {fact.text}"
    return Decision(order, records=[entry(context, fact.type, text, code=fact.code)])


def _email(audience: str) -> str:
    return f"Email to {'the customer' if audience == 'customer' else 'staff'}"


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")
