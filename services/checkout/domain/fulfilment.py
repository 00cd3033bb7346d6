"""The fulfilment status of an order, from its items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.contracts.values import DeliveryStatus, FulfilmentStatus

if TYPE_CHECKING:
    from services.checkout.domain.order import Extra, Line


def fulfilment_status(lines: Sequence[Line], extras: Sequence[Extra] = (), *, deliverable: bool) -> FulfilmentStatus:
    """The whole, from the deliveries of the products, and of what comes with them. `deliverable`: the order is paid and
    not closed."""
    products = [line for line in lines if not line.item.is_delivery_charge]
    states = {line.delivery for line in products}
    if states == {DeliveryStatus.REVOKED}:
        return FulfilmentStatus.REVOKED
    kept: list[Line | Extra] = [line for line in products if not _is_gone(line)]
    kept += [extra for extra in extras if extra.delivery is not DeliveryStatus.REVOKED]
    kept_states = {part.delivery for part in kept}
    if deliverable and DeliveryStatus.FAILED in kept_states and any(part.has_failed for part in kept):
        return FulfilmentStatus.FAILED
    if kept_states == {DeliveryStatus.DELIVERED}:
        return FulfilmentStatus.FULFILLED
    if DeliveryStatus.DELIVERED in states:
        return FulfilmentStatus.PARTIALLY_FULFILLED
    return FulfilmentStatus.IN_PROGRESS if deliverable else FulfilmentStatus.UNFULFILLED


def _is_gone(line: Line) -> bool:
    """Nothing of it is with the customer, or is to come."""
    delivered = line.delivery is DeliveryStatus.DELIVERED
    return line.delivery is DeliveryStatus.REVOKED or (line.refunded_whole and not (line.access_left and delivered))
