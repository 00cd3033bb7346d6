"""Orders that are held for verification: nothing is delivered until they are released."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, Stage, deliveries
from services.fulfillment.domain.locks import current_products
from services.fulfillment.domain.start import start_planned
from shared.contracts.delivery_work import DeliveryNoted, HoldDelivery, ReleaseDelivery
from shared.core import Context, Decision, Refused


@deliveries.on(HoldDelivery)
def held(delivery: Delivery, command: HoldDelivery, context: Context) -> Decision[Delivery] | Refused:
    if delivery.held:
        return Refused("held", "The order is held already.")
    if delivery.stage is Stage.PAID:
        return Refused("too_late", "Its delivery has begun. Revoke what must not be delivered.")
    if delivery.stage is not Stage.PLACED:
        return Refused("order_cancelled", "The order is cancelled: nothing is delivered.")
    change = DeliveryChange(delivery, context)
    change.set(held=True)
    change.publish(DeliveryNoted(action="held", text=command.reason))
    return change.decision()


@deliveries.on(ReleaseDelivery, reads=current_products)
def released(delivery: Delivery, command: ReleaseDelivery, context: Context) -> Decision[Delivery] | Refused:
    """It is delivered now if it is paid."""
    if not delivery.held:
        return Refused("not_held", "The order is not held.")
    change = DeliveryChange(delivery, context)
    change.set(held=False)
    change.publish(DeliveryNoted(action="released", text=command.reason))
    if delivery.stage is Stage.PAID:
        start_planned(change)
    return change.decision()
