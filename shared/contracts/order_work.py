"""What staff do to orders, besides deliveries and money. Key: the order id."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from shared.contracts.checkout import COMMANDS, ORDERS, CancelOrder
from shared.contracts.payments import RefundPayment
from shared.contracts.text import lines
from shared.contracts.values import (
    Amount,
    Count,
    Currency,
    FreeText,
    Line,
    Moment,
    OrderItem,
    OrderNumber,
    Short,
    StoreId,
    Text,
)
from shared.core import Command, Event

Request = Literal["cancel", "refund"]
LongText = Annotated[str, StringConstraints(min_length=1, max_length=20_000), AfterValidator(lines)]
NoteText = Annotated[str, StringConstraints(min_length=1, max_length=4_000), AfterValidator(lines)]


# Commands


class NoteOrder(Command, type="order.note", topic=COMMANDS):
    """Add a note for staff. Customers never see it."""

    text: NoteText
    """The note."""
    about: Literal["order", "customer"] = "order"
    """A note on the customer is shown with all orders of that email address in the store."""


class MessageOrder(Command, type="order.message", topic=COMMANDS):
    """Hand in what customer or store wrote elsewhere (by email, in a chat). It is shown with the order, kept as
    evidence, and not sent on."""

    sender: Literal["customer", "store"]
    """Who wrote it."""
    text: LongText
    """What was written."""
    written_at: Moment
    """When it was written."""
    author: Line = ""
    """The name of who wrote it, as the other system has it."""
    attachments: tuple[Line, ...] = Field(default=(), max_length=20)
    """Where its attachments are: ids or addresses in the other system."""


class AnswerOrder(Command, type="order.answer", topic=COMMANDS):
    """Answer what the customer asked for (`checkout.asked`). What is granted is done: the order is cancelled, or all
    that is left of its payment is refunded."""

    wants: Request
    """What is answered. Refused if the customer asked for something else, or for nothing."""
    granted: bool
    """True: it is done. False: it is declined, and the order stays as it is."""
    text: FreeText = ""
    """A text for the customer."""

    def also_needs(self) -> tuple[str, ...]:
        if not self.granted:
            return ()
        return (CancelOrder.type,) if self.wants == "cancel" else (RefundPayment.type,)


class ReopenOrder(Command, type="order.reopen", topic=COMMANDS):
    """Reopen an order whose payment has failed: no try was left. It waits for payment again, for the
    store's whole grace period, and the customer is told."""

    tries: Count = 3
    """How often the customer may try, from now on: 1 to 50."""
    note: FreeText = ""
    """For the order's timeline."""


# Facts


class OrderAsked(Event, type="order.asked", topic=ORDERS):
    """The customer asks the store to cancel the order, or to refund it. Staff answer."""

    wants: Request
    """What the customer asks for."""
    text: Text = ""
    """Why, in the customer's words."""


class OrderAnswered(Event, type="order.answered", topic=ORDERS):
    """Staff have answered what the customer asked for."""

    wants: Request
    """What the customer had asked for."""
    granted: bool
    """Whether it is done."""
    text: Text = ""
    """A text for the customer."""


class OrderPaidElsewhere(Event, type="order.paid_elsewhere", topic=ORDERS):
    """Staff completed an unpaid order by hand: it was paid without a provider, or is given. No card is charged for it
    any more; what is captured all the same goes back."""

    attempt: Count
    """The number of this payment: it counts on from the customer's attempts."""
    number: OrderNumber
    store: StoreId
    amount: Amount
    """The order's amount; 0 if it is given."""
    currency: Currency
    items: tuple[OrderItem, ...]
    """The order's lines."""
    method: Short | None = None
    """`bank_transfer`, `cash` or `other`; missing if it is given."""
    reference: Short = ""
    """The reference of the transfer or the receipt."""
    note: Text = ""
    """What staff noted."""
    by: Short = ""
    """Who completed it."""
    given: bool = False
    """It is given for nothing."""


class OrderNoted(Event, type="order.noted", topic=ORDERS):
    """Something about the order that no other event tells: what staff noted, or a message that came too late. For its
    timeline; nothing follows from it."""

    what: Short
    """The wire type of what happened: `order.note`, `payment.captured`."""
    text: Text
    """What happened, for staff."""
    by: Short = ""
    """Whose doing it is: `staff:anna`, `customer`."""
    detail: dict[str, Any] = Field(default_factory=dict)
    """More of it, by name: an attempt, a reason."""
