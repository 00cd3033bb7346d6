"""The calls to the outside that notifications wants, and the rows that it only ever adds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from services.notifications.domain.state import Audience
from shared.shell.core import FailedOutcome, Operation, Outcome, Record, UnresolvedOutcome


@dataclass(frozen=True, slots=True)
class SendEmail(Operation):
    """Hand one mail to the mail server. Sent again under the same Message-ID when nobody knows whether it arrived."""

    max_attempts: ClassVar[int] = 14
    patience: ClassVar[float] = 60.0
    first_retry: ClassVar[float] = 2.0
    serial: ClassVar[bool] = True

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

    @dataclass(frozen=True, slots=True)
    class Done(Outcome):
        """The mail server took it."""

    @dataclass(frozen=True, slots=True)
    class Failed(FailedOutcome):
        """The mail server refused it for good, or could not be reached in all attempts."""

    @dataclass(frozen=True, slots=True)
    class Unresolved(UnresolvedOutcome):
        """No attempt got an answer; it may have been sent."""


@dataclass(frozen=True, slots=True)
class PostWebhook(Operation):
    """Post one event to one endpoint. The gateway reads URL and secret from the endpoint's row: they may change while
    it is tried, and a secret has no place in a queue. Receivers know repetitions by the `webhook-id`."""

    max_attempts: ClassVar[int] = 10
    patience: ClassVar[float] = 10.0
    first_retry: ClassVar[float] = 5.0

    message_id: str
    """`msg_…`, the `webhook-id`."""
    store: str
    endpoint: str
    event: str
    payload: str = field(repr=False)
    """The JSON body, byte for byte the same in every attempt and replay."""

    @dataclass(frozen=True, slots=True)
    class Done(Outcome):
        """The endpoint answered 2xx."""

        status: int

    @dataclass(frozen=True, slots=True)
    class Failed(FailedOutcome):
        """`gone` (it answered 410), `paused` or `removed` (nothing was sent); anything else: all attempts failed."""

    @dataclass(frozen=True, slots=True)
    class Unresolved(UnresolvedOutcome):
        """The last attempt got no answer."""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class PostingAttempt(Record):
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
