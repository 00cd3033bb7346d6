"""No action: nothing is configured for the product, so that the item waits until staff have done so."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Item, ItemStatus
from services.fulfillment.domain.kind import Kind


class UnconfiguredKind(Kind[None]):
    def begin(self, change: DeliveryChange, item: Item, action: None) -> None:
        text = f"No delivery is configured for SKU {item.sku}. Configure the product, then retry the order."
        is_first = not any(other.status is ItemStatus.WAITING_SETUP for other in change.items)
        change.await_item(item, ItemStatus.WAITING_SETUP, "not_configured", text, alert=is_first)


UNCONFIGURED = UnconfiguredKind()
