"""Notifications owns who is told, how, and whether it arrived. Key: the order id, unless a message says otherwise."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from shared.contracts.values import Count, Id, Short, Text, Url
from shared.core import Command, Event, Refusal, Topic

COMMANDS = Topic(
    "notifications.commands.v1", owner="notifications", description="Webhook endpoints, replays, lost mails."
)
EVENTS = Topic("notifications.events.v1", owner="notifications", description="What was told to whom, and what failed.")

WebhookEvent = Literal["order.received", "order.refunded", "order.created", "order.updated", "order.completed"]


class RegisterWebhook(Command, type="webhook.register", topic=COMMANDS):
    """Send events of a store to a URL. Key: `<store>`. The same `endpoint` again replaces it."""

    endpoint: Id
    url: Url
    events: tuple[WebhookEvent, ...] = Field(min_length=1)
    secret: Short = Field(repr=False, pattern=r"^whsec_[A-Za-z0-9+/=]{32,120}$")
    """Standard Webhooks signing secret. The HTTP API makes it and shows it once."""


class RemoveWebhook(Command, type="webhook.remove", topic=COMMANDS):
    """Send nothing more to an endpoint. Key: `<store>`."""

    endpoint: Id


class PauseWebhook(Command, type="webhook.pause", topic=COMMANDS):
    """Hold an endpoint's deliveries back; they are kept as paused. Key: `<store>`. Also sent by notifications itself
    when an endpoint answers 410 Gone."""

    endpoint: Id
    reason: Short = ""


class ResumeWebhook(Command, type="webhook.resume", topic=COMMANDS):
    """Send to a paused endpoint again. Key: `<store>`. What was held back is sent by `webhook.replay` per order."""

    endpoint: Id


class ReplayWebhooks(Command, type="webhook.replay", topic=COMMANDS):
    """Send an order's exhausted and paused webhook deliveries again, under their old message ids. Of one endpoint where
    it is named, and only `messages` where they are."""

    endpoint: Id | None = None
    messages: tuple[Short, ...] | None = Field(default=None, max_length=1000)


class ReplayLostWebhooks(Command, type="webhook.replay_lost", topic=COMMANDS):
    """Send again what a store's endpoints did not get: all deliveries that ended exhausted or paused at or after
    `since` and before `until` (now where missing), of one endpoint where it is named. Key: `<store>`."""

    since: AwareDatetime
    until: AwareDatetime | None = None
    endpoint: Id | None = None


class ResendMails(Command, type="mail.resend", topic=COMMANDS):
    """Send an order's lost mails again, under their old Message-IDs: those that failed, and those of which nobody knows
    whether they went out. Only `messages` (Message-IDs) where there are any."""

    messages: tuple[Short, ...] = Field(default=(), max_length=1000)


class ResendLostMails(Command, type="mail.resend_lost", topic=COMMANDS):
    """Send again all mails of a store that were lost at or after `since` and before `until` (now where missing). Key:
    `<store>`."""

    since: AwareDatetime
    until: AwareDatetime | None = None


class SettleMail(Command, type="mail.settle", topic=COMMANDS):
    """A person says what became of a mail of which nobody could find out whether it went out."""

    message: Short
    """The Message-ID."""
    outcome: Literal["sent", "not_sent"]
    reason: Short = Field(min_length=1)
    """How that was found out: for the order's timeline."""


class EmailSent(Event, type="email.sent", topic=EVENTS):
    """The mail server took a mail. The text itself is never here."""

    message: Short
    """The Message-ID."""
    template: Short
    audience: Literal["customer", "staff"]


class EmailFailed(Event, type="email.failed", topic=EVENTS):
    """A mail was lost: refused for good, not sent in all its time, or (`unresolved`) nobody knows. It can be sent again
    by `mail.resend`. `text` is for staff."""

    message: Short
    template: Short
    audience: Literal["customer", "staff"]
    code: Short
    text: Text


class EmailResent(Event, type="email.resent", topic=EVENTS):
    """Staff had a lost mail sent again; `email.sent` or `email.failed` follows."""

    message: Short
    template: Short
    audience: Literal["customer", "staff"]


class EmailSettled(Event, type="email.settled", topic=EVENTS):
    """A person said what became of a mail."""

    message: Short
    template: Short
    audience: Literal["customer", "staff"]
    outcome: Literal["sent", "not_sent"]
    reason: Short


class WebhookDelivered(Event, type="webhook.delivered", topic=EVENTS):
    """An endpoint took an event."""

    message: Short
    """The `webhook-id`: the same for every repetition."""
    endpoint: Id
    event: Short
    attempts: Count


class WebhookExhausted(Event, type="webhook.exhausted", topic=EVENTS):
    """An endpoint did not take an event in all the time that it was tried."""

    message: Short
    endpoint: Id
    event: Short
    attempts: Count
    text: Text


class WebhooksReplayed(Event, type="webhook.replayed", topic=EVENTS):
    """Staff had deliveries sent again; `webhook.delivered` or `webhook.exhausted` follows for each."""

    messages: tuple[Short, ...]


class NotificationsRefused(Refusal, type="notifications.refused", topic=EVENTS):
    """A command to notifications was refused and changed nothing."""


EMITS: tuple[type[Event], ...] = (
    EmailSent,
    EmailFailed,
    EmailResent,
    EmailSettled,
    WebhookDelivered,
    WebhookExhausted,
    WebhooksReplayed,
    NotificationsRefused,
)
