"""An order: what was bought, its status, payment and delivery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from services.checkout.domain.card_check import NONE, CardCheck
from services.checkout.domain.fulfilment import fulfilment_status
from services.checkout.domain.order_records import Asked, BillingDetails, Completion, Opened, Refund
from services.checkout.domain.status import CLOSED, DELIVERABLE, TRANSITIONS, IllegalTransition
from shared.contracts.providers import DEFAULT
from shared.contracts.storefront import PaymentChoice, Source
from shared.contracts.stores import PAYMENT_COOL_DOWN, PAYMENT_TRIES
from shared.contracts.values import (
    UNPAID,
    Address,
    Customer,
    DeliveryStatus,
    Discount,
    FulfilmentStatus,
    Instructions,
    OrderItem,
    OrderStatus,
    PaidElsewhere,
    PaymentStatus,
    StoreCard,
    TaxLine,
    order_page,
)
from shared.core import Core, Refused, TimerMessage
from shared.core.fast_dataclasses import fast, replace
from shared.core.fast_enums import StrEnum

T = TypeVar("T")


class SubmissionOverdue(TimerMessage):
    """An opened checkout was not submitted in time."""


class PaymentOverdue(TimerMessage):
    """A placed order was not paid in time."""


class FailedPaymentOverdue(TimerMessage):
    """An order that cannot be paid any more has come to its deadline. It takes the name and place of `PaymentOverdue`:
    an older build, which would let that one go by, leaves this one to a newer worker, and cancels it like that one."""


class ApprovalDue(TimerMessage):
    """An order that can be accepted is, by the store's rule."""


class PaymentReminder(TimerMessage):
    """The customer of an unpaid order is to be reminded."""


class ChargeState(StrEnum):
    """The payment attempt, as far as checkout knows."""

    NONE = "none"
    IN_PROGRESS = "in_progress"
    ACTION_REQUIRED = "action_required"
    """The customer is asked to confirm (3-D Secure), or may pay in another way."""
    UNRESOLVED = "unresolved"
    """It is unknown whether the customer was charged: no other charge until that is known, or settled."""


SHOWN_AS_REFUNDED = (OrderStatus.PROCESSING, OrderStatus.COMPLETED)
"""A failed order is shown as that: it needs attention."""
ORDER, OFFER = "order", "offer"
"""What facts of fulfillment are about, besides items: the order itself, and its offer."""
SENT: Mapping[str, Any] = {"instructions": None, "further_instructions": ()}
"""Of a line or an extra: the customer has all of its instructions, or gets no more."""
NOT_TO_PAY: dict[str, Any] = {"pay_url": None, "deadline": None, "choice": None, "closing": 0, "completion": None}
FINISHED = (DeliveryStatus.DELIVERED, DeliveryStatus.REVOKED, DeliveryStatus.NOT_NEEDED)


@fast
@dataclass(frozen=True, slots=True)
class Line:
    """One item of the order, its delivery and its refunds."""

    item: OrderItem
    delivery: DeliveryStatus = DeliveryStatus.PENDING
    refunded: int = 0
    refunded_whole: bool = False
    instructions: Instructions | None = None
    """What the customer has not been sent yet."""
    trouble: str = ""
    """Why it is waiting or failed."""
    further_instructions: tuple[Instructions, ...] = ()
    """Of further actions, not sent yet either."""
    access_left: bool = False
    """It was wholly refunded, and the customer keeps what was delivered."""
    trouble_since: datetime | None = None

    @property
    def title(self) -> str:
        return self.item.product

    @property
    def unsent(self) -> tuple[Instructions, ...]:
        return (self.instructions, *self.further_instructions) if self.instructions else ()

    @property
    def is_finished(self) -> bool:
        """Nothing is left to deliver."""
        return self.refunded_whole or self.delivery in FINISHED

    @property
    def has_ended(self) -> bool:
        """It was wholly refunded, and the customer keeps nothing of it."""
        return self.refunded_whole and not self.access_left

    @property
    def has_failed(self) -> bool:
        return self.delivery is DeliveryStatus.FAILED and not self.refunded_whole


@fast
@dataclass(frozen=True, slots=True)
class Extra:
    """What the order's offer, or every order of the store, brings along with its items. Known once fulfillment says."""

    id: str
    """`offer` or `order`."""
    name: str = ""
    delivery: DeliveryStatus = DeliveryStatus.PENDING
    instructions: Instructions | None = None
    """What the customer has not been sent yet."""
    trouble: str = ""
    """Why it is waiting or failed."""
    further_instructions: tuple[Instructions, ...] = ()
    trouble_since: datetime | None = None

    refunded_whole: ClassVar[bool] = False
    has_ended: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return self.name or ("What comes with every order" if self.id == ORDER else "What comes with the offer")

    @property
    def unsent(self) -> tuple[Instructions, ...]:
        return (self.instructions, *self.further_instructions) if self.instructions else ()

    @property
    def is_finished(self) -> bool:
        return self.delivery in FINISHED

    @property
    def has_failed(self) -> bool:
        return self.delivery is DeliveryStatus.FAILED


@fast
@dataclass(frozen=True, slots=True)
class Order:
    """Amounts in minor units of `currency`. Invariant: refunded ≤ paid ≤ purchased ≤ total = subtotal + tax, or the
    subtotal if prices include tax."""

    number: str
    store: StoreCard
    currency: str
    grace: timedelta
    created_at: datetime
    updated_at: datetime
    status: OrderStatus = OrderStatus.CREATED
    payment_status: PaymentStatus = PaymentStatus.PENDING
    revision: int = 0
    statement_descriptor: str | None = None
    customer: Customer | None = None
    lines: tuple[Line, ...] = ()
    extras: tuple[Extra, ...] = ()
    under_way: int = 0
    """How many actions were being carried out, as fulfillment last said: something may be among them that it has not
    told of yet."""
    subtotal: int = 0
    discount: int = 0
    tax: int = 0
    total: int = 0
    purchased: int = 0
    prices_include_tax: bool = False
    paid: int = 0
    refunded: int = 0
    refunds: tuple[Refund, ...] = ()
    failed_refunds: int = 0
    """The sum of all refunds that ever failed, or that the bank sent back: payments keeps what is owed of them."""
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
    """Stock is reserved."""
    choice: PaymentChoice | None = None
    """How the customer pays, until the charge is requested."""
    attempts: int = 0
    """How many charges were requested."""
    payment_providers: tuple[str, ...] = (DEFAULT,)
    payment_tries: int = PAYMENT_TRIES
    """How many charges may be requested."""
    payment_cool_down: timedelta = PAYMENT_COOL_DOWN
    show_partial_refund_as_refunded: bool = False
    declines: int = 0
    """How many of the charges were declined."""
    declined_at: datetime | None = None
    """When the first of them was: `grace` from then on is the deadline, however often another one is declined."""
    retry_after: datetime | None = None
    """Since the latest decline: when the customer may pay again, unless at once."""
    charge: ChargeState = ChargeState.NONE
    pay_url: str | None = None
    """Where the customer must act: confirm the payment, or pay again."""
    deadline: datetime | None = None
    """When the time to pay ends, while the order waits for its payment, or has failed without it."""
    closing: int = 0
    """The time to pay ended with a charge open: how often payments was asked how it ends. 0: not asked."""
    message: str | None = None
    """Why the order has this status, for people."""
    placed_at: datetime | None = None
    paid_at: datetime | None = None
    completed_at: datetime | None = None
    closed_at: datetime | None = None
    return_refunds: tuple[str, ...] = ()
    """Ids of the latest refunds that were asked for returned items, or that were granted to the customer."""
    refused_refunds: tuple[tuple[str, str], ...] = ()
    """The latest requests for refunds that payments refused: their ids, and why."""
    return_refused: str = ""
    """Why such a refund was refused, until there is another refund. Staff see it."""
    payment_methods: Mapping[str, tuple[str, ...]] | None = None
    """Which methods of a provider can be chosen; of others all."""
    complete_by_hand: bool = False
    held: str | None = None
    """Why it is held for verification."""
    to_start: bool = False
    """Staff have not started its delivery, as the store wants it."""
    reminders: tuple[timedelta, ...] = ()
    """When the customer is reminded to pay, from the submission or the first declined payment on."""
    reminded: int = 0
    """How many of these times have come."""
    verification: str = NONE
    """How its card is verified before it is accepted: `none`, `amount` or `setup`."""
    verification_amount: int = 0
    card_check: CardCheck = CardCheck.NONE
    verifications: int = 0
    """How many verifications were requested."""
    payable_since: datetime | None = None
    """Of an accepted order: when the customer was first asked to pay it."""
    accepted_by_rule: bool = False
    """Once it could be accepted, by the store's rule."""
    completion: Completion | None = None
    elsewhere: PaidElsewhere | None = None
    """How it was paid, as staff say, without a provider; or it was given for nothing."""
    given: bool = False
    restored: tuple[Refund, ...] = ()
    """Made, and not counted any more."""
    other_amount: int = 0
    """What was captured while it waited for another amount: it pays nothing, and nothing more is charged."""
    opened: Opened | None = None
    details: BillingDetails = field(default_factory=BillingDetails)
    notes: int = 0
    messages: int = 0
    asked: Asked | None = None
    in_ledger: bool = False
    """What was paid elsewhere is entered in the ledger. Refunds that come before are of another charge."""
    erased_at: datetime | None = None
    """When the customer's personal data was erased: no message brings it back."""

    @property
    def is_verified(self) -> bool:
        """Its card is verified and kept, or need not be."""
        return self.verification == NONE or self.card_check is CardCheck.VERIFIED

    def may_become(self, status: OrderStatus) -> bool:
        return status in TRANSITIONS[self.status]

    def line(self, item: str) -> Line | None:
        return next((line for line in self.lines if line.item.item == item), None)

    def delivered_part(self, id: str) -> Line | Extra | None:
        """What a fact of fulfillment is about."""
        if id in (ORDER, OFFER):
            return next((extra for extra in self.extras if extra.id == id), Extra(id))
        return self.line(id)

    @property
    def parts(self) -> tuple[Line | Extra, ...]:
        """All that is delivered."""
        return (*self.lines, *self.extras)

    def name_of(self, item: str) -> str:
        part = self.delivered_part(item)
        return part.title if part else f"Item {item}"

    def with_part(self, changed: Line | Extra) -> Order:
        if isinstance(changed, Line):
            return self.with_line(changed)
        known = any(extra.id == changed.id for extra in self.extras)
        extras = tuple(changed if extra.id == changed.id else extra for extra in self.extras)
        return replace(self, extras=extras if known else (*extras, changed))

    def with_line(self, changed: Line) -> Order:
        item = changed.item.item
        return replace(self, lines=tuple(changed if line.item.item == item else line for line in self.lines))

    def page(self, key: str) -> str:
        """Where the customer sees this order and pays again."""
        return order_page(self.store.order_url, key)

    @property
    def restored_amount(self) -> int:
        return sum(refund.amount for refund in self.restored)

    @property
    def is_closing(self) -> bool:
        """Payments is asked how the open charge ends. An older build does not know `closing`: it leaves it where the
        charge has ended, or the order has gone on."""
        may_be_open = self.status is OrderStatus.PENDING_PAYMENT or self.completion is not None
        open_charge = may_be_open and self.charge is not ChargeState.NONE
        return bool(self.closing) and open_charge

    def is_overdue(self, at: datetime) -> bool:
        """The time to pay is over."""
        return self.deadline is not None and self.deadline <= at

    @property
    def status_in_words(self) -> str:
        return self.status.replace("_", " ")

    @property
    def display_status(self) -> OrderStatus:
        """What people see: `status`, unless the store wants a partly refunded order shown as refunded."""
        partly = self.payment_status is PaymentStatus.PARTIALLY_REFUNDED
        shown = partly and self.show_partial_refund_as_refunded and self.status in SHOWN_AS_REFUNDED
        return OrderStatus.REFUNDED if shown else self.status

    @property
    def status_word(self) -> str | None:
        """What the store calls what people see, if it has a word for it."""
        return (self.store.status_words or {}).get(self.display_status)

    @property
    def is_deliverable(self) -> bool:
        return self.status in DELIVERABLE and not self.payment_failed

    @property
    def payment_failed(self) -> bool:
        """It cannot be paid any more, unless staff allow it. Of any other failed order a delivery has failed."""
        return self.status is OrderStatus.FAILED and self.paid_at is None

    @property
    def is_unpaid(self) -> bool:
        """It may still be paid."""
        return self.status in UNPAID or self.payment_failed

    @property
    def fulfilment_status(self) -> FulfilmentStatus:
        return fulfilment_status(self.lines, self.extras, deliverable=self.is_deliverable)


orders = Core(Order, missing=Refused("unknown_order", "Unknown order."))


def required(part: T | None, name: str) -> T:
    """A part that an order of this status has: see `invariants`."""
    if part is None:
        raise LookupError(f"the order has no {name}")
    return part


def moved(order: Order, status: OrderStatus, at: datetime, message: str | None = None) -> Order:
    """The only place where a status changes. Raises IllegalTransition."""
    if not order.may_become(status):
        raise IllegalTransition(f"{order.status} does not lead to {status}")
    closed = status in CLOSED
    failed_unpaid = status is OrderStatus.FAILED and order.paid_at is None
    return replace(
        order,
        status=status,
        message=message,
        lines=tuple(replace(line, **SENT) for line in order.lines) if closed else order.lines,
        extras=tuple(replace(extra, **SENT) for extra in order.extras) if closed else order.extras,
        **({} if status in UNPAID else NOT_TO_PAY | ({"deadline": order.deadline} if failed_unpaid else {})),
        placed_at=at if order.status is OrderStatus.CREATED and not closed else order.placed_at,
        completed_at=at if status is OrderStatus.COMPLETED else order.completed_at,
        closed_at=at if closed else None,
        held=None if closed else order.held,
        to_start=order.to_start and not closed,
        asked=None if closed else order.asked,
    )
