"""The erasure of what a delivery knows of the customer, once checkout has erased the order."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, deliveries
from shared.contracts.erasure import OrderErased
from shared.core import Context, Decision
from shared.core.erasure import erasure


@deliveries.on(OrderErased)
def erased(delivery: Delivery, event: OrderErased, context: Context) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    change.set(erased_at=delivery.erased_at or context.at)
    change.record(erasure(context))
    return change.decision()
