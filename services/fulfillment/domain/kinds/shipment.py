"""Shipments: an item waits until staff have sent all of its units, in one parcel or several."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from services.fulfillment.domain.carriers import CarrierPages, carriers_key, page_of
from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import CANCELLED, Delivery, Item, ItemStatus, Parcel, Stage, deliveries
from services.fulfillment.domain.kind import Kind
from services.fulfillment.domain.selection import few, item_problem, refused_for, select_items
from shared.contracts.delivery_work import DeliveryNoted, ParcelDelivered
from shared.contracts.fulfillment import Shipment, ShipOrder
from shared.contracts.values import Instructions
from shared.core import Context, Decision, Problem, Ref, Refused
from shared.core.fast_dataclasses import replace

NOTHING_TO_SHIP = Refused("nothing_to_ship", "No item of the order is waiting for a parcel.")
MOST_PARCELS = 200
"""Of one order."""


class ShipmentKind(Kind[Shipment]):
    sends_units = True

    def begin(self, change: DeliveryChange, item: Item, action: Shipment) -> None:
        text = "Waiting for the parcel to be sent."
        change.await_item(item, ItemStatus.WAITING_PARCEL, "shipment", text, action=action)

    def resend(self, change: DeliveryChange, item: Item) -> None:
        """Every parcel of it, and what staff wrote who delivered the rest by hand."""
        parcels = [_told(item, parcel) for parcel in item.parcels if not parcel.former]
        by_hand = item.instructions if item.instructions and item.instructions.kind != "shipment" else None
        change.resend_item(item, (*parcels, *([by_hand] if by_hand else ())) if parcels else None)


SHIPMENT = ShipmentKind()


def pages_of_carriers(message: object, key: str, delivery: Delivery) -> list[Ref[CarrierPages]]:
    return [Ref(CarrierPages, carriers_key(delivery.store))]


@deliveries.on(ShipOrder, reads=pages_of_carriers)
def shipped(delivery: Delivery, command: ShipOrder, context: Context) -> Decision[Delivery] | Refused:
    if delivery.stage is Stage.PLACED:
        return Refused("not_paid", "The order is not paid yet. Ship it after payment.")
    if delivery.stage is not Stage.PAID:
        return Refused("order_cancelled", "The order is cancelled. Do not ship it.")
    if waits := delivery.why_not_begun:
        return waits
    named = (*command.executions, *command.quantities)
    items = select_items(delivery, command.items, named, _shipping_problem, NOTHING_TO_SHIP)
    refused = items if isinstance(items, Refused) else _wrong_parcel(delivery, items, command)
    if isinstance(items, Refused) or refused:
        return refused or NOTHING_TO_SHIP
    change, parcel = DeliveryChange(delivery, context), command.parcel or _next_id(_parcels(delivery))
    for item in items:
        _ship(change, item, parcel, command)
    return change.decision()


def _ship(change: DeliveryChange, item: Item, parcel: str, command: ShipOrder) -> None:
    units, carrier, tracking = _units(item, command.quantities), command.carrier, command.tracking
    own = change.context.row(CarrierPages, carriers_key(change.state.store))
    link = command.link or page_of(carrier, tracking, own)
    sent = Parcel(parcel, units, carrier, tracking, change.context.at, link=link)
    given = _told(item, sent)
    item = change.update_item(item, parcels=(*item.parcels, sent))
    if item.sent >= item.quantity:
        change.deliver_item(item, given)
    else:
        text = f"{item.sent} of {item.quantity} sent. Waiting for the rest to be sent."
        change.deliver_part(change.update_item(item, text=text), given)


def _told(item: Item, parcel: Parcel) -> Instructions:
    is_only = parcel.quantity == item.quantity
    return Instructions(
        kind="shipment",
        carrier=parcel.carrier,
        tracking=parcel.tracking,
        link=parcel.link or page_of(parcel.carrier, parcel.tracking),
        quantity=None if is_only else parcel.quantity,
        parcel=parcel.id,
    )


def _next_id(known: set[str]) -> str:
    return next(id for number in itertools.count(len(known) + 1) if (id := str(number)) not in known)


def _units(item: Item, quantities: Mapping[str, int]) -> int:
    return quantities.get(item.id, item.quantity - item.sent)


def _wrong_parcel(delivery: Delivery, items: list[Item], command: ShipOrder) -> Refused | None:
    known = _parcels(delivery)
    if command.parcel in known:
        return Refused("known_parcel", f"The order has a parcel {command.parcel} already.")
    if len(known) >= MOST_PARCELS:
        return Refused("too_many", f"An order has at most {MOST_PARCELS} parcels.")
    problems = []
    for item in items:
        left, units = item.quantity - item.sent, _units(item, command.quantities)
        if not 1 <= units <= left:
            text = f"Item {item.id}: {left} of {item.quantity} are left to send, not {units}."
            problems.append(item_problem(item.id, "wrong_quantity", text))
    return refused_for(problems) if problems else None


def _parcels(delivery: Delivery) -> set[str]:
    return {parcel.id for item in delivery.items for parcel in item.parcels}


def _shipping_problem(item: Item) -> Problem | None:
    if item.status is ItemStatus.WAITING_PARCEL:
        return None
    if item.status in CANCELLED:
        return item_problem(item.id, "item_revoked", f"Item {item.id} was refunded. Do not ship it.")
    if not isinstance(item.action, Shipment):
        return item_problem(item.id, "not_a_shipment", f"Item {item.id} is not delivered by parcel.")
    return item_problem(item.id, "already_shipped", f"Item {item.id} is already shipped.")


@deliveries.on(ParcelDelivered)
def parcel_delivered(delivery: Delivery, command: ParcelDelivered, context: Context) -> Decision[Delivery] | Refused:
    """Also of an order that was refunded or cancelled since: it is a fact."""
    id = command.parcel
    found = [item for item in delivery.items if any(parcel.id == id for parcel in item.parcels)]
    if not found:
        return Refused("unknown_parcel", f"The order has no parcel {id}.")
    if all(parcel.delivered_at for item in found for parcel in item.parcels if parcel.id == id):
        return Refused("parcel_delivered", f"Parcel {id} is known to have been delivered.")
    change, text = DeliveryChange(delivery, context), f"Parcel {id}. {command.reason}".strip()
    change.publish(DeliveryNoted(action="parcel_delivered", items=few(item.about for item in found), text=text))
    for item in found:
        parcels = (replace(parcel, delivered_at=context.at) if parcel.id == id else parcel for parcel in item.parcels)
        change.update_item(item, parcels=tuple(parcels))
    return change.decision()
