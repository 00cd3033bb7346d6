"""The calls to the outside that notifications wants, and the rows that it only ever adds."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal
from uuid import UUID

from services.notifications.domain.state import Audience
from shared.core import FailedOutcome, Operation, Outcome, Record, TimerMessage, UnresolvedOutcome


class SendEmail(Operation):
    """Hand one mail to the mail server. Not safe to repeat, and SMTP has no books to look into: who is in doubt ends as
    `Unresolved`, and `mail_outcomes` decides about a repetition."""

    timeout: ClassVar[float] = 60.0
    first_retry: ClassVar[float] = 2.0
    longest_retry: ClassVar[float] = 900.0
    give_up_after: ClassVar[timedelta | None] = timedelta(hours=24)

    message_id: str
    """`<…@sender's domain>`."""
    template: str
    audience: Audience
    to: str
    sender: str
    sender_name: str
    reply_to: str
    subject: str
    at: datetime
    """The mail's Date: when what it tells of was decided."""
    data: dict[str, Any] = field(default_factory=dict, repr=False)
    """What the template shows: texts, lists and dicts of texts."""

    def destination(self) -> str:
        return "smtp"

    def about(self) -> str:
        return self.message_id

    class Done(Outcome):
        """The mail server took it."""

    class Failed(FailedOutcome):
        """The mail server refused it for good, or did not take it in all its time."""

    class Unresolved(UnresolvedOutcome):
        """An attempt got no answer; it may have been sent."""


class PostWebhook(Operation):
    """Post one event to one endpoint. The gateway reads URL and secret from the endpoint's row: they may change while
    it is tried, and a secret has no place in a queue. Receivers know repetitions by the `webhook-id`."""

    timeout: ClassVar[float] = 10.0
    first_retry: ClassVar[float] = 5.0
    longest_retry: ClassVar[float] = 4 * 3600.0
    give_up_after: ClassVar[timedelta | None] = timedelta(days=3)
    safe_to_repeat: ClassVar[bool] = True

    message_id: str
    """`msg_…`, the `webhook-id`."""
    store: str
    endpoint: str
    event: str
    payload: str = field(repr=False)
    """The JSON body, byte for byte the same in every attempt and replay."""

    def destination(self) -> str:
        """Of each endpoint, so that a silent one holds up nobody but itself."""
        return endpoint_destination(self.store, self.endpoint)

    def about(self) -> str:
        return self.message_id

    class Done(Outcome):
        """The endpoint answered 2xx."""

        status: int

    class Failed(FailedOutcome):
        """`gone` (it answered 410), `paused` or `removed` (nothing was sent); else it was not taken in all its time."""

    class Unresolved(UnresolvedOutcome):
        """An attempt got no answer, and none later was taken."""


class FindLost(Operation):
    """Find the lost mails, or the webhook deliveries that did not arrive, of a store and a period: a page of orders."""

    longest_retry: ClassVar[float] = 60.0
    give_up_after: ClassVar[timedelta | None] = None
    safe_to_repeat: ClassVar[bool] = True

    store: str
    what: Literal["mails", "webhooks"]
    since: datetime
    until: datetime
    """Lost at or after `since`, and before `until`."""
    endpoint: str | None = None
    """Webhook deliveries: of this endpoint only."""
    after: str = ""
    """Orders with a greater key only."""

    def destination(self) -> str:
        return "own database"

    class Done(Outcome):
        orders: tuple[tuple[str, tuple[str, ...]], ...]
        """Each order's key, and the message ids."""
        next: str | None = None
        """`after` of the next page; None: this was the last one."""

    class Failed(FailedOutcome):
        pass

    class Unresolved(UnresolvedOutcome):
        pass


class SendAgain(TimerMessage):
    """Time to send a mail again of which nobody knows whether it went out."""

    message: str


def endpoint_destination(store: str, endpoint: str) -> str:
    """The name under which an endpoint is paused and resumed."""
    return f"webhook:{store}:{endpoint}"


class FeedEntry(Record):
    """One entry of a recipient's in-app feed."""

    key: str
    """The recipient: see `feed.py`."""
    id: UUID
    order_id: str
    number: str
    kind: str
    title: str
    text: str
    link: str | None
    at: datetime


class MailAttempt(Record):
    """One try to send a mail that did not succeed. Written when a round of tries has ended."""

    key: str
    """The order."""
    id: UUID
    message: str
    """The Message-ID."""
    at: datetime
    result: str


class WebhookDeliveryAttempt(Record):
    """One attempt at a webhook delivery: the delivery log. Written when a round of attempts has ended."""

    key: str
    """The order."""
    id: UUID
    message: str
    endpoint: str
    event: str
    at: datetime
    delivered: bool
    result: str
    """`HTTP 204`, or what went wrong."""
