"""An order's notification log: the order as placed, its facts, and the emails and webhook deliveries about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.notifications.domain.operations import Audience, SendEmail
from shared.contracts.values import StoreCard
from shared.core import Core, Refused

EmailState = Literal["pending", "sent", "failed", "unknown"]
"""`failed`: certainly not sent. `unknown`: it may have been sent; staff can settle it."""
WebhookDeliveryState = Literal["pending", "delivered", "exhausted", "paused", "removed"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the order: a product or a delivery charge. Amounts in minor units of the log's currency."""

    product: str
    quantity: int
    unit_price: int
    line_total: int
    is_delivery_charge: bool = False


@dataclass(frozen=True, slots=True)
class Customer:
    name: str
    email: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened to the order: `paid`, `declined:2`, `refunded:<refund>`."""

    name: str
    at: datetime
    status: str | None = None
    """The order's status after it. None where it is not known: an older build was told of it."""
    refund: int | None = None
    """The amount of the refund that was made or that failed, in minor units."""

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]


@dataclass(frozen=True, slots=True)
class InDoubt:
    """The mail server's answer was lost: the email may have been sent, and is sent again."""

    since: datetime
    times: int = 0
    """How often an answer was lost."""
    next_try: datetime | None = None
    """None: it is being sent."""


@dataclass(frozen=True, slots=True)
class Email:
    """One email. `id` is its Message-ID, the same in every attempt, also when it is sent again."""

    id: str
    fact: str
    template: str
    audience: Audience
    state: EmailState = "pending"
    attempts: int = 0
    """Of all rounds, counted when a round ends."""
    at: datetime | None = None
    """When its state became final."""
    code: str | None = None
    text: str | None = None
    """Why it is lost or in doubt, for staff."""
    call: SendEmail | None = None
    """Kept while it is lost or in doubt, so that it can be sent again."""
    in_doubt: InDoubt | None = None

    @property
    def is_lost(self) -> bool:
        return self.state in ("failed", "unknown")

    @property
    def wrong_since(self) -> datetime | None:
        """Since when it is lost or in doubt; None while all goes well."""
        if self.in_doubt:
            return self.in_doubt.since
        return self.at if self.is_lost else None


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
    """When its state became final."""
    text: str | None = None
    """Why it was not delivered, for staff."""

    @property
    def is_lost(self) -> bool:
        return self.state in ("exhausted", "paused")

    @property
    def wrong_since(self) -> datetime | None:
        """Since when it is lost; None while all goes well."""
        return self.at if self.is_lost else None


@dataclass(frozen=True, slots=True)
class NotificationLog:
    number: str
    store: StoreCard
    customer: Customer
    lines: tuple[Line, ...]
    currency: str
    subtotal: int
    discount: int
    tax: int
    total: int
    purchased: int
    """What is charged."""
    prices_include_tax: bool = False
    locale: str | None = None
    paid: bool = False
    failed: bool = False
    facts: tuple[Fact, ...] = ()
    emails: tuple[Email, ...] = ()
    deliveries: tuple[WebhookDelivery, ...] = ()
    revision: int = 0
    """Of its record on the status topic."""
    updated_at: datetime | None = None
    """When its record was told last."""
    amount_paid: int | None = None
    """Once it is paid, in minor units: 0 if it was given or free. An older build did not keep it."""
    erased_at: datetime | None = None
    """When the customer's personal data was erased: nothing is sent any more."""

    def fact(self, name: str) -> Fact | None:
        return next((fact for fact in self.facts if fact.name == name), None)

    def email(self, id: str) -> Email:
        """Raises LookupError."""
        email = self.find_email(id)
        if email is None:
            raise LookupError(f"the order has no email {id}")
        return email

    def find_email(self, id: str) -> Email | None:
        return next((email for email in self.emails if email.id == id), None)

    def delivery(self, id: str) -> WebhookDelivery:
        """Raises LookupError."""
        for delivery in self.deliveries:
            if delivery.id == id:
                return delivery
        raise LookupError(f"the order has no webhook delivery {id}")

    @property
    def messages(self) -> tuple[Email | WebhookDelivery, ...]:
        return *self.emails, *self.deliveries

    def pending(self) -> int:
        """How many emails and webhook deliveries are in progress."""
        return sum(message.state == "pending" for message in self.messages)

    def lost_emails(self) -> int:
        return sum(email.is_lost for email in self.emails)

    def lost_deliveries(self) -> int:
        return sum(delivery.is_lost for delivery in self.deliveries)


notification_logs = Core(NotificationLog, missing=Refused("unknown_order", "Unknown order."))
