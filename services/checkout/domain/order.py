"""An order: what was bought, where it is in its life, and the rules by which it moves.

    created ──► pending_payment ──► processing ──► completed ──► refunded | returned
       │              │              ▲  │   │
       │              │              │  ▼   └────► refunded
       │              │             failed ──────► completed | refunded
       └──────────────┴── cancelled (before completion), expired (before payment)

`received`, `accepted` and `declined` are for stores that approve each request before the charge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from services.checkout.domain.store import order_page
from shared.contracts.storefront import PaymentChoice, Source
from shared.contracts.values import (
    Address,
    Customer,
    DeliveryStatus,
    Discount,
    FulfilmentStatus,
    Instructions,
    OrderItem,
    OrderStatus,
    PaymentStatus,
    StoreCard,
    TaxLine,
)
from shared.core.fast_dataclasses import replace

S = OrderStatus
TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    S.CREATED: frozenset({S.RECEIVED, S.PENDING_PAYMENT, S.CANCELLED, S.EXPIRED}),
    S.RECEIVED: frozenset({S.ACCEPTED, S.DECLINED, S.CANCELLED}),
    S.ACCEPTED: frozenset({S.PENDING_PAYMENT, S.PROCESSING, S.CANCELLED}),
    S.PENDING_PAYMENT: frozenset({S.PROCESSING, S.FAILED, S.CANCELLED, S.EXPIRED}),
    S.PROCESSING: frozenset({S.COMPLETED, S.FAILED, S.CANCELLED, S.REFUNDED}),
    S.FAILED: frozenset({S.PROCESSING, S.COMPLETED, S.CANCELLED, S.REFUNDED}),
    S.COMPLETED: frozenset({S.REFUNDED, S.RETURNED}),
    S.DECLINED: frozenset(),
    S.CANCELLED: frozenset(),
    S.EXPIRED: frozenset(),
    S.REFUNDED: frozenset(),
    S.RETURNED: frozenset(),
}
"""REQUIREMENTS, section 1. What is not here does not happen."""
UNPAID = frozenset({S.CREATED, S.RECEIVED, S.ACCEPTED, S.PENDING_PAYMENT})
DELIVERING = frozenset({S.PROCESSING, S.FAILED, S.COMPLETED})
"""Deliveries still count: a completed order may have been completed by hand."""
CLOSED = frozenset({S.DECLINED, S.CANCELLED, S.EXPIRED, S.REFUNDED, S.RETURNED})


class IllegalTransition(Exception):
    """A handler moved an order where its status does not lead: a bug, handlers ask `may_become` first."""


class Charge(StrEnum):
    """The payment attempt, as far as checkout knows."""

    NONE = "none"
    UNDER_WAY = "under_way"
    ACTION_REQUIRED = "action_required"
    """The customer is asked to confirm (3-D Secure), or may pay in another way."""
    UNRESOLVED = "unresolved"
    """It is unknown whether money was taken: nothing is charged again before that is found out, or settled."""


@dataclass(frozen=True, slots=True)
class Line:
    """One item of the order and what became of it."""

    item: OrderItem
    delivery: DeliveryStatus = DeliveryStatus.PENDING
    refunded: int = 0
    refunded_whole: bool = False
    instructions: Instructions | None = None
    """What the customer has not been told yet."""
    trouble: str = ""
    """Why it waits or failed."""

    @property
    def settled(self) -> bool:
        """Nothing more is to be delivered."""
        return self.refunded_whole or self.delivery in (DeliveryStatus.DELIVERED, DeliveryStatus.REVOKED)

    @property
    def failed(self) -> bool:
        return self.delivery is DeliveryStatus.FAILED and not self.refunded_whole


@dataclass(frozen=True, slots=True)
class Refund:
    """Money that went back, kept because a bank may still send it back to the store."""

    id: str
    amount: int
    shares: dict[str, int]
    """What of it was counted for which item."""


@dataclass(frozen=True, slots=True)
class Order:
    """Amounts in minor units of `currency`. Invariant: refunded ≤ paid ≤ purchased ≤ total = subtotal + tax."""

    number: str
    store: StoreCard
    currency: str
    grace: timedelta
    created_at: datetime
    updated_at: datetime
    status: OrderStatus = S.CREATED
    payment_status: PaymentStatus = PaymentStatus.PENDING
    revision: int = 0
    statement_descriptor: str | None = None
    customer: Customer | None = None
    lines: tuple[Line, ...] = ()
    subtotal: int = 0
    discount: int = 0
    tax: int = 0
    total: int = 0
    purchased: int = 0
    paid: int = 0
    refunded: int = 0
    refunds: tuple[Refund, ...] = ()
    discounts: tuple[Discount, ...] = ()
    taxes: tuple[TaxLine, ...] = ()
    billing: Address | None = None
    shipping: Address | None = None
    country: str | None = None
    locale: str | None = None
    offer: str | None = None
    origin: Source = field(default_factory=Source)
    terms_accepted_at: datetime | None = None
    reserved: bool = False
    """Its stock is set aside."""
    choice: PaymentChoice | None = None
    """How the customer pays, until the charge is requested."""
    attempts: int = 0
    """How many charges were requested."""
    charge: Charge = Charge.NONE
    pay_url: str | None = None
    """Where the customer must act."""
    deadline: datetime | None = None
    """Until when the order waits for its payment."""
    message: str | None = None
    """Why the order is where it is, for a person."""
    placed_at: datetime | None = None
    paid_at: datetime | None = None
    completed_at: datetime | None = None
    closed_at: datetime | None = None

    def may_become(self, status: OrderStatus) -> bool:
        return status in TRANSITIONS[self.status]

    def line(self, item: str) -> Line | None:
        return next((line for line in self.lines if line.item.item == item), None)

    def with_line(self, changed: Line) -> Order:
        item = changed.item.item
        return replace(self, lines=tuple(changed if line.item.item == item else line for line in self.lines))

    def page(self, key: str) -> str:
        """Where the customer sees this order and pays again."""
        return order_page(self.store.order_url, key)

    @property
    def is_deliverable(self) -> bool:
        return self.status in DELIVERING

    @property
    def fulfilment_status(self) -> FulfilmentStatus:
        return fulfilment_status(self.lines, under_way=self.is_deliverable)


def moved(order: Order, status: OrderStatus, at: datetime, message: str | None = None) -> Order:
    """The only place where a status changes. Raises IllegalTransition."""
    if not order.may_become(status):
        raise IllegalTransition(f"{order.status} does not lead to {status}")
    closed = status in CLOSED
    return replace(
        order,
        status=status,
        message=message,
        lines=tuple(replace(line, instructions=None) for line in order.lines) if closed else order.lines,
        pay_url=order.pay_url if status in UNPAID else None,
        deadline=order.deadline if status in UNPAID else None,
        choice=order.choice if status in UNPAID else None,
        placed_at=at if status in (S.PENDING_PAYMENT, S.RECEIVED) and not order.placed_at else order.placed_at,
        completed_at=at if status is S.COMPLETED else order.completed_at,
        closed_at=at if closed else order.closed_at,
    )


def fulfilment_status(lines: Sequence[Line], *, under_way: bool) -> FulfilmentStatus:
    """The whole, from the deliveries of the items. `under_way`: the order is paid and not closed."""
    states = [line.delivery for line in lines]
    kept = [line for line in lines if not line.refunded_whole and line.delivery is not DeliveryStatus.REVOKED]
    if states and all(state is DeliveryStatus.REVOKED for state in states):
        return FulfilmentStatus.REVOKED
    if under_way and any(line.failed for line in kept):
        return FulfilmentStatus.FAILED
    if kept and all(line.delivery is DeliveryStatus.DELIVERED for line in kept):
        return FulfilmentStatus.FULFILLED
    if DeliveryStatus.DELIVERED in states:
        return FulfilmentStatus.PARTIALLY_FULFILLED
    return FulfilmentStatus.IN_PROGRESS if under_way else FulfilmentStatus.UNFULFILLED
