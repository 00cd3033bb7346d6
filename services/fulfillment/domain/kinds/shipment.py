"""Shipments: an item waits until staff have sent its parcel."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import CANCELLED, Delivery, Item, ItemStatus, Stage, deliveries
from services.fulfillment.domain.kind import Kind
from services.fulfillment.domain.selection import item_problem, select_items
from shared.contracts.fulfillment import Shipment, ShipOrder
from shared.contracts.values import Instructions
from shared.core import Context, Decision, Problem, Refused

NOTHING_TO_SHIP = Refused("nothing_to_ship", "No item of the order is waiting for a parcel.")


class ShipmentKind(Kind[Shipment]):
    def begin(self, change: DeliveryChange, item: Item, action: Shipment) -> None:
        text = "Waiting for the parcel to be sent."
        change.await_item(item, ItemStatus.WAITING_PARCEL, "shipment", text, action=action)


SHIPMENT = ShipmentKind()


@deliveries.on(ShipOrder)
def shipped(delivery: Delivery, command: ShipOrder, context: Context) -> Decision[Delivery] | Refused:
    if delivery.stage is Stage.PLACED:
        return Refused("not_paid", "The order is not paid yet. Ship it after payment.")
    if delivery.stage is not Stage.PAID:
        return Refused("order_cancelled", "The order is cancelled. Do not ship it.")
    items = select_items(delivery, command.items, command.executions, _shipping_problem, NOTHING_TO_SHIP)
    if isinstance(items, Refused):
        return items
    change = DeliveryChange(delivery, context)
    for item in items:
        change.deliver_item(item, Instructions(kind="shipment", carrier=command.carrier, tracking=command.tracking))
    return change.decision()


def _shipping_problem(item: Item) -> Problem | None:
    if item.status is ItemStatus.WAITING_PARCEL:
        return None
    if item.status in CANCELLED:
        return item_problem(item.id, "item_revoked", f"Item {item.id} was refunded. Do not ship it.")
    if not isinstance(item.action, Shipment):
        return item_problem(item.id, "not_a_shipment", f"Item {item.id} is not delivered by parcel.")
    return item_problem(item.id, "already_shipped", f"Item {item.id} is already shipped.")
