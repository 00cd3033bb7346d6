"""Charging an order: requests, the provider's answers and callbacks, and calling it off.

An answer and a callback say the same thing by two ways, in either order; both become `heard`. After every change
`proceed` calls off what nobody wants any more and begins what waits, so an order never has two open charges.
"""

from __future__ import annotations

from services.payments.domain.declines import customer_text
from services.payments.domain.operations import (
    GIVEN_UP,
    CancelCharge,
    ChargeCard,
    ChargeReported,
    LookAgain,
)
from services.payments.domain.payment import OPEN, AttemptStatus, ChargeAttempt, Payment, RefundStatus, Share
from services.payments.domain.providers import DEFAULT
from services.payments.domain.refunding import drop_requests, give_back, give_back_surplus, payments
from services.payments.domain.turn import Turn
from shared.contracts.checkout import OrderCancelled, OrderExpired, OrderPaymentRequested
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentCancelled,
    PaymentCaptured,
    PaymentDeclined,
    PaymentSettlementContradicted,
    PaymentUnresolved,
)
from shared.core import Context, Decision, UnresolvedOutcome
from shared.core.money import Money

# What the order wants


@payments.on_old(OrderPaymentRequested)
def payment_requested(payment: Payment | None, request: OrderPaymentRequested, context: Context) -> Decision[Payment]:
    known = payment or Payment(
        number=request.number,
        store=request.store,
        provider=DEFAULT,
        currency=request.currency,
        items=tuple(Share(item.item, item.purchased) for item in request.items),
    )
    if request.attempt <= _latest(known):
        return Decision(payment)
    turn = Turn(known, context)
    if known.waiting:
        turn.tell(PaymentCancelled(attempt=known.waiting.attempt))
    turn.change(waiting=_charge(known, request, context))
    if known.open and known.open.status is AttemptStatus.UNRESOLVED:
        text = f"Attempt {known.open.number} may have been charged; this one waits until that is known."
        turn.tell(PaymentUnresolved(attempt=request.attempt, text=text))
    proceed(turn)
    return turn.decision()


@payments.on_old(OrderCancelled, OrderExpired)
def order_closed(payment: Payment | None, closed: OrderCancelled | OrderExpired, context: Context) -> Decision[Payment]:
    """Nothing known of the order: nothing was asked for, and its topic brings no request after this."""
    if payment is None or payment.closed:
        return Decision(payment)
    turn = Turn(payment, context)
    turn.change(closed="expired" if isinstance(closed, OrderExpired) else "cancelled")
    give_back(turn)
    proceed(turn)
    return turn.decision()


def _latest(payment: Payment) -> int:
    waiting = payment.waiting.attempt if payment.waiting else 0
    return max([waiting, *(attempt.number for attempt in payment.attempts)])


def _charge(payment: Payment, request: OrderPaymentRequested, context: Context) -> ChargeCard:
    return ChargeCard(
        provider=payment.provider,
        order=context.key,
        store=request.store,
        number=request.number,
        attempt=request.attempt,
        amount=request.amount,
        currency=request.currency,
        return_url=request.return_url,
        payment_method=request.payment_method or "",
        token=request.token or "",
        descriptor=request.statement_descriptor or "",
        since=request.requested_at or context.at,
        until=request.until,
    )


# What the provider says


@payments.on_old(ChargeCard.Done)
def charge_answered(payment: Payment | None, outcome: ChargeCard.Done, context: Context) -> Decision[Payment]:
    assert isinstance(context.operation, ChargeCard)
    said = ChargeReported(
        attempt=context.operation.attempt,
        reference=outcome.reference,
        status=outcome.status,
        amount=outcome.amount,
        url=outcome.url,
        card=outcome.card,
    )
    return heard(payment, said, context, look=1)


@payments.on_old(ChargeCard.Failed)
def charge_declined(payment: Payment | None, outcome: ChargeCard.Failed, context: Context) -> Decision[Payment]:
    assert payment is not None and isinstance(context.operation, ChargeCard)
    attempt = payment.attempt(context.operation.attempt)
    if attempt is None or attempt.status not in (AttemptStatus.CHARGING, AttemptStatus.UNRESOLVED):
        return Decision(payment)  # a callback knew better
    if outcome.code in GIVEN_UP:
        return _given_up(Turn(payment, context), attempt, outcome)
    said = ChargeReported(
        attempt=attempt.number,
        reference=outcome.reference,
        status="failed",
        card=outcome.card,
        code=outcome.code,
        text=outcome.text,
        reason=outcome.reason,
    )
    return heard(payment, said, context)


def _given_up(turn: Turn, attempt: ChargeAttempt, outcome: ChargeCard.Failed) -> Decision[Payment]:
    """Nobody declined anything: the provider could not be asked before the order's time was over."""
    turn.put_attempt(attempt, status=AttemptStatus.CANCELLED, code=outcome.code, text=outcome.text)
    turn.tell(PaymentCancelled(attempt=attempt.number))
    proceed(turn)
    return turn.decision()


@payments.on_old(ChargeCard.Unresolved)
def charge_unresolved(payment: Payment | None, outcome: UnresolvedOutcome, context: Context) -> Decision[Payment]:
    assert payment is not None and isinstance(context.operation, ChargeCard)
    attempt = payment.attempt(context.operation.attempt)
    if attempt is None or attempt.status is not AttemptStatus.CHARGING:
        return Decision(payment)
    return _unresolved(Turn(payment, context), attempt, outcome.text)


@payments.on_old(CancelCharge.Done)
def called_off(payment: Payment | None, outcome: CancelCharge.Done, context: Context) -> Decision[Payment]:
    assert isinstance(context.operation, CancelCharge)
    said = ChargeReported(
        attempt=context.operation.attempt,
        reference=context.operation.reference,
        status=outcome.status,
        amount=outcome.amount,
        card=outcome.card,
    )
    return heard(payment, said, context)


@payments.on_old(CancelCharge.Failed, CancelCharge.Unresolved)
def not_called_off(
    payment: Payment | None, outcome: CancelCharge.Failed | CancelCharge.Unresolved, context: Context
) -> Decision[Payment]:
    assert payment is not None and isinstance(context.operation, CancelCharge)
    attempt = payment.attempt(context.operation.attempt)
    if attempt is None or attempt.status is not AttemptStatus.CANCELLING:
        return Decision(payment)
    return _unresolved(Turn(payment, context), attempt, outcome.text)


@payments.on_old(ChargeReported)
def charge_reported(payment: Payment | None, said: ChargeReported, context: Context) -> Decision[Payment]:
    return heard(payment, said, context)


def heard(payment: Payment | None, said: ChargeReported, context: Context, look: int = 0) -> Decision[Payment]:
    """The provider told how an attempt stands. Whatever is known already changes nothing. `look`: what is still
    processing is looked at again later, which is then this look."""
    attempt = payment.attempt(said.attempt) if payment else None
    if payment is None or attempt is None:
        return Decision(payment)
    turn = Turn(payment, context)
    if attempt.settled_by:
        attempt = _compared(turn, attempt, said)
    match said.status:
        case "succeeded":
            _captured(turn, attempt, said)
        case "requires_action" if attempt.status in (AttemptStatus.CHARGING, AttemptStatus.UNRESOLVED):
            _action_required(turn, attempt, said)
        case "processing" if attempt.status in (AttemptStatus.CHARGING, AttemptStatus.UNRESOLVED):
            turn.put_attempt(
                attempt, status=AttemptStatus.CHARGING, reference=said.reference, card=said.card or attempt.card
            )
            if look:
                look_later(turn, attempt.number, look)
        case "failed" if attempt.is_open and attempt.status is not AttemptStatus.CANCELLING:
            _declined(turn, attempt, said)
        case "cancelled" if attempt.is_open:
            turn.put_attempt(attempt, status=AttemptStatus.CANCELLED, reference=said.reference)
            turn.tell(PaymentCancelled(attempt=attempt.number))
        case _ if turn.payment == payment:
            return Decision(payment)
    proceed(turn)
    return turn.decision() if turn.payment != payment or turn.looks_later else Decision(payment)


def settle_attempt(turn: Turn, attempt: ChargeAttempt, said: ChargeReported) -> None:
    """A person tells how an unresolved attempt ended: captured, or not charged."""
    attempt = turn.put_attempt(attempt, settled_by=turn.context.actor)
    if said.status == "succeeded":
        _captured(turn, attempt, said)
    else:
        _declined(turn, attempt, said)
    proceed(turn)


def _compared(turn: Turn, attempt: ChargeAttempt, said: ChargeReported) -> ChargeAttempt:
    """What a person had said of the attempt, against what the provider says. Where they differ, the person's word is
    undone, and the attempt open again for the provider's."""
    settled = attempt.status
    if settled is AttemptStatus.CAPTURED:
        if said.status == "succeeded":
            if (said.reference, said.amount or attempt.captured) == (attempt.reference, attempt.captured):
                return turn.put_attempt(attempt, settled_by="")
        elif (
            said.status not in ("failed", "cancelled")
            or said.reference != attempt.reference
            or _went_back(turn, attempt)
        ):
            return attempt
        turn.move("correction", -attempt.captured, attempt.reference)
    elif said.status != "succeeded":
        return attempt
    text = f"Settled as {settled} by {attempt.settled_by}; the provider reports {said.reference} as {said.status}"
    if said.status == "succeeded":
        text += f", {Money(said.amount or attempt.amount, turn.payment.currency)} captured"
    turn.tell(PaymentSettlementContradicted(attempt=attempt.number, text=f"{text}."))
    drop_requests(turn, attempt)
    return turn.put_attempt(
        attempt,
        status=AttemptStatus.UNRESOLVED,
        reference=said.reference,
        authorised=0,
        captured=0,
        surplus=False,
        settled_by="",
    )


def _went_back(turn: Turn, attempt: ChargeAttempt) -> bool:
    """The provider made a refund of it, so it was captured."""
    return any(r.attempt == attempt.number and r.reference for r in turn.payment.refunds)


def _given_back(turn: Turn, attempt: ChargeAttempt) -> bool:
    return any(r.attempt == attempt.number and r.status is not RefundStatus.FAILED for r in turn.payment.refunds)


def _captured(turn: Turn, attempt: ChargeAttempt, said: ChargeReported) -> None:
    if attempt.status is AttemptStatus.CAPTURED:
        if attempt.card is None and said.card:
            turn.put_attempt(attempt, card=said.card)
        return
    amount = said.amount or attempt.amount
    attempt = turn.put_attempt(
        attempt,
        status=AttemptStatus.CAPTURED,
        reference=said.reference,
        authorised=max(amount, attempt.amount),
        captured=amount,
        card=said.card or attempt.card,
        surplus=turn.payment.paid is not None,
        code="",
        text="",
    )
    turn.move("capture", amount, said.reference)
    if attempt.surplus:
        if not _given_back(turn, attempt):
            give_back_surplus(turn, attempt)
        return
    turn.tell(
        PaymentCaptured(
            attempt=attempt.number,
            amount=amount,
            currency=turn.payment.currency,
            provider=turn.payment.provider,
            transaction=said.reference,
            card=attempt.card,
            captured_at=turn.context.at,
        )
    )
    if turn.payment.closed:
        give_back(turn)


def _action_required(turn: Turn, attempt: ChargeAttempt, said: ChargeReported) -> None:
    card = said.card or attempt.card
    turn.put_attempt(attempt, status=AttemptStatus.ACTION_REQUIRED, reference=said.reference, card=card)
    if not _unwanted(turn.payment):
        turn.tell(PaymentActionRequired(attempt=attempt.number, url=said.url))


def _declined(turn: Turn, attempt: ChargeAttempt, said: ChargeReported) -> None:
    attempt = turn.put_attempt(
        attempt,
        status=AttemptStatus.DECLINED,
        reference=said.reference or attempt.reference,
        card=said.card or attempt.card,
        code=said.code,
        text=said.text,
    )
    turn.tell(
        PaymentDeclined(
            attempt=attempt.number,
            code=said.code,
            text=customer_text(said.reason),
            card=attempt.card,
            reason=said.reason.value,
            detail=said.text or None,
        )
    )


# Not knowing


def _unresolved(turn: Turn, attempt: ChargeAttempt, text: str) -> Decision[Payment]:
    turn.put_attempt(attempt, status=AttemptStatus.UNRESOLVED, text=text)
    turn.tell(PaymentUnresolved(attempt=attempt.number, text=text))
    look_later(turn, attempt.number, tries=1)
    return turn.decision()


def look_later(turn: Turn, attempt: int, tries: int) -> None:
    turn.look_later(LookAgain(attempt, tries), f"look_again_{attempt}", tries)


# What follows


def proceed(turn: Turn) -> None:
    """Call off what is not wanted any more; begin what waits, when nothing else is open."""
    payment = turn.payment
    if _unwanted(payment):
        for attempt in payment.attempts:
            if attempt.status is AttemptStatus.ACTION_REQUIRED:
                turn.put_attempt(attempt, status=AttemptStatus.CANCELLING)
                turn.want(CancelCharge(payment.provider, turn.context.key, attempt.number, attempt.reference))
    waiting = payment.waiting
    if waiting is None:
        return
    if payment.closed or payment.paid:
        turn.change(waiting=None)
        turn.tell(PaymentCancelled(attempt=waiting.attempt))
    elif not any(attempt.status in OPEN for attempt in payment.attempts):
        turn.change(waiting=None)
        turn.put_attempt(ChargeAttempt(waiting.attempt, waiting.amount, waiting.since or turn.context.at))
        turn.want(waiting)


def _unwanted(payment: Payment) -> bool:
    """An attempt that waits for the customer should not be completed any more."""
    return bool(payment.closed or payment.waiting or payment.paid)
