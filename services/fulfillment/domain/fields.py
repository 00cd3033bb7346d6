"""The fields of an order that templates of actions name."""

from __future__ import annotations

from collections.abc import Mapping

from services.fulfillment.domain.delivery import Delivery, Item
from shared.contracts.templates import CUSTOM, MissingFields

FIELD_MISSING = "field_missing"
"""The code of an item whose action names fields that the order lacks. Earlier builds stored `missing_field` of HTTP
actions and Discord roles, and `missing_fields` of manual tasks."""


def fields_of(delivery: Delivery, key: str, item: Item) -> Mapping[str, str]:
    """By name, see `shared.contracts.templates`; fields that the order lacks are missing. Key: the order id.

    Custom fields are those of the item. What an offer, or every order, brings has those of all items: of two with the
    same name the first counts.
    """
    customer = delivery.customer
    known = {
        "order.id": key,
        "order.number": delivery.number,
        "store.id": delivery.store,
        "customer.name": customer.name if customer else None,
        "customer.email": customer.email if customer else None,
        "customer.phone": customer.phone if customer else None,
        "customer.id": customer.id if customer else None,
        "item.id": item.about,
        "item.sku": item.sku,
        "item.product": item.product,
        "item.quantity": str(item.quantity),
    }
    custom = {f"{CUSTOM}{name}": value for name, value in reversed(_custom_fields(delivery, item))}
    return {**custom, **{name: value for name, value in known.items() if value}}


def _custom_fields(delivery: Delivery, item: Item) -> list[tuple[str, str]]:
    """Only the first execution of an item keeps them."""
    if item.is_extra:
        return [field for source in delivery.items for field in source.custom_fields]
    first = item if item.number == 1 else delivery.find(item.about)
    return [*first.custom_fields] if first else []


def missing_text(error: MissingFields) -> str:
    """For staff: what to fix."""
    return (
        f"The order lacks what the action needs: {_named(error)}. Deliver it by hand and mark it as delivered, or "
        "correct the product's action and retry the order with the latest configuration."
    )


def irrevocable_text(error: MissingFields) -> str:
    """For staff, of what cannot be revoked by itself."""
    needed = _named(error)
    return f"The order lacks what revoking needs: {needed}. Revoke it by hand there, then settle the item as revoked."


def _named(error: MissingFields) -> str:
    return ", ".join(
        f"custom field {name.removeprefix(CUSTOM)}" if name.startswith(CUSTOM) else name for name in error.names
    )
