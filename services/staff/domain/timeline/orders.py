"""What checkout tells of an order, in words."""

from __future__ import annotations

from services.staff.domain.archive import EventRow
from services.staff.domain.timeline.entry import (
    SYSTEM,
    OrderWords,
    Told,
    counted,
    moment,
    money,
    sentences,
    spaced,
    tells,
    told,
)
from shared.contracts import approval, checkout, delivery_work, erasure, order_work
from shared.contracts.values import OrderStatus


@tells(checkout.OrderCreated)
def created(event: checkout.OrderCreated, order: OrderWords, row: EventRow) -> Told:
    return told("Checkout opened.", store=event.store, number=event.number)


@tells(checkout.OrderPlaced)
def placed(event: checkout.OrderPlaced, order: OrderWords, row: EventRow) -> Told:
    bought = sum(not item.is_delivery_charge for item in event.items)
    text = f"Placed: {counted(bought, 'item')}, {money(event.purchased, event.currency)}. Reserving stock."
    return told(
        f"{text} Held for verification: {event.held}." if event.held else text,
        number=event.number,
        total=event.total,
        purchased=event.purchased,
        until=event.until,
        client_ip=event.client_ip,
    )


@tells(checkout.CheckoutRefused)
def refused(event: checkout.CheckoutRefused, order: OrderWords, row: EventRow) -> Told:
    return told(f"{event.command} was refused: {event.text}", code=event.code)


# Payment


@tells(checkout.OrderPaymentRequested)
def payment_requested(event: checkout.OrderPaymentRequested, order: OrderWords, row: EventRow) -> Told:
    amount = money(event.amount, event.currency)
    again, first = f"The customer retried the payment (attempt {event.attempt})", "Payment requested"
    how = f", {spaced(event.method)}" if event.method else ""
    return told(
        f"{again if event.attempt > 1 else first}: {amount}{how}.",
        attempt=event.attempt,
        provider=event.provider,
        method=event.method,
        until=event.until,
    )


@tells(checkout.OrderPaymentActionRequired)
def action_required(event: checkout.OrderPaymentActionRequired, order: OrderWords, row: EventRow) -> Told:
    return told(f"The customer is asked to confirm the payment with the bank, until {moment(event.until)}.")


@tells(checkout.OrderPaymentDeclined)
def payment_declined(event: checkout.OrderPaymentDeclined, order: OrderWords, row: EventRow) -> Told:
    if event.tries_left == 0:
        text = "No further try is left."
    elif event.retry_after:
        text = f"The customer can pay again after {moment(event.retry_after)}."
    else:
        text = "The customer is asked to pay again."
    return told(text, attempt=event.attempt, code=event.code, until=event.until, tries_left=event.tries_left)


@tells(checkout.OrderPaymentReminder)
def reminder(event: checkout.OrderPaymentReminder, order: OrderWords, row: EventRow) -> Told:
    if event.reminder == 0:
        return told("The customer is asked to pay again.", until=event.until)
    return told(f"Reminder {event.reminder} to pay.", actor=SYSTEM, reminder=event.reminder, until=event.until)


@tells(checkout.OrderPaymentClosing)
def closing(event: checkout.OrderPaymentClosing, order: OrderWords, row: EventRow) -> Told:
    over = "The time to pay is over. The payment is being checked with the payment provider."
    by_hand = "Staff complete it by hand, once the open payment is cancelled."
    return told(by_hand if event.by_hand else over, actor=SYSTEM, attempt=event.attempt)


@tells(checkout.OrderPaid)
def paid(event: checkout.OrderPaid, order: OrderWords, row: EventRow) -> Told:
    if event.amount == 0:
        return told("No payment needed. Delivery started.")
    return told("Paid in full. Delivery started.", amount=event.amount)


@tells(order_work.OrderPaidElsewhere)
def paid_elsewhere(event: order_work.OrderPaidElsewhere, order: OrderWords, row: EventRow) -> Told:
    how = f"{money(event.amount, event.currency)} paid elsewhere: {spaced(event.method or 'other')}"
    text = f"Completed manually. {'Given for nothing' if event.given else how}."
    return told(text, actor=event.by, note=event.note, reference=event.reference)


@tells(checkout.OrderStrayCharge)
def stray_charge(event: checkout.OrderStrayCharge, order: OrderWords, row: EventRow) -> Told:
    text = f"Staff are told of a charge of {money(event.amount, event.currency)} that orderbus did not make."
    return told(text, transaction=event.transaction)


@tells(checkout.OrderRefunded)
def refunded(event: checkout.OrderRefunded, order: OrderWords, row: EventRow) -> Told:
    in_all = money(event.refunded, event.currency)
    text = f"Refunded in all: {in_all}{', which is everything' if event.whole else ''}."
    return told(text, refund=event.refund, items=[*event.items], status=event.status and event.status.value)


@tells(checkout.OrderRefundFailed)
def refund_failed(event: checkout.OrderRefundFailed, order: OrderWords, row: EventRow) -> Told:
    what = "was sent back by the bank" if event.returned else "failed"
    text = (
        f"Staff are told that a refund of {money(event.amount, event.currency)} {what}. "
        f"Refunded in all: {money(event.refunded, event.currency)}."
    )
    return told(text, refund=event.refund, code=event.code)


# Approval


@tells(approval.OrderVerificationRequested)
def verification_requested(event: approval.OrderVerificationRequested, order: OrderWords, row: EventRow) -> Told:
    number = event.verification
    text = "The card is being verified." if number == 1 else f"The customer gave another card (verification {number})."
    return told(text, verification=number, until=event.until)


@tells(approval.OrderCardNeeded)
def card_needed(event: approval.OrderCardNeeded, order: OrderWords, row: EventRow) -> Told:
    what = "to confirm the card with the bank" if event.confirm else "for another card"
    return told(f"The customer is asked {what}, until {moment(event.until)}.", verification=event.verification)


@tells(approval.OrderApprovalRequested)
def approval_requested(event: approval.OrderApprovalRequested, order: OrderWords, row: EventRow) -> Told:
    return told(f"Waits for the store's approval: {money(event.amount, event.currency)}.")


@tells(approval.OrderAccepted)
def accepted(event: approval.OrderAccepted, order: OrderWords, row: EventRow) -> Told:
    whose = "Accepted by the store's rule" if event.by_rule else "Accepted"
    text = f"{whose}: {money(event.amount, event.currency)} to be paid."
    return told(text, actor=SYSTEM if event.by_rule else "", reason=event.reason)


@tells(approval.OrderDeclined)
def declined(event: approval.OrderDeclined, order: OrderWords, row: EventRow) -> Told:
    return told("Declined: nothing is charged.", reason=event.reason, note=event.note)


@tells(erasure.OrderErased)
def erased(event: erasure.OrderErased, order: OrderWords, row: EventRow) -> Told:
    return told("The customer's personal data is erased.")


# Delivery


@tells(checkout.OrderItemsDelivered)
def items_delivered(event: checkout.OrderItemsDelivered, order: OrderWords, row: EventRow) -> Told:
    names = ", ".join(dict.fromkeys(item.product for item in event.items))
    return told(f"Sent to the customer: {names}.", items=[*dict.fromkeys(item.item for item in event.items)])


@tells(checkout.OrderDeliveryFailed)
def delivery_failed(event: checkout.OrderDeliveryFailed, order: OrderWords, row: EventRow) -> Told:
    return told(f"Staff are told that {event.product} could not be delivered.", item=event.item, code=event.code)


@tells(checkout.OrderDeliveryWaiting)
def delivery_waiting(event: checkout.OrderDeliveryWaiting, order: OrderWords, row: EventRow) -> Told:
    return told(f"Staff are told that {event.product} is waiting.", item=event.item, code=event.code)


@tells(delivery_work.OrderWaitsForStaff)
def waits_for_staff(event: delivery_work.OrderWaitsForStaff, order: OrderWords, row: EventRow) -> Told:
    text = f"Staff are told{' again' if event.again else ''} what waits for them: {event.what}."
    return told(text, since=event.since)


@tells(checkout.OrderSupplyLow)
def supply_low(event: checkout.OrderSupplyLow, order: OrderWords, row: EventRow) -> Told:
    return told(f"Staff are told that little is left: {event.what}.")


@tells(checkout.OrderDeliveryResumed)
def delivery_resumed(event: checkout.OrderDeliveryResumed, order: OrderWords, row: EventRow) -> Told:
    goes_on = event.status in (None, OrderStatus.PROCESSING)
    text = "Delivery resumed." if goes_on else f"Delivery of {order.name_of(event.item)} resumed."
    return told(text, actor=SYSTEM, item=event.item)


# Ends


@tells(checkout.OrderCompleted)
def completed(event: checkout.OrderCompleted, order: OrderWords, row: EventRow) -> Told:
    if event.by_hand:
        return told("Completed manually.", actor=event.by or "", note=event.note)
    return told("All items delivered.", actor=SYSTEM)


CANCELLED = {
    "cancelled": "Order cancelled.",
    "abandoned": "The customer abandoned the checkout.",
    "sold_out": "Order cancelled: sold out.",
    "not_verified": "The card was not verified in time.",
}


@tells(checkout.OrderCancelled)
def cancelled(event: checkout.OrderCancelled, order: OrderWords, row: EventRow) -> Told:
    own = event.code in ("sold_out", "not_verified")  # the reason says it once more
    return told(
        CANCELLED.get(event.code, "Order cancelled."),
        actor=SYSTEM if event.code == "not_verified" else "",
        reason="" if own else event.reason,
        code=event.code,
        skus=[*event.sold_out],
    )


@tells(checkout.OrderExpired)
def expired(event: checkout.OrderExpired, order: OrderWords, row: EventRow) -> Told:
    opened = event.was is OrderStatus.CREATED
    text = "The checkout was not submitted in time." if opened else "Not paid in time."
    return told(text, actor=SYSTEM, was=event.was.value)


@tells(checkout.OrderFailed)
def failed(event: checkout.OrderFailed, order: OrderWords, row: EventRow) -> Told:
    text = "It cannot be paid any more. Needs attention." if event.unpaid else "Needs attention."
    return told(sentences(text, event.reason), actor=SYSTEM)


# What customers ask, and what else is told


@tells(order_work.OrderAsked)
def asked(event: order_work.OrderAsked, order: OrderWords, row: EventRow) -> Told:
    return told(f"The customer asks the store to {event.wants} the order.")


@tells(order_work.OrderAnswered)
def answered(event: order_work.OrderAnswered, order: OrderWords, row: EventRow) -> Told:
    said = "Granted" if event.granted else "Refused"
    return told(f"{said}: the customer asked the store to {event.wants} the order.")


@tells(order_work.OrderNoted)
def noted(event: order_work.OrderNoted, order: OrderWords, row: EventRow) -> Told:
    return Told(event.text, event.detail, event.by, event.what)
