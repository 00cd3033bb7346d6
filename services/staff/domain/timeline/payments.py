"""What payments tells of an order, in words. Of a card brand and last four digits only."""

from __future__ import annotations

from services.staff.domain.archive import EventRow
from services.staff.domain.timeline.entry import OrderWords, Told, card_name, money, spaced, tells, told
from shared.contracts import card_verification, pay_page, payments


@tells(payments.PaymentActionRequired)
def action_required(event: payments.PaymentActionRequired, order: OrderWords, row: EventRow) -> Told:
    return told("The customer must confirm the payment with the bank.", attempt=event.attempt)


@tells(payments.PaymentCaptured)
def captured(event: payments.PaymentCaptured, order: OrderWords, row: EventRow) -> Told:
    card = card_name(event.card)
    return told(
        f"{money(event.amount, event.currency)} captured{f' with {card}' if card else ''}.",
        attempt=event.attempt,
        amount=event.amount,
        currency=event.currency,
        provider=event.provider,
        transaction=event.transaction,
        card=card,
        captured_at=event.captured_at,
        method=event.method,
    )


@tells(payments.PaymentDeclined)
def declined(event: payments.PaymentDeclined, order: OrderWords, row: EventRow) -> Told:
    return told(
        f"Payment attempt {event.attempt} declined: {event.text}",
        attempt=event.attempt,
        code=event.code,
        card=card_name(event.card),
        provider=event.detail,
    )


@tells(payments.PaymentUnresolved)
def unresolved(event: payments.PaymentUnresolved, order: OrderWords, row: EventRow) -> Told:
    text = f"Outcome of payment attempt {event.attempt} unknown: checking with the provider."
    return told(text, attempt=event.attempt, provider=event.text)


@tells(payments.PaymentStrayCharge)
def stray_charge(event: payments.PaymentStrayCharge, order: OrderWords, row: EventRow) -> Told:
    text = f"A charge of {money(event.amount, event.currency)} names this order, but was not made by orderbus."
    return told(text, attempt=event.attempt, transaction=event.transaction)


@tells(payments.PaymentSettled)
def settled(event: payments.PaymentSettled, order: OrderWords, row: EventRow) -> Told:
    what = f"refund {event.refund}" if event.refund else f"payment attempt {event.attempt}"
    text = f"Settled manually: {what} was {spaced(event.outcome)}. {event.reason}"
    return told(text, attempt=event.attempt, refund=event.refund, reference=event.reference)


@tells(payments.PaymentSettlementContradicted)
def contradicted(event: payments.PaymentSettlementContradicted, order: OrderWords, row: EventRow) -> Told:
    return told(f"Needs attention: {event.text}", attempt=event.attempt, refund=event.refund)


@tells(payments.PaymentCancelled)
def cancelled(event: payments.PaymentCancelled, order: OrderWords, row: EventRow) -> Told:
    why = " Needs attention: the provider does not take the amount." if event.code else ""
    text = f"Payment attempt {event.attempt} cancelled.{why}"
    return told(text, attempt=event.attempt, code=event.code, provider=event.detail)


@tells(payments.PaymentsRefused)
def refused(event: payments.PaymentsRefused, order: OrderWords, row: EventRow) -> Told:
    return told(f"{event.command} was refused: {event.text}", code=event.code)


@tells(pay_page.PaymentRetryRequested)
def retry_requested(event: pay_page.PaymentRetryRequested, order: OrderWords, row: EventRow) -> Told:
    if event.verification is not None:
        text = f"The customer gives another card after verification {event.verification}, on the pay page."
        return told(text, verification=event.verification)
    return told(
        f"The customer wants to pay again after attempt {event.attempt}, on the pay page.", attempt=event.attempt
    )


# Cards that are verified before an order is accepted


@tells(card_verification.PaymentVerified)
def verified(event: card_verification.PaymentVerified, order: OrderWords, row: EventRow) -> Told:
    card = card_name(event.card)
    return told(f"Card verified{f': {card}' if card else ''}.", verification=event.verification, card=card)


@tells(card_verification.PaymentVerificationActionRequired)
def to_be_confirmed(
    event: card_verification.PaymentVerificationActionRequired, order: OrderWords, row: EventRow
) -> Told:
    return told("The customer must confirm the card with the bank.", verification=event.verification)


@tells(card_verification.PaymentVerificationDeclined)
def not_verified(event: card_verification.PaymentVerificationDeclined, order: OrderWords, row: EventRow) -> Told:
    return told(
        f"The card was not verified: {event.text}",
        verification=event.verification,
        code=event.code,
        card=card_name(event.card),
        provider=event.detail,
    )


# Refunds


@tells(payments.PaymentRefundNeeded)
def refund_needed(event: payments.PaymentRefundNeeded, order: OrderWords, row: EventRow) -> Told:
    text = f"{money(event.amount, event.currency)} must be refunded by hand. {event.text}"
    return told(text, attempt=event.attempt, refund=event.refund)


@tells(payments.PaymentRefunded)
def refunded(event: payments.PaymentRefunded, order: OrderWords, row: EventRow) -> Told:
    how = _how(event.reason, recorded=event.recorded)
    return told(
        f"{money(event.amount, event.currency)} refunded{how}.{_left(event, order)}",
        refund=event.refund,
        transaction=event.transaction,
        reason=event.reason,
        items=[line.model_dump() for line in event.items],
        remove_access=None if event.remove_access is None else [*event.remove_access],
        remove_offer_access=event.remove_offer_access or None,
        restock=None if event.restock is None else [*event.restock],
    )


def _how(reason: str, *, recorded: bool) -> str:
    if recorded:
        return " in another way than by the payment provider"
    return " in the payment provider's dashboard" if reason == "made_at_provider" else ""


def _left(event: payments.PaymentRefunded, order: OrderWords) -> str:
    """What the refund leaves as it is, of the products that it made wholly refunded."""
    whole = [part.item for part in event.items if part.whole and part.item in order.products]
    said = ""
    for choice, what in ((event.remove_access, "Access was left to"), (event.restock, "Not put back in stock:")):
        left = [item for item in whole if choice is not None and item not in choice]
        said += f" {what} {', '.join(order.name_of(item) for item in left)}." if left else ""
    return said


@tells(payments.PaymentRefundFailed)
def refund_failed(event: payments.PaymentRefundFailed, order: OrderWords, row: EventRow) -> Told:
    of = f" of {money(event.amount, order.currency)}" if order.currency else ""
    what = "was sent back by the bank" if event.returned else "failed"
    return told(f"A refund{of} {what}: {event.text}", refund=event.refund, code=event.code)


@tells(payments.PaymentSurplusRefunded)
def surplus_refunded(event: payments.PaymentSurplusRefunded, order: OrderWords, row: EventRow) -> Told:
    how = _how("", recorded=event.recorded)
    text = f"A duplicate charge of {money(event.amount, event.currency)} was refunded{how}."
    return told(text, refund=event.refund, attempt=event.attempt, transaction=event.transaction)
