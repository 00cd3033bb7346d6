"""Manual settlement of charges and refunds whose outcome is unknown.

It is entered as if the provider had reported it, with the name of who settled it, and the provider is checked once
more. Whenever it reports otherwise, that corrects the records and is published as `payment.settlement_contradicted`.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.payments.domain.change import PaymentChange
from services.payments.domain.charge_result import settle_attempt
from services.payments.domain.declines import DeclineReason
from services.payments.domain.operations import ChargeResult
from services.payments.domain.payment import AttemptStatus, ChargeAttempt, Payment, Refund, RefundStatus, payments
from services.payments.domain.refund_made import told_as
from services.payments.domain.refund_result import settle_refund
from shared.contracts.payments import PaymentSettled, SettlePayment
from shared.core import Context, Decision, Problem, Refused
from shared.core.money import Money

OUTCOMES = {"attempt": ("captured", "not_charged"), "refund": ("refunded", "not_refunded")}
WITH_REFERENCE = ("captured", "refunded")


@payments.on(SettlePayment)
def settle(payment: Payment, command: SettlePayment, context: Context) -> Decision[Payment] | Refused:
    """Refused with every problem at once when it does not apply."""
    found = _named(payment, command)
    problems = list(_problems(payment, command, found))
    if found is None or problems:
        return Refused(problems[0].code, " ".join(problem.text for problem in problems), problems)
    change = PaymentChange(payment, context)
    change.publish(
        PaymentSettled(
            attempt=told_as(payment, found) if isinstance(found, Refund) else found.number,
            refund=command.refund or "",
            outcome=command.outcome,
            reference=command.reference,
            reason=command.reason,
        )
    )
    if isinstance(found, Refund):
        settle_refund(change, found, command)
        if not found.by_hand:
            change.check_refund(found, reference=command.reference)
    else:
        settle_attempt(change, found, _result(found, command))
        change.check_charge(found, command.reference or found.reference)
    return change.decision()


def _named(payment: Payment, command: SettlePayment) -> ChargeAttempt | Refund | None:
    if command.refund is not None:
        return payment.refund(command.refund)
    return payment.attempt(command.attempt or 0)


def _result(attempt: ChargeAttempt, command: SettlePayment) -> ChargeResult:
    if command.outcome == "captured":
        return ChargeResult(command.reference, "succeeded", attempt.amount)
    return ChargeResult("", "failed", code="not_charged", text=command.reason, reason=DeclineReason.NOT_CHARGED)


def _problems(payment: Payment, command: SettlePayment, found: ChargeAttempt | Refund | None) -> Iterator[Problem]:
    if (command.attempt is None) == (command.refund is None):
        yield Problem(field="", code="ambiguous", text="Specify either `attempt` or `refund`.")
        return
    subject = "attempt" if command.refund is None else "refund"
    if command.outcome not in OUTCOMES[subject]:
        fitting = " or ".join(OUTCOMES[subject])
        yield Problem(field="outcome", code="wrong_outcome", text=f"The `outcome` of {subject}s is {fitting}.")
    if found is None:
        name = command.attempt if command.refund is None else command.refund
        yield Problem(field=subject, code=f"unknown_{subject}", text=f"The order has no {subject} {name}.")
        return
    waits_for_staff = isinstance(found, Refund) and found.by_hand and found.is_pending
    if not waits_for_staff and found.status not in (AttemptStatus.UNRESOLVED, RefundStatus.UNRESOLVED):
        text = f"This {subject} is {found.status}. Only one with an unknown outcome can be settled."
        yield Problem(field=subject, code="not_unresolved", text=text)
    yield from _wrong_proof(payment, command, found)


def _wrong_proof(payment: Payment, command: SettlePayment, found: ChargeAttempt | Refund) -> Iterator[Problem]:
    """The provider's reference and the amount, where money moved; neither where none did."""
    if command.outcome not in WITH_REFERENCE:
        if command.reference or command.amount:
            text = "Leave out `reference` and `amount` where no money moved."
            yield Problem(field="reference", code="no_reference", text=text)
        return
    by_hand = isinstance(found, Refund) and found.by_hand
    if not command.reference and not by_hand:
        text = "Specify `reference`: the provider's id of the charge or refund."
        yield Problem(field="reference", code="missing_reference", text=text)
    elif command.reference and command.reference in _other_references(payment, found):
        text = f"{command.reference} belongs to another attempt or refund of this order."
        yield Problem(field="reference", code="reference_in_use", text=text)
    if command.amount is not None and command.amount != found.amount:
        requested, given = (Money(amount, payment.currency) for amount in (found.amount, command.amount))
        text = f"The amount does not match: {requested} was requested, {given} was given."
        yield Problem(field="amount", code="wrong_amount", text=text)


def _other_references(payment: Payment, found: ChargeAttempt | Refund) -> set[str]:
    others = {attempt.reference for attempt in payment.attempts if attempt is not found}
    return others | {refund.reference for refund in payment.refunds if refund is not found}
