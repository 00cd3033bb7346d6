"""What fulfillment tells of an order, in words. Codes and links that customers get are not among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from services.staff.domain.archive import EventRow
from services.staff.domain.timeline.entry import OrderWords, Told, counted, spaced, tells, told
from shared.contracts import codes, delivery_work, fulfillment, stock
from shared.contracts.values import Instructions
from shared.core import Attempt

# Stock


@tells(fulfillment.StockReserved)
def reserved(event: fulfillment.StockReserved, order: OrderWords, row: EventRow) -> Told:
    return told("Stock reserved.")


@tells(fulfillment.StockRefused)
def sold_out(event: fulfillment.StockRefused, order: OrderWords, row: EventRow) -> Told:
    return told(f"Sold out: {', '.join(event.skus)}.", skus=[*event.skus], code="sold_out")


@tells(fulfillment.StockReleased)
def released(event: fulfillment.StockReleased, order: OrderWords, row: EventRow) -> Told:
    return told("Stock released.", skus=dict(event.skus))


@tells(stock.StockLow)
def stock_low(event: stock.StockLow, order: OrderWords, row: EventRow) -> Told:
    return told(f"Stock of {event.product} is low: {event.free} free.", sku=event.sku)


@tells(codes.PoolLow)
def pool_low(event: codes.PoolLow, order: OrderWords, row: EventRow) -> Told:
    days = (row.at - event.since) // timedelta(days=1)
    age = f", for {counted(days, 'day')} now" if days > 0 else ""
    waits = f" Orders wait for it: {event.waiting}." if event.waiting else ""
    left = f"{counted(event.left, 'code')} left, fewer than {event.low_water}{age}."
    return told(f"Little is left: pool {event.name}. {left}{waits} Import more.", pool=event.pool)


# Items

Given = fulfillment.ItemDelivered | fulfillment.ItemProgressed


@tells(fulfillment.ItemDelivered)
def delivered(event: fulfillment.ItemDelivered, order: OrderWords, row: EventRow) -> Told:
    return _given(event, event.instructions, f"{order.name_of(event.item, event.name)} delivered.")


@tells(fulfillment.ItemProgressed)
def progressed(event: fulfillment.ItemProgressed, order: OrderWords, row: EventRow) -> Told:
    name = order.name_of(event.item, event.name)
    if event.instructions is None:
        return told(f"{name}: what was under way was ended.", item=event.item)
    return _given(event, event.instructions, f"{name} delivered in part.")


def _given(event: Given, given: Instructions, text: str) -> Told:
    return told(
        text,
        item=event.item,
        kind=given.kind,
        carrier=given.carrier,
        tracking=given.tracking,
        attempts=_attempts(event.attempts),
    )


def _attempts(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    return [attempt.model_dump(mode="json") for attempt in attempts]


@tells(fulfillment.ItemWaiting)
def waiting(event: fulfillment.ItemWaiting, order: OrderWords, row: EventRow) -> Told:
    text = f"{order.name_of(event.item, event.name)} is waiting: {event.text}"
    return told(text, item=event.item, code=event.code)


@tells(fulfillment.ItemFailed)
def failed(event: fulfillment.ItemFailed, order: OrderWords, row: EventRow) -> Told:
    text = f"{order.name_of(event.item, event.name)} could not be delivered: {event.text}"
    return told(text, item=event.item, code=event.code, attempts=_attempts(event.attempts))


@tells(fulfillment.ItemRetried)
def retried(event: fulfillment.ItemRetried, order: OrderWords, row: EventRow) -> Told:
    how = "" if event.configuration is None else f" with configuration {event.configuration} of its product"
    return told(f"Retrying the delivery of {order.name_of(event.item, event.name)}{how}.", item=event.item)


@tells(fulfillment.ItemRevoked)
def revoked(event: fulfillment.ItemRevoked, order: OrderWords, row: EventRow) -> Told:
    return told(f"Access to {order.name_of(event.item)} revoked.", item=event.item)


@tells(fulfillment.ItemRevocationFailed)
def not_revoked(event: fulfillment.ItemRevocationFailed, order: OrderWords, row: EventRow) -> Told:
    text = f"Access to {order.name_of(event.item)} could not be revoked: {event.text}"
    return told(text, item=event.item, code=event.code)


@tells(fulfillment.ItemSettled)
def settled(event: fulfillment.ItemSettled, order: OrderWords, row: EventRow) -> Told:
    text = f"{order.name_of(event.item)} settled manually as {spaced(event.outcome)}: {event.reason}"
    return told(text, item=event.item, outcome=event.outcome)


@tells(delivery_work.ItemReturned)
def returned(event: delivery_work.ItemReturned, order: OrderWords, row: EventRow) -> Told:
    what = f"{event.quantity} of {order.name_of(event.item)} returned"
    text = f"{what}{'' if event.resaleable else ', not to be sold again'}. {event.reason}"
    return told(text, item=event.item, quantity=event.quantity, returned=event.returned)


# What staff do

WORDS: Mapping[str, str] = {
    "marked_delivered": "Marked as delivered by hand",
    "resent": "Sending again what was delivered",
    "resend_failed": "Could not be sent again",
    "revoked": "Revoked by staff",
    "granted_again": "Granted again",
    "attached": "Attached by staff",
    "held": "Held: nothing is delivered until it is released",
    "released": "Released for delivery",
    "started": "Delivery started by hand",
    "parcel_delivered": "A parcel has arrived",
}


@tells(delivery_work.DeliveryNoted)
def noted(event: delivery_work.DeliveryNoted, order: OrderWords, row: EventRow) -> Told:
    names = order.names_of(event.items)
    text = f"{WORDS.get(event.action, spaced(event.action))}{f' ({names})' if names else ''}. {event.text}".strip()
    return told(text, action=event.action, items=[*event.items])


@tells(delivery_work.DeliveryResent)
def resent(event: delivery_work.DeliveryResent, order: OrderWords, row: EventRow) -> Told:
    names = ", ".join(dict.fromkeys(order.name_of(each.item, each.name) for each in event.items))
    return told(f"To be sent to the customer: {names}.", items=[*dict.fromkeys(each.item for each in event.items)])


@tells(delivery_work.DeliveryWaitsForStaff)
def waits_for_staff(event: delivery_work.DeliveryWaitsForStaff, order: OrderWords, row: EventRow) -> Told:
    return told(f"{'Still waits' if event.again else 'Waits'} for staff. {event.text}", since=event.since)


@tells(fulfillment.FulfillmentRefused)
def refused(event: fulfillment.FulfillmentRefused, order: OrderWords, row: EventRow) -> Told:
    return told(f"{event.command} was refused: {event.text}", code=event.code)
