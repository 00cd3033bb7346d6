"""What staff do about an order's deliveries. Key: the order id."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from shared.contracts.checkout import ORDERS
from shared.contracts.fulfillment import COMMANDS, EVENTS
from shared.contracts.payments import RefundPayment
from shared.contracts.values import (
    Amount,
    Count,
    Execution,
    FreeText,
    Given,
    Id,
    Instructions,
    ItemId,
    Line,
    PartId,
    Short,
    Text,
    Url,
    Value,
    Wait,
)
from shared.core import Command, Event
from shared.core.descriptions import Means

Why = Annotated[
    Line,
    Field(min_length=1),
    Means("Why, for staff: it appears in the order's timeline, and the customer never reads it."),
]
Items = Annotated[tuple[Id, ...], Field(max_length=1000), Means("Items by their ids, with all of their actions.")]
Executions = Annotated[
    tuple[Execution, ...], Field(max_length=1000), Means("Single actions: `1/2` is the second of item 1.")
]
StoredName = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[A-Za-z0-9._:@/-]+$")]
Units = Annotated[int, Field(ge=1, le=10**9)]

# Commands


class MarkDeliveredDelivery(Command, type="delivery.mark_delivered", topic=COMMANDS):
    """Staff have delivered items by hand. Without `items` and `executions`: all that is open, which completes the
    order."""

    items: Items = ()
    executions: Executions = ()
    """Single actions of items: `1/2` is the second of item 1."""
    codes: tuple[Line, ...] = Field(default=(), max_length=200)
    """What the customer gets, if it is codes: of one execution only."""
    note: FreeText = ""
    """For the customer, who reads it once, with the first of the items."""
    notify: bool = True
    """True: the customer is sent an email. False: the customer is not told."""
    reason: Why


class ResendDelivery(Command, type="delivery.resend", topic=COMMANDS):
    """Send the customer again what was delivered: links are signed again. Without names: all of it."""

    items: Items = ()
    executions: Executions = ()
    reason: Why


class RevokeDelivery(Command, type="delivery.revoke", topic=COMMANDS):
    """Remove access to what was delivered, and deliver the rest no more, without a refund. Stock stays as it is."""

    items: Items = ()
    executions: Executions = ()
    reason: Why


class GrantAgainDelivery(Command, type="delivery.grant_again", topic=COMMANDS):
    """Deliver again, as it was bought, what staff had revoked."""

    items: Items = ()
    executions: Executions = ()
    reason: Why


class AttachDelivery(Command, type="delivery.attach", topic=COMMANDS):
    """Give the customer something more with an item of this order: a link or a file, a text, or both."""

    item: Execution
    """The item, or `1/2` for its second action."""
    link: Url | None = None
    """A link for the customer."""
    note: FreeText = ""
    """A text for the customer."""
    notify: bool = True
    """True: the customer is sent it at once. False: with the next resending."""
    reason: Why
    file: StoredName | None = None
    """One of the store's files, or one that was uploaded for this order: the customer gets a signed link, which ends
    with the item."""
    file_name: Line = ""
    """The file's name as the customer sees it. Empty: as the file is called."""
    expires_after: Wait = timedelta(days=7)
    """How long each link to the file works."""


class RenewDownload(Command, type="download.renew", topic=COMMANDS):
    """Send the customer new links to what they can download of an item, with their whole time and limit. What was sent
    before works until it expires."""

    item: Execution
    """The item, or `1/2` for its second action."""
    reason: Why
    file: StoredName | None = None
    """One that staff attached to it, and nothing else. Without it: the download that was bought, and all of these."""


class HoldDelivery(Command, type="delivery.hold", topic=COMMANDS):
    """Deliver nothing of an order until it is released, also once it is paid. Refused once its delivery has begun."""

    reason: Why


class ReleaseDelivery(Command, type="delivery.release", topic=COMMANDS):
    """Deliver an order that was held for verification."""

    reason: Why


class StartDelivery(Command, type="delivery.start", topic=COMMANDS):
    """Deliver a paid order of a store whose deliveries are started by hand."""

    reason: Line = ""
    """Why, for the order's timeline."""


class ReturnedLine(Given):
    """Units of one item that came back."""

    item: ItemId
    quantity: Units | None = None
    """How many units. Missing: all that were delivered and are not returned yet."""
    amount: Amount | None = None
    """How much to refund for them. Missing: all that is left of the item, if all units are returned. 0: nothing, as for
    what was free, which payments refuses to refund."""


class ReturnDelivery(Command, type="delivery.return", topic=COMMANDS):
    """Items came back from the customer."""

    items: tuple[ReturnedLine, ...] = Field(min_length=1, max_length=200)
    """What came back."""
    resaleable: bool = True
    """Put them back in stock, where it is counted and a refund has not done so. False: they are written off."""
    refund: bool = False
    """Ask payments to refund them. Over HTTP this needs the permission `payment.refund`, too."""
    reason: Why

    def also_needs(self) -> tuple[str, ...]:
        return (RefundPayment.type,) if self.refund else ()


class ParcelDelivered(Command, type="parcel.delivered", topic=COMMANDS):
    """A parcel has reached the customer, as staff or its carrier say."""

    parcel: Id
    """The parcel's id within the order, as in `order.ship`."""
    reason: Line = ""
    """For the order's timeline: how it is known."""


# Facts

StaffAction = Literal[
    "marked_delivered",
    "resent",
    "resend_failed",
    "revoked",
    "granted_again",
    "attached",
    "held",
    "released",
    "started",
    "parcel_delivered",
]


class DeliveryNoted(Event, type="delivery.noted", topic=EVENTS):
    """Staff, or a carrier, did something about deliveries. What it changes follows, in facts of its own."""

    action: StaffAction
    """What was done."""
    items: tuple[Id, ...] = ()
    """The items that it is about. Empty: the whole order, or more than 20."""
    text: Text = ""
    """For the order's timeline: why, or what was done in detail."""


class ResentItem(Value):
    """An item that the customer is sent once more, or something more with it."""

    item: PartId
    instructions: Instructions
    """How the customer gets or uses it, with links that are signed again."""
    name: Short | None = None
    """The name of what the offer, or every order, brings. Missing: it is an item of the order."""


class DeliveryResent(Event, type="delivery.resent", topic=EVENTS):
    """What the customer is to be sent, once more or in addition. The status of the items stays as it is."""

    items: tuple[ResentItem, ...]
    """What is sent."""


class ItemReturned(Event, type="item.returned", topic=EVENTS):
    """Units of an item came back."""

    item: ItemId
    quantity: Count
    """How many units came back this time."""
    returned: Count
    """How many units of the item have come back so far."""
    whole: bool
    """Nothing of it is left with the customer."""
    resaleable: bool
    """The units are put back in stock, where it is counted and a refund has not done so. False: they are written
    off."""
    reason: Short
    """Why, as staff wrote it."""
    refund: Line | None = None
    """The id of the `payment.refund` that payments was sent for it, and for what was returned along with it."""


class DeliveryWaitsForStaff(Event, type="delivery.waits_for_staff", topic=EVENTS):
    """Something of an order goes no further until staff act: told for all of it together, again and again while it
    waits, ever more rarely. At its beginning only where no other fact says so."""

    what: Line
    """What waits, for staff: `Printable maps and 2 more`."""
    text: Text
    """What each waits for, and for how long."""
    since: AwareDatetime
    """Since when the one has waited that has waited longest."""
    again: bool = False
    """Staff were told before."""
    access_left: bool = False
    """Access could not be revoked: the order may be closed."""


class OrderWaitsForStaff(Event, type="order.waits_for_staff", topic=ORDERS):
    """Deliveries of the order go no further until staff act. Told for all of them together, and again, ever more
    rarely, while they wait."""

    what: Line
    """What waits, for staff: `Printable maps and 2 more`."""
    text: Text
    """What each waits for, and for how long."""
    since: AwareDatetime
    """Since when the one has waited that has waited longest."""
    again: bool = False
    """Staff were told before."""
