"""The calls that notifications requests, and its timer."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Literal

from shared.core import Operation, Outcome, TimerMessage

Audience = Literal["customer", "staff"]


class SendEmail(Operation, timeout=60.0, first_retry=2.0, longest_retry=300.0, give_up_after=timedelta(hours=24)):
    """Hand one email to the mail server. SMTP cannot be asked what was sent, so a call whose answer is lost ends as
    `Unresolved`; `email.py` decides whether to send it again."""

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
    """The email's Date: when the fact that it reports was decided."""
    data: dict[str, Any] = field(default_factory=dict, repr=False)
    """What the template shows: texts, lists and dicts of texts."""
    language: str = "en"
    """Of subject and data, and of the template: see `shared.languages`."""

    def destination(self) -> str:
        return "smtp"

    def about(self) -> str:
        return self.message_id

    class Done(Outcome):
        """The mail server accepted it."""


class PostWebhook(
    Operation,
    timeout=10.0,
    first_retry=5.0,
    longest_retry=4 * 3600.0,
    give_up_after=timedelta(days=3),
    safe_to_repeat=True,
):
    """Post one event to one endpoint. The gateway reads URL and secret from the endpoint's row: they may change between
    attempts, and a secret must not be in a queue. Receivers know repetitions by the `webhook-id`.

    Fails with code `gone` when the endpoint answers 410, and with `paused` or `removed` when nothing was sent."""

    message_id: str
    """`msg_…`, the `webhook-id`."""
    store: str
    endpoint: str
    event: str
    payload: str = field(repr=False)
    """The JSON body, byte for byte the same in every attempt and replay."""

    def destination(self) -> str:
        """One per endpoint, so that an endpoint that does not answer delays no other."""
        return endpoint_destination(self.store, self.endpoint)

    def about(self) -> str:
        return self.message_id

    class Done(Outcome):
        """The endpoint answered 2xx."""

        status: int


class FindLost(Operation, longest_retry=60.0, give_up_after=None, safe_to_repeat=True):
    """Find a store's lost emails or webhook deliveries of a period: one page of orders."""

    store: str
    what: Literal["emails", "deliveries"]
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


class RepetitionDue(TimerMessage):
    """Send an email in doubt again."""

    message: str

    def about(self) -> str:
        return self.message


def endpoint_destination(store: str, endpoint: str) -> str:
    """The name under which an endpoint is paused and resumed."""
    return f"webhook:{store}:{endpoint}"
