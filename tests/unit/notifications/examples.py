"""Example messages, and the scenario of one order with its store's webhook endpoints."""

from __future__ import annotations

import email.policy
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html import unescape

from services.notifications.domain import CORES
from services.notifications.domain.endpoint import Endpoints
from services.notifications.domain.feed import customer_recipient
from services.notifications.domain.notification_log import Customer as LogCustomer
from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import PostWebhook, SendEmail
from services.notifications.domain.records import FeedEntry
from shared.contracts.checkout import OrderPaid, OrderPlaced
from shared.contracts.notifications import RegisterWebhook
from shared.contracts.values import Customer, OrderItem, StoreCard
from shared.core import Scenario

START = datetime(2026, 3, 3, 14, 5, tzinfo=UTC)
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ALL_EVENTS = ("order.received", "order.refunded", "order.created", "order.updated", "order.completed")
STORE = StoreCard(
    id="northwind",
    name="Northwind Books",
    sender="orders@northwind.example",
    staff_email="staff@northwind.example",
    support_email="help@northwind.example",
    order_url="https://northwind.example/orders/{order}",
)
CUSTOMER = customer_recipient(STORE.id, LogCustomer("Ada Lovelace", "ada@example.com"))
STAFF = "northwind~staff"
PAID = OrderPaid(amount=2700, currency="EUR")


ATLAS = OrderItem(
    item="1", sku="atlas", product="Field Atlas", quantity=2, unit_price=1500, line_total=3000, purchased=2700
)
DELIVERY = OrderItem(
    item="2",
    sku="express",
    product="Express delivery",
    quantity=1,
    unit_price=490,
    line_total=490,
    purchased=490,
    kind="delivery",
)


def placed(**changes: object) -> OrderPlaced:
    order = OrderPlaced(
        number="ORD-ABCDEFGH12",
        store=STORE,
        customer=Customer(name="Ada Lovelace", email="ada@example.com"),
        items=(ATLAS,),
        currency="EUR",
        subtotal=3000,
        discount=300,
        tax=0,
        total=3000,
        purchased=2700,
    )
    return order.model_copy(update=changes)


def bodies(mail: bytes) -> tuple[str, str]:
    """Text and HTML of an email, the latter without character references."""
    parts = email.message_from_bytes(mail, policy=email.policy.default).iter_parts()
    text, html = (part.get_content() for part in parts)
    return text, unescape(html)


def webhook(
    endpoint: str = "crm", events: Sequence[str] = ALL_EVENTS, url: str = "https://crm.example/in"
) -> RegisterWebhook:
    return RegisterWebhook.model_validate({"endpoint": endpoint, "url": url, "events": tuple(events), "secret": SECRET})


class OrderScenario(Scenario[NotificationLog]):
    """One order, `o-1`. Messages to its store have the store's key."""

    def __init__(self, *registered: RegisterWebhook) -> None:
        logs, *others = CORES
        super().__init__(logs, *others, at=START, pace=timedelta(minutes=1))
        for command in registered:
            self.hear(command, STORE.id)

    @property
    def endpoints(self) -> Endpoints:
        return self.row(Endpoints, STORE.id) or Endpoints()

    @property
    def emails(self) -> list[SendEmail]:
        """All requested so far."""
        return self.all.of(SendEmail)

    def posts(self, endpoint: str | None = None) -> list[PostWebhook]:
        """All requested so far."""
        return [post for post in self.all.of(PostWebhook) if endpoint in (None, post.endpoint)]

    def feed(self, recipient: str) -> list[FeedEntry]:
        return [entry for entry in self.all.of(FeedEntry) if entry.key == recipient]


def placed_order(*registered: RegisterWebhook) -> OrderScenario:
    order = OrderScenario(*registered)
    order.hear(placed())
    return order


def paid_order(*registered: RegisterWebhook) -> OrderScenario:
    return placed_order(*registered).given(PAID)
