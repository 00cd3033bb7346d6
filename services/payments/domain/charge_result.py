"""How charges end: the provider's answers and callbacks.

An answer and a callback report the same result in two ways, in either order; both go through `apply_charge_result`.
"""

from __future__ import annotations

import re

from services.payments.domain.capabilities import capabilities
from services.payments.domain.change import PaymentChange
from services.payments.domain.charge import advance
from services.payments.domain.declines import DeclineReason, customer_text
from services.payments.domain.operations import (
    AMOUNT_REFUSED,
    NOT_MADE,
    CancelCharge,
    ChargeCard,
    ChargeReported,
    ChargeResult,
    FindFee,
)
from services.payments.domain.payment import AttemptStatus, ChargeAttempt, Payment, payments
from services.payments.domain.refund import refund_rest, refund_surplus
from services.payments.domain.refund_result import enter_early_refunds, fail_pending_refunds, fit_refunds
from services.payments.domain.whose import capture_extra, forget_stray, is_ours, record_stray
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentCancelled,
    PaymentDeclined,
    PaymentSettlementContradicted,
    PaymentUnresolved,
)
from shared.core import Context, Decision, FailedOutcome, UnresolvedOutcome
from shared.core.money import Money

UNSUPPORTED = "unsupported_method"
NO_PAGE = "The payment waits for a confirmation by the customer that has no page to go to. It was cancelled."
_URL = re.compile(r"https?://\S{1,1990}")


@payments.answers(ChargeCard.Done)
def charge_made(payment: Payment, charge: ChargeCard, outcome: ChargeCard.Done, context: Context) -> Decision[Payment]:
    return apply_charge_result(payment, charge.attempt, outcome.result, context, next_check=1)


@payments.answers(ChargeCard.Failed)
def charge_declined(
    payment: Payment, charge: ChargeCard, outcome: ChargeCard.Failed, context: Context
) -> Decision[Payment]:
    attempt = payment.attempt(charge.attempt)
    if attempt is None or attempt.status not in (AttemptStatus.CHARGING, AttemptStatus.UNRESOLVED):
        return Decision(payment)  # a callback came first
    code, text = outcome.code, outcome.text
    if code in NOT_MADE:
        change = PaymentChange(payment, context)
        change.update_attempt(attempt, status=AttemptStatus.CANCELLED, code=code, text=text)
        change.publish(PaymentCancelled(attempt=attempt.number))
        advance(change)
        return change.decision()
    if code in AMOUNT_REFUSED:
        return _not_taken(payment, attempt, outcome, context)
    result = ChargeResult(outcome.reference, "failed", card=outcome.card, code=code, text=text, reason=outcome.reason)
    return apply_charge_result(payment, attempt.number, result, context)


def _not_taken(
    payment: Payment, attempt: ChargeAttempt, outcome: ChargeCard.Failed, context: Context
) -> Decision[Payment]:
    """Staff are told, with the limit. The customer was declined nothing, and need not try another card."""
    change = PaymentChange(payment, context)
    change.update_attempt(attempt, status=AttemptStatus.CANCELLED, code=outcome.code, text=outcome.text)
    change.publish(
        PaymentCancelled(
            attempt=attempt.number,
            code=outcome.code,
            text=customer_text(DeclineReason.NOT_CHARGEABLE),
            detail=outcome.text,
        )
    )
    advance(change)
    return change.decision()


@payments.answers(ChargeCard.Unresolved)
def charge_unresolved(
    payment: Payment, charge: ChargeCard, outcome: UnresolvedOutcome, context: Context
) -> Decision[Payment]:
    return _unresolved(payment, charge.attempt, AttemptStatus.CHARGING, outcome, context)


@payments.answers(CancelCharge.Done)
def charge_cancelled(
    payment: Payment, cancel: CancelCharge, outcome: CancelCharge.Done, context: Context
) -> Decision[Payment]:
    return apply_charge_result(payment, cancel.attempt, outcome.result, context)


@payments.answers(CancelCharge.Failed, CancelCharge.Unresolved)
def charge_not_cancelled(
    payment: Payment, cancel: CancelCharge, outcome: FailedOutcome | UnresolvedOutcome, context: Context
) -> Decision[Payment]:
    return _unresolved(payment, cancel.attempt, AttemptStatus.CANCELLING, outcome, context)


def _ask_for_fee(change: PaymentChange, attempt: ChargeAttempt) -> None:
    provider = change.state.provider_of(attempt)
    if capabilities(provider, attempt.method).tells_fees:
        change.request(FindFee(provider, attempt.number, attempt.reference))


@payments.answers(FindFee.Done)
def fee_found(payment: Payment, find: FindFee, outcome: FindFee.Done, context: Context) -> Decision[Payment]:
    """A charge may be another attempt's by now, or none's: then there is nothing to note."""
    change = PaymentChange(payment, context)
    attempt = payment.attempt(find.attempt)
    if attempt and attempt.captured and attempt.reference == find.reference and attempt.fee is None:
        change.update_attempt(attempt, fee=outcome.fee)
    return change.decision()


@payments.answers(FindFee.Failed, FindFee.Unresolved)
def fee_not_found(
    payment: Payment, find: FindFee, outcome: FailedOutcome | UnresolvedOutcome, context: Context
) -> Decision[Payment]:
    """It stays unknown."""
    return Decision(payment)


@payments.on(ChargeReported)
def charge_reported(payment: Payment, report: ChargeReported, context: Context) -> Decision[Payment]:
    return apply_charge_report(payment, report, context)


def apply_charge_report(payment: Payment, report: ChargeReported, context: Context) -> Decision[Payment]:
    """Only a charge that we made counts for the attempt that it names."""
    result = report.result
    by_reference = (attempt.number for attempt in payment.requested_attempts if attempt.reference == result.reference)
    number = next(by_reference, report.attempt)
    ours, attempt = is_ours(payment, context.key, number, result), payment.attempt(number)
    if ours and attempt:
        another = attempt.reference not in ("", result.reference)
        if another and result.status != "succeeded":
            return Decision(payment)  # its own charge has reports of its own
        return apply_charge_result(payment, number, result, context)
    change = PaymentChange(payment, context)
    record_stray(change, number, result, ours=ours)
    return change.decision()


def _unresolved(
    payment: Payment,
    number: int,
    expected: AttemptStatus,
    outcome: FailedOutcome | UnresolvedOutcome,
    context: Context,
) -> Decision[Payment]:
    attempt = payment.attempt(number)
    if attempt is None or attempt.status is not expected:
        return Decision(payment)
    change = PaymentChange(payment, context)
    change.update_attempt(attempt, status=AttemptStatus.UNRESOLVED, text=outcome.text)
    change.publish(PaymentUnresolved(attempt=number, text=outcome.text))
    change.check_charge_later(number, tries=1)
    return change.decision()


def apply_charge_result(
    payment: Payment, number: int, result: ChargeResult, context: Context, next_check: int = 0
) -> Decision[Payment]:
    """Repeated results are ignored. `next_check`: which check of a charge that is still processing comes next."""
    attempt = payment.attempt(number)
    if attempt is None:
        return Decision(payment)
    change = PaymentChange(payment, context)
    if attempt.settled_by:
        attempt = _compare_settled(change, attempt, result)
    match result.status:
        case "succeeded":
            _captured(change, attempt, result)
        case "requires_action" if attempt.is_charging:
            _action_required(change, attempt, result)
        case "requires_action" | "processing" if attempt.status is AttemptStatus.ACTION_REQUIRED and next_check > 1:
            change.check_charge_later(number, next_check)
        case "processing" if attempt.is_charging:
            card = result.card or attempt.card
            change.update_attempt(attempt, status=AttemptStatus.CHARGING, reference=result.reference, card=card)
            if next_check:
                change.check_charge_later(number, next_check)
        case "failed" if attempt.is_open and attempt.status is not AttemptStatus.CANCELLING:
            _declined(change, attempt, result)
        case "cancelled" if attempt.is_open and attempt.code == UNSUPPORTED:
            unusable = DeclineReason.METHOD_UNUSABLE
            text = attempt.text
            _declined(
                change, attempt, ChargeResult(result.reference, "failed", code=UNSUPPORTED, text=text, reason=unusable)
            )
        case "cancelled" if attempt.is_open:
            change.update_attempt(attempt, status=AttemptStatus.CANCELLED, reference=result.reference)
            change.publish(PaymentCancelled(attempt=number))
    advance(change)
    return change.decision()


def settle_attempt(change: PaymentChange, attempt: ChargeAttempt, result: ChargeResult) -> None:
    """Staff settle an unresolved attempt: captured, or not charged."""
    attempt = change.update_attempt(attempt, settled_by=change.context.actor)
    if result.status == "succeeded":
        _captured(change, attempt, result)
    else:
        _declined(change, attempt, result)
    advance(change)


def _compare_settled(change: PaymentChange, attempt: ChargeAttempt, result: ChargeResult) -> ChargeAttempt:
    """Compare a manual settlement with the provider's result. Where they differ, the settlement is undone, and the
    attempt is open again for the result."""
    settled = attempt.status
    if settled is AttemptStatus.CAPTURED:
        if result.status == "succeeded":
            if result.currency not in ("", change.state.currency):
                text = f"Settled as {settled} by {attempt.settled_by}, but {result.reference} is in {result.currency}."
                change.publish(PaymentSettlementContradicted(attempt=attempt.number, text=text))
                return change.update_attempt(attempt, settled_by="", other_currency=result.currency)
            if (result.reference, result.amount or attempt.captured) == (attempt.reference, attempt.captured):
                return change.update_attempt(attempt, settled_by="")
        elif (
            result.status not in ("failed", "cancelled")
            or result.reference != attempt.reference
            or any(it.reference and not it.recorded for it in change.state.refunds_of(attempt))  # so it was captured
        ):
            return attempt
        change.enter_movement("correction", -attempt.captured, attempt.reference, attempt.number)
    elif result.status != "succeeded":
        return attempt
    text = f"Settled as {settled} by {attempt.settled_by}, but the provider reports {result.reference} as "
    text += result.status
    if result.status == "succeeded":
        text += f", {Money(result.amount or attempt.amount, change.state.currency)} captured"
    change.publish(PaymentSettlementContradicted(attempt=attempt.number, text=f"{text}."))
    if (result.status, result.reference) != ("succeeded", attempt.reference):
        fail_pending_refunds(change, attempt)
    return change.update_attempt(
        attempt,
        status=AttemptStatus.UNRESOLVED,
        reference=result.reference,
        authorised=0,
        captured=0,
        captured_at=None,
        fee=None,
        surplus=False,
        settled_by="",
    )


def _captured(change: PaymentChange, attempt: ChargeAttempt, result: ChargeResult) -> None:
    amount = result.amount or attempt.amount
    if attempt.status is AttemptStatus.CAPTURED:
        if result.reference != attempt.reference:
            capture_extra(change, attempt.number, result.reference, amount)
            return
        change.update_attempt(attempt, card=attempt.card or result.card, fee=attempt.fee or result.fee)
        return
    if any(other.extra_of and other.reference == result.reference for other in change.state.attempts):
        text, reason = f"{result.reference} was refunded as a charge of no known attempt.", DeclineReason.NOT_CHARGED
        _declined(change, attempt, ChargeResult("", "failed", code="refunded", text=text, reason=reason))
        return
    forget_stray(change, result.reference)
    answered = bool(attempt.reference)  # else the answer to the charge is still to come, and has the fee
    attempt = change.update_attempt(
        attempt,
        status=AttemptStatus.CAPTURED,
        reference=result.reference,
        authorised=max(amount, attempt.amount),
        captured=amount,
        captured_at=change.context.at,
        fee=result.fee,
        card=result.card or attempt.card,
        surplus=change.state.paying_attempt is not None,
        code="",
        text="",
    )
    change.enter_movement("capture", amount, result.reference, attempt.number)
    if attempt.fee is None and answered:
        _ask_for_fee(change, attempt)
    fit_refunds(change, attempt)
    if attempt.surplus:
        enter_early_refunds(change, attempt)
        refund_surplus(change, attempt)
        return
    change.publish_captured(attempt)
    enter_early_refunds(change, attempt)
    if change.state.closed_as:
        refund_rest(change)


def _action_required(change: PaymentChange, attempt: ChargeAttempt, result: ChargeResult) -> None:
    card = result.card or attempt.card
    attempt = change.update_attempt(
        attempt, status=AttemptStatus.ACTION_REQUIRED, reference=result.reference, card=card
    )
    if change.state.supersedes_open_attempt:
        return
    if _URL.fullmatch(result.url):
        change.publish(PaymentActionRequired(attempt=attempt.number, url=result.url))
        change.check_charge_later(attempt.number, tries=1)
        return
    change.update_attempt(attempt, status=AttemptStatus.CANCELLING, code=UNSUPPORTED, text=NO_PAGE)
    provider = change.state.provider_of(attempt)
    change.request(CancelCharge(provider, change.context.key, attempt.number, attempt.reference))


def _declined(change: PaymentChange, attempt: ChargeAttempt, result: ChargeResult) -> None:
    attempt = change.update_attempt(
        attempt,
        status=AttemptStatus.DECLINED,
        reference=result.reference or attempt.reference,
        card=result.card or attempt.card,
        code=result.code,
        text=result.text,
    )
    change.publish(
        PaymentDeclined(
            attempt=attempt.number,
            code=result.code,
            text=customer_text(result.reason),
            card=attempt.card,
            reason=result.reason.value,
            detail=result.text or None,
            provider=change.state.provider_of(attempt),
            method=attempt.method or None,
        )
    )
