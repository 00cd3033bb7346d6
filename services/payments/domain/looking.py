"""Asking the provider what became of an attempt whose outcome is unknown, or was told by a person.

What is unknown is looked for until the provider answers. What a person settled is looked at once more: nobody else
might ever notice a slip of theirs.
"""

from __future__ import annotations

from services.payments.domain.charging import heard, look_later
from services.payments.domain.operations import ChargeReported, FindCharge, LookAgain
from services.payments.domain.payment import AttemptStatus, ChargeAttempt, Payment
from services.payments.domain.refunding import payments
from services.payments.domain.turn import Turn
from shared.contracts.payments import PaymentSettlementContradicted
from shared.core import Context, Decision


@payments.on_old(LookAgain)
def look_again(payment: Payment | None, due: LookAgain, context: Context) -> Decision[Payment]:
    """One look at a time: the next is set when this one has ended without an answer."""
    attempt = payment.attempt(due.attempt) if payment else None
    if payment is None or attempt is None or not _outcome_open(attempt):
        return Decision(payment)
    turn = Turn(payment, context)
    look(turn, attempt, attempt.reference, due.tries)
    return turn.decision()


def look(turn: Turn, attempt: ChargeAttempt, reference: str, tries: int = 1) -> None:
    """Ask for an attempt by the provider's id, or, where that is empty, by order and attempt."""
    provider, order = turn.payment.provider, turn.context.key
    turn.want(FindCharge(provider, order, attempt.number, reference, attempt.at, tries))


def _outcome_open(attempt: ChargeAttempt) -> bool:
    """Its outcome is unknown, or the provider is still at work."""
    return attempt.status is AttemptStatus.UNRESOLVED or (
        attempt.status is AttemptStatus.CHARGING and bool(attempt.reference)
    )


@payments.on_old(FindCharge.Done)
def found(payment: Payment | None, outcome: FindCharge.Done, context: Context) -> Decision[Payment]:
    assert isinstance(context.operation, FindCharge)
    said = ChargeReported(
        attempt=context.operation.attempt,
        reference=outcome.reference,
        status=outcome.status,
        amount=outcome.amount,
        url=outcome.url,
        card=outcome.card,
        code=outcome.code,
        text=outcome.text,
        reason=outcome.reason,
    )
    return heard(payment, said, context, look=context.operation.tries + 1)


@payments.on_old(FindCharge.Failed, FindCharge.Unresolved)
def not_found_out(
    payment: Payment | None, outcome: FindCharge.Failed | FindCharge.Unresolved, context: Context
) -> Decision[Payment]:
    looked = context.operation
    assert isinstance(looked, FindCharge)
    attempt = payment.attempt(looked.attempt) if payment else None
    if payment is None or attempt is None:
        return Decision(payment)
    turn = Turn(payment, context)
    if _outcome_open(attempt):
        look_later(turn, attempt.number, looked.tries + 1)
    elif attempt.settled_by and looked.reference and looked.reference == attempt.reference:
        settled = f"Settled as {attempt.status} by {attempt.settled_by}"
        text = f"{settled}; {looked.reference} is not to be found: {outcome.text}"
        turn.tell(PaymentSettlementContradicted(attempt=attempt.number, text=text[:2000]))
        look(turn, attempt, "")
    else:
        return Decision(payment)
    return turn.decision()
