"""A delivery without what it knows of the customer. Units, stock and what is still granted stay."""

from __future__ import annotations

from services.fulfillment.domain.delivery import Delivery, Item, Parcel
from shared.contracts.values import Instructions
from shared.core.fast_dataclasses import replace


def without_person(delivery: Delivery) -> Delivery:
    return replace(delivery, customer=None, items=tuple(map(_item, delivery.items)))


def _item(item: Item) -> Item:
    given = item.instructions
    return replace(
        item,
        instructions=given and Instructions(kind=given.kind),
        attempts=(),
        text="",
        custom_fields=(),
        answers=(),
        parcels=tuple(map(_parcel, item.parcels)),
        attached=(),
        files=(),
    )


def _parcel(parcel: Parcel) -> Parcel:
    return replace(parcel, tracking="", link=None)
