"""A person says what became of a call whose outcome nobody could find out.

It is entered as if the provider had said so, with the person's name beside it, and the provider is asked once more.
Whenever it says otherwise, that corrects the books, and is told as `payment.settlement_contradicted`.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.payments.domain.charging import settle_attempt
from services.payments.domain.declines import DeclineReason
from services.payments.domain.looking import look
from services.payments.domain.operations import ChargeReported
from services.payments.domain.payment import AttemptStatus, ChargeAttempt, Payment, Refund, RefundStatus
from services.payments.domain.refunding import look_for, payments, settle_refund
from services.payments.domain.turn import Turn
from shared.contracts.payments import PaymentSettled, SettlePayment
from shared.core import Context, Decision, Problem, Refused
from shared.core.money import Money

OUTCOMES = {"attempt": ("captured", "not_charged"), "refund": ("refunded", "not_refunded")}
WITH_REFERENCE = ("captured", "refunded")


@payments.on_old(SettlePayment)
def settle(payment: Payment | None, command: SettlePayment, context: Context) -> Decision[Payment] | Refused:
    """Refused with every problem at once when it does not apply."""
    if payment is None:
        return Refused("not_found", "Nothing was ever charged or refunded for this order.")
    problems = list(_problems(payment, command))
    if problems:
        return Refused(problems[0].code, " ".join(problem.text for problem in problems), problems)
    turn = Turn(payment, context)
    if command.refund is not None:
        refund = payment.refund(command.refund)
        assert refund is not None
        _told(turn, command, refund.attempt)
        settle_refund(turn, refund, command.reference if command.outcome == "refunded" else "", command.reason)
        look_for(turn, refund)
        return turn.decision()
    attempt = payment.attempt(command.attempt or 0)
    assert attempt is not None
    _told(turn, command, attempt.number)
    settle_attempt(turn, attempt, _said(attempt, command))
    look(turn, attempt, command.reference or attempt.reference)
    return turn.decision()


def _told(turn: Turn, command: SettlePayment, attempt: int) -> None:
    turn.tell(
        PaymentSettled(
            attempt=attempt,
            refund=command.refund or "",
            outcome=command.outcome,
            reference=command.reference,
            reason=command.reason,
        )
    )


def _said(attempt: ChargeAttempt, command: SettlePayment) -> ChargeReported:
    if command.outcome == "captured":
        return ChargeReported(attempt.number, command.reference, "succeeded", attempt.amount)
    return ChargeReported(
        attempt.number, "", "failed", code="not_charged", text=command.reason, reason=DeclineReason.NOT_CHARGED
    )


def _problems(payment: Payment, command: SettlePayment) -> Iterator[Problem]:
    if (command.attempt is None) == (command.refund is None):
        yield Problem(field="", code="ambiguous", text="Name either an attempt or a refund.")
        return
    subject = "attempt" if command.refund is None else "refund"
    found = payment.attempt(command.attempt or 0) if command.refund is None else payment.refund(command.refund)
    if command.outcome not in OUTCOMES[subject]:
        fitting = " or ".join(OUTCOMES[subject])
        yield Problem(field="outcome", code="wrong_outcome", text=f"The outcome of {subject}s is {fitting}.")
    if found is None:
        name = command.attempt if command.refund is None else command.refund
        yield Problem(field=subject, code=f"unknown_{subject}", text=f"The order has no {subject} {name}.")
        return
    yield from _not_settleable(found, subject)
    yield from _wrong_proof(payment, command, found)


def _not_settleable(found: ChargeAttempt | Refund, subject: str) -> Iterator[Problem]:
    if found.status not in (AttemptStatus.UNRESOLVED, RefundStatus.UNRESOLVED):
        text = f"This {subject} is {found.status}; only one whose outcome is unknown can be settled."
        yield Problem(field=subject, code="not_unresolved", text=text)


def _wrong_proof(payment: Payment, command: SettlePayment, found: ChargeAttempt | Refund) -> Iterator[Problem]:
    """The provider's id and the amount, where money moved; neither where none did."""
    if command.outcome not in WITH_REFERENCE:
        if command.reference or command.amount:
            text = "Where no money moved there is neither a reference nor an amount."
            yield Problem(field="reference", code="no_reference", text=text)
        return
    if not command.reference:
        text = "The provider's id of what moved is required."
        yield Problem(field="reference", code="missing_reference", text=text)
    elif command.reference in _other_references(payment, found):
        text = f"{command.reference} belongs to another attempt or refund of this order."
        yield Problem(field="reference", code="reference_in_use", text=text)
    if command.amount is not None and command.amount != found.amount:
        text = (
            f"It was asked for {Money(found.amount, payment.currency)}, not {Money(command.amount, payment.currency)}."
        )
        yield Problem(field="amount", code="wrong_amount", text=text)


def _other_references(payment: Payment, found: ChargeAttempt | Refund) -> set[str]:
    others = {attempt.reference for attempt in payment.attempts if attempt is not found}
    return others | {refund.reference for refund in payment.refunds if refund is not found}
