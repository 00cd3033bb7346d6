"""Notifications owns who is told, how, and whether it arrived. Key: the order id, unless a message says otherwise."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.contracts.envelope import Command, Event, Refusal, Topic
from shared.contracts.values import Count, Id, Short, Text, Url

COMMANDS = Topic("notifications.commands.v1", owner="notifications", description="Webhook endpoints and replays.")
EVENTS = Topic("notifications.events.v1", owner="notifications", description="What was told to whom, and what failed.")

WebhookEvent = Literal["order.received", "order.refunded", "order.created", "order.updated", "order.completed"]


class RegisterEndpoint(Command, type="webhook.register", topic=COMMANDS):
    """Send events of a store to a URL. Key: `<store>`. The same `endpoint` again replaces it."""

    endpoint: Id
    url: Url
    events: tuple[WebhookEvent, ...] = Field(min_length=1)
    secret: Short = Field(repr=False, pattern=r"^whsec_[A-Za-z0-9+/=]{32,120}$")
    """Standard Webhooks signing secret. The HTTP API makes it and shows it once."""


class RemoveEndpoint(Command, type="webhook.remove", topic=COMMANDS):
    """Send nothing more to an endpoint. Key: `<store>`."""

    endpoint: Id


class PauseEndpoint(Command, type="webhook.pause", topic=COMMANDS):
    """Hold an endpoint's deliveries back; they are kept as paused. Key: `<store>`. Also sent by notifications itself
    when an endpoint answers 410 Gone."""

    endpoint: Id
    reason: Short = ""


class ResumeEndpoint(Command, type="webhook.resume", topic=COMMANDS):
    """Send to a paused endpoint again. Key: `<store>`. What was held back is sent by `webhook.replay` per order."""

    endpoint: Id


class ReplayWebhooks(Command, type="webhook.replay", topic=COMMANDS):
    """Send an order's exhausted and paused webhook deliveries again, under their old message ids."""

    endpoint: Id | None = None


class EmailSent(Event, type="email.sent", topic=EVENTS):
    """The mail server took a mail. The text itself is never here."""

    message: Short
    """The Message-ID."""
    template: Short
    audience: Literal["customer", "staff"]


class EmailFailed(Event, type="email.failed", topic=EVENTS):
    message: Short
    template: Short
    audience: Literal["customer", "staff"]
    code: Short
    text: Text


class WebhookDelivered(Event, type="webhook.delivered", topic=EVENTS):
    """An endpoint took an event."""

    message: Short
    """The `webhook-id`: the same for every repetition."""
    endpoint: Id
    event: Short
    attempts: Count


class WebhookExhausted(Event, type="webhook.exhausted", topic=EVENTS):
    """An endpoint did not take an event in any of the attempts."""

    message: Short
    endpoint: Id
    event: Short
    attempts: Count
    text: Text


class NotificationsRefused(Refusal, type="notifications.refused", topic=EVENTS):
    """A command to notifications was refused and changed nothing."""


EMITS: tuple[type[Event], ...] = (EmailSent, EmailFailed, WebhookDelivered, WebhookExhausted, NotificationsRefused)
