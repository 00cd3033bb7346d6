"""Messages of notifications, which owns emails, webhooks and feeds. Key: the order id, unless a message says
otherwise."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from shared.contracts.values import CallableUrl, Count, Id, Line, Moment, Revision, Short, Text, Value
from shared.core import Command, Event, Refusal, Topic
from shared.core.descriptions import Means

COMMANDS = Topic(
    "notifications.commands.v1", owner="notifications", description="Webhook endpoints, replays, lost emails."
)
EVENTS = Topic(
    "notifications.events.v1", owner="notifications", description="Facts about emails and webhook deliveries."
)
STATUS = Topic(
    "messages.status.v1",
    owner="notifications",
    compacted=True,
    description="The latest complete state of every order's emails and webhook deliveries, for staff tools.",
    coalesced=True,
)

WebhookEvent = Literal[
    "order.received", "order.refunded", "order.refund_failed", "order.created", "order.updated", "order.completed"
]

EndpointId = Annotated[Id, Means("The webhook endpoint's id within the store.")]
EmailId = Annotated[Short, Means("The Message-ID.")]
EmailTemplate = Annotated[Short, Means("The name of the email's template: `order_confirmation`, `shipment`, …")]
Audience = Annotated[Literal["customer", "staff"], Means("Who receives the email.")]


class RegisterWebhook(Command, type="webhook.register", topic=COMMANDS):
    """Send a store's events to a URL. Registering the same `endpoint` again replaces it. Key: `<store>`."""

    endpoint: EndpointId
    url: CallableUrl
    """Where events are sent by POST."""
    events: tuple[WebhookEvent, ...] = Field(min_length=1)
    """Which events are sent."""
    secret: Line = Field(repr=False, pattern=r"^whsec_[A-Za-z0-9+/=]{32,120}$")
    """Signing secret as in Standard Webhooks. The HTTP API generates it and shows it once."""


class RemoveWebhook(Command, type="webhook.remove", topic=COMMANDS):
    """Stop sending to an endpoint and remove it. Key: `<store>`."""

    endpoint: EndpointId


class PauseWebhook(Command, type="webhook.pause", topic=COMMANDS):
    """Keep an endpoint's deliveries as paused instead of sending them. Key: `<store>`. Notifications also sends this to
    itself when an endpoint answers 410 Gone."""

    endpoint: EndpointId
    reason: Line = ""
    """Why, for staff."""


class ResumeWebhook(Command, type="webhook.resume", topic=COMMANDS):
    """Start sending to a paused endpoint again. Key: `<store>`. Use `webhook.replay` or `webhook.replay_lost` for the
    deliveries that were paused."""

    endpoint: EndpointId


class ReplayWebhooks(Command, type="webhook.replay", topic=COMMANDS):
    """Send an order's exhausted and paused webhook deliveries again, under their original message ids. `endpoint` and
    `messages` narrow the selection."""

    endpoint: Id | None = None
    """Only deliveries to this endpoint. Missing: to all of the store's."""
    messages: tuple[Line, ...] | None = Field(default=None, max_length=1000)
    """Only these deliveries, by their `webhook-id`. Missing: all."""


class ReplayLostWebhooks(Command, type="webhook.replay_lost", topic=COMMANDS):
    """Send a store's lost webhook deliveries again: those that were exhausted or paused from `since` until before
    `until` (default: now). `endpoint` narrows the selection. Key: `<store>`."""

    since: Moment
    """The beginning of the period."""
    until: Moment | None = None
    """Its end, which does not belong to it. Missing: now."""
    endpoint: Id | None = None
    """Only deliveries to this endpoint. Missing: to all of the store's."""


class ResendMails(Command, type="mail.resend", topic=COMMANDS):
    """Send an order's lost emails again, under their original Message-IDs: those that failed and those whose outcome is
    unknown. `messages` (Message-IDs) narrows the selection."""

    messages: tuple[Line, ...] = Field(default=(), max_length=1000)
    """Only these emails, by their Message-ID. Empty: all that were lost."""


class ResendLostMails(Command, type="mail.resend_lost", topic=COMMANDS):
    """Send all emails of a store again that were lost from `since` until before `until` (default: now). Key:
    `<store>`."""

    since: Moment
    """The beginning of the period."""
    until: Moment | None = None
    """Its end, which does not belong to it. Missing: now."""


class SettleMail(Command, type="mail.settle", topic=COMMANDS):
    """Record manually whether an email was sent, if its outcome is unknown."""

    message: Line
    """The Message-ID."""
    outcome: Literal["sent", "not_sent"]
    """Whether the mail server accepted it."""
    reason: Line = Field(min_length=1)
    """How the outcome was established. Appears in the order's timeline."""


class EmailSent(Event, type="email.sent", topic=EVENTS):
    """The mail server accepted an email. Sent by older builds only: `message.status` says it now."""

    message: Short
    """The Message-ID."""
    template: EmailTemplate
    audience: Audience


class EmailFailed(Event, type="email.failed", topic=EVENTS):
    """An email was lost: rejected, not sent within the time limit, or of unknown outcome (code `unresolved`). Use
    `mail.resend` to send it again. `text` is for staff."""

    message: EmailId
    template: EmailTemplate
    audience: Audience
    code: Short
    """Why, machine-readable: `smtp_550` (what the mail server answered), `unresolved`, …"""
    text: Text
    """For staff: what the mail server said."""


class EmailResent(Event, type="email.resent", topic=EVENTS):
    """Staff had a lost email sent again. `message.status` says how it ends, and `email.failed` if it is lost again."""

    message: EmailId
    template: EmailTemplate
    audience: Audience


class EmailSettled(Event, type="email.settled", topic=EVENTS):
    """Staff recorded whether an email was sent."""

    message: EmailId
    template: EmailTemplate
    audience: Audience
    outcome: Literal["sent", "not_sent"]
    """As staff recorded it."""
    reason: Short
    """How the outcome was established, as staff wrote it."""


class WebhookDelivered(Event, type="webhook.delivered", topic=EVENTS):
    """An endpoint accepted an event. Sent by older builds only: `message.status` says it now."""

    message: Short
    """The `webhook-id`; the same for every attempt."""
    endpoint: EndpointId
    event: Short
    """Which event was sent: `order.created`, …"""
    attempts: Count
    """How many attempts it took, the successful one included."""


class WebhookExhausted(Event, type="webhook.exhausted", topic=EVENTS):
    """An endpoint did not accept an event within the time limit."""

    message: Short
    """The `webhook-id`; the same for every attempt."""
    endpoint: EndpointId
    event: Short
    """Which event was sent: `order.created`, …"""
    attempts: Count
    """How many attempts were made."""
    text: Text
    """For staff: why the last attempt failed."""


class WebhooksReplayed(Event, type="webhook.replayed", topic=EVENTS):
    """Staff had webhook deliveries sent again. `message.status` says how each ends, and `webhook.exhausted` if it is
    not accepted this time either."""

    messages: tuple[Short, ...]
    """The `webhook-id` of each delivery."""


class NotificationsRefused(Refusal, type="notifications.refused", topic=EVENTS):
    """A command to notifications was refused and changed nothing."""


# Status


class EmailStatus(Value):
    """One email. Neither its text nor who it was sent to."""

    message: Short
    """The Message-ID, the same in every attempt."""
    fact: Text
    """What it is about: `paid`, `declined:2`, `refunded:<refund>`."""
    template: Short
    """Which email it is: `order_confirmation`."""
    audience: Literal["customer", "staff"]
    """Whom it is for."""
    state: Short
    """One of pending, sent, failed, unknown (it may have been sent)."""
    attempts: Count = 0
    """Of the rounds that have ended."""
    at: AwareDatetime | None = None
    """When its state became final."""
    code: Short | None = None
    """Why it is lost."""
    text: Text = ""
    """Why it is lost or in doubt, for staff."""
    in_doubt: bool = False
    """It is pending, and may have been sent: the mail server's answer was lost."""


class WebhookStatus(Value):
    """One event for one endpoint."""

    message: Short
    """The `webhook-id`, the same in every attempt."""
    fact: Text
    """What it is about."""
    event: Short
    """Which event of the order: `order.received`."""
    endpoint: Id
    """Where it goes: one of the store's endpoints."""
    state: Short
    """One of pending, delivered, exhausted, paused, removed (with its endpoint)."""
    attempts: Count = 0
    """Of the rounds that have ended."""
    at: AwareDatetime | None = None
    """When its state became final."""
    text: Text = ""
    """Why it was not delivered, for staff."""


class MessageStatusRecord(Event, type="message.status", topic=STATUS):
    """The complete current state of one order's emails and webhook deliveries. It is told when one has arrived,
    is lost, paused or in doubt. Later records of the same key replace earlier ones."""

    number: Short
    """The order's number."""
    store: Short
    """The store's id."""
    revision: Revision
    """Increases with every record; in leaps when notifications' database was restored to an earlier point."""
    updated_at: AwareDatetime
    """When it was told."""
    emails: tuple[EmailStatus, ...] = ()
    """Those to the customer and to staff, in the order in which they came to be."""
    webhooks: tuple[WebhookStatus, ...] = ()
    """What the store's endpoints are sent, in the order in which it came to be."""
    left_out: Count = 0
    """Of an order with more than 500 emails and webhook deliveries: how many of the earlier ones are missing here."""
