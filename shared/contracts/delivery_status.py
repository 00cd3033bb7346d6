"""The status record of an order's deliveries. Key: the order id."""

from __future__ import annotations

from pydantic import AwareDatetime

from shared.contracts.values import (
    Count,
    Execution,
    Id,
    Revision,
    Short,
    Text,
    Value,
)
from shared.core import Attempt, Event, Topic

STATUS = Topic(
    "deliveries.status.v1",
    owner="fulfillment",
    compacted=True,
    description="The latest complete state of every order's deliveries, for staff tools.",
)


class ParcelState(Value):
    """A parcel that was sent."""

    parcel: Id
    """The parcel's id within the order."""
    quantity: Count
    """Units in it."""
    carrier: Short
    """The carrier's name, as staff wrote it."""
    tracking: Short
    """The tracking number."""
    sent_at: AwareDatetime
    """When staff recorded that it was sent."""
    delivered_at: AwareDatetime | None = None
    """When it reached the customer, if that is known."""


class ExecutionState(Value):
    """One action of an order. Without what the customer got by it: links and codes."""

    execution: Execution
    """Its id: `1` is item 1's first action, `1/2` its second."""
    about: Id
    """The item's id within the order; `offer` for what its offer brings, `order` for what every order does."""
    name: Short
    """The name of the product, or of what the offer or every order brings."""
    quantity: Count
    """How many units."""
    kind: Short | None = None
    """The kind of its action: download, code, course, shipment, manual, http, discord_role, rcon.
    Missing: none is set."""
    version: Count = 0
    """The version of its product's configuration. 0: from before there were versions, or not configured."""
    status: Short
    """One of planned, in_progress, waiting_parcel, waiting_code, waiting_task, waiting_setup, waiting_outside (tried
    again by itself), delivered, failed, stopping, revoking, revoked, revocation_failed."""
    code: Short | None = None
    """Why it waits or failed, machine-readable: see docs/delivery.md."""
    text: Text = ""
    """The same for staff: what to fix."""
    attempts: tuple[Attempt, ...] = ()
    """The latest attempts that failed."""
    in_doubt: bool = False
    """A failed attempt may have been carried out."""
    stock: Short = "none"
    """One of none (not counted), reserved, taken, released."""
    carrier: Short | None = None
    """The carrier of its latest parcel."""
    tracking: Short | None = None
    """The tracking number of its latest parcel."""
    expires: AwareDatetime | None = None
    """When the customer's link ends."""
    parcels: tuple[ParcelState, ...] = ()
    """Its latest five parcels."""
    returned: Count = 0
    """How many units came back."""


class DeliveryStatusRecord(Event, type="delivery.status", topic=STATUS):
    """The complete current state of one order's deliveries, from its payment on. While all goes on as it should, it is
    told once, at the end. Later records of the same key replace earlier ones."""

    store: Short
    """The store's id."""
    stage: Short
    """One of refused (sold out), paid, cancelled."""
    held: bool = False
    """Nothing is delivered until staff release it."""
    revision: Revision
    """Increases with every record; in leaps when fulfillment's database was restored to an earlier point."""
    updated_at: AwareDatetime
    """When this state was reached."""
    executions: tuple[ExecutionState, ...] = ()
    """Each action of the order: of its items, of its offer and of what every order brings."""
    to_start: bool | None = None
    """Nothing is delivered until staff start it. Missing: it need not be started."""
