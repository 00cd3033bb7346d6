"""What notifications remembers: a thread per order, and the webhook endpoints of each store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from shared.contracts.values import StoreCard

Audience = Literal["customer", "staff"]
WebhookDeliveryState = Literal["pending", "delivered", "exhausted", "paused", "removed"]
MailState = Literal["pending", "sent", "failed", "unknown"]
"""`failed`: certainly not sent. `unknown`: nobody could find out; a person can settle it."""
LOST: tuple[MailState, ...] = ("failed", "unknown")
NOT_DELIVERED: tuple[WebhookDeliveryState, ...] = ("exhausted", "paused")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the order, as placed. Amounts in minor units of the thread's currency."""

    product: str
    quantity: int
    unit_price: int
    line_total: int


@dataclass(frozen=True, slots=True)
class Person:
    """The customer, as placed."""

    name: str
    email: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened to the order and was told: `paid`, `declined:2`, `refunded:<refund>`."""

    name: str
    at: datetime

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]


@dataclass(frozen=True, slots=True)
class MailContent:
    """What a mail is made of, beside its Message-ID, template and audience."""

    to: str
    sender: str
    sender_name: str
    reply_to: str
    subject: str
    at: datetime
    """The mail's Date: when what it tells of was decided."""
    data: dict[str, Any] = field(default_factory=dict, repr=False)
    """What the template shows."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One email. `id` is its Message-ID, the same in every attempt, also when it is sent again."""

    id: str
    fact: str
    template: str
    audience: Audience
    state: MailState = "pending"
    attempts: int = 0
    """Of all rounds, counted when a round ends."""
    at: datetime | None = None
    """When it came to rest."""
    code: str | None = None
    text: str | None = None
    """Why it was lost, for staff."""
    content: MailContent | None = None
    """Of one that is lost or in doubt, so that it can be sent again."""
    doubts: int = 0
    """How often it was in doubt in this round."""
    since: datetime | None = None
    """In doubt: since when."""
    next: datetime | None = None
    """In doubt: when it is sent again."""


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """One event for one webhook endpoint. `id` is the `webhook-id`, the same in every attempt and replay."""

    id: str
    fact: str
    event: str
    endpoint: str
    state: WebhookDeliveryState = "pending"
    attempts: int = 0
    """Of all rounds, counted when a round ends."""
    at: datetime | None = None
    """When it came to rest."""
    text: str | None = None
    """Why it was not delivered, for staff."""


@dataclass(frozen=True, slots=True)
class NotificationLog:
    """One order's conversation with its customer and its store: what was placed, what was told, and what came of it."""

    number: str
    store: StoreCard
    customer: Person
    lines: tuple[Line, ...]
    currency: str
    subtotal: int
    discount: int
    tax: int
    total: int
    purchased: int
    """What is charged."""
    locale: str | None = None
    paid: bool = False
    failed: bool = False
    facts: tuple[Fact, ...] = ()
    mails: tuple[Mail, ...] = ()
    postings: tuple[WebhookDelivery, ...] = ()

    def told(self, fact: str) -> bool:
        return any(known.name == fact for known in self.facts)

    def pending(self) -> int:
        """How many mails and postings have not come to rest."""
        mails = sum(mail.state == "pending" for mail in self.mails)
        return mails + sum(posting.state == "pending" for posting in self.postings)

    def lost_mails(self) -> int:
        return sum(mail.state in LOST for mail in self.mails)

    def lost_postings(self) -> int:
        return sum(posting.state in NOT_DELIVERED for posting in self.postings)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a store wants events posted."""

    id: str
    url: str
    events: tuple[str, ...]
    secret: str = field(repr=False)
    """Standard Webhooks signing secret, `whsec_…`."""
    since: datetime
    """Registered or last replaced: it is owed what happened later."""
    paused: bool = False
    reason: str = ""
    """Why it is paused."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints of one store. Key: the store's id."""

    endpoints: tuple[Endpoint, ...] = ()

    def find(self, endpoint: str) -> Endpoint | None:
        return next((known for known in self.endpoints if known.id == endpoint), None)
