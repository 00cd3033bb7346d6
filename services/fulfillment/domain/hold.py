"""Orders that wait for staff: held for verification, or to be started by hand, as their store wants it."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, Stage, deliveries
from services.fulfillment.domain.locks import current_products
from services.fulfillment.domain.start import start_planned
from shared.contracts.delivery_work import DeliveryNoted, HoldDelivery, ReleaseDelivery, StartDelivery
from shared.core import Context, Decision, Refused

NOT_PAID = Refused("not_paid", "The order is not paid yet. Start its delivery after payment.")


@deliveries.on(HoldDelivery)
def held(delivery: Delivery, command: HoldDelivery, context: Context) -> Decision[Delivery] | Refused:
    if delivery.held:
        return Refused("held", "The order is held already.")
    if delivery.stage is Stage.PAID and not delivery.to_start:
        return Refused("too_late", "Its delivery has begun. Revoke what must not be delivered.")
    if delivery.stage not in (Stage.PLACED, Stage.PAID):
        return Refused("order_cancelled", "The order is cancelled: nothing is delivered.")
    change = DeliveryChange(delivery, context)
    change.set(held=True)
    change.publish(DeliveryNoted(action="held", text=command.reason))
    return change.decision()


@deliveries.on(ReleaseDelivery, reads=current_products)
def released(delivery: Delivery, command: ReleaseDelivery, context: Context) -> Decision[Delivery] | Refused:
    """It is delivered now if it is paid, and need not be started by hand."""
    if not delivery.held:
        return Refused("not_held", "The order is not held.")
    change = DeliveryChange(delivery, context)
    change.set(held=False)
    change.publish(DeliveryNoted(action="released", text=command.reason))
    if delivery.stage is Stage.PAID and not delivery.to_start:
        start_planned(change)
    return change.decision()


@deliveries.on(StartDelivery, reads=current_products)
def started(delivery: Delivery, command: StartDelivery, context: Context) -> Decision[Delivery] | Refused:
    if not delivery.to_start:
        return Refused("not_waiting", "Its delivery does not wait to be started.")
    if delivery.held:
        return delivery.why_not_begun or NOT_PAID
    if delivery.stage is not Stage.PAID:
        return NOT_PAID
    change = DeliveryChange(delivery, context)
    change.set(to_start=False)
    change.publish(DeliveryNoted(action="started", text=command.reason))
    start_planned(change)
    return change.decision()
