"""Verifying a card and keeping it, and releasing what was authorised for that in any case."""

from __future__ import annotations

import re
from typing import Any

from services.payments.domain.capabilities import DEFAULT
from services.payments.domain.change import (
    FIRST_CHECK,
    FIRST_CONFIRMATION_CHECK,
    LONGEST_CONFIRMATION_WAIT,
    LONGEST_WAIT,
    PaymentChange,
)
from services.payments.domain.declines import DeclineReason, customer_text
from services.payments.domain.payment import Payment, Share, payments
from services.payments.domain.verification import (
    FindVerification,
    ForgetCard,
    ForgetDue,
    ReleaseDue,
    ReleaseVerification,
    Verification,
    VerificationCheckDue,
    VerificationReported,
    VerificationResult,
    VerificationStatus,
    VerifyCard,
)
from shared.contracts.approval import OrderVerificationRequested
from shared.contracts.card_verification import (
    PaymentVerificationActionRequired,
    PaymentVerificationDeclined,
    PaymentVerified,
)
from shared.core import Context, Decision, FailedOutcome, UnresolvedOutcome
from shared.core.fast_dataclasses import replace
from shared.core.waits import growing_wait

S = VerificationStatus
ORDER_ENDED = "order_ended"
"""The order had ended before its card was to be verified, as payments had read from checkout before a restore."""
_URL = re.compile(r"https?://\S{1,1990}")


@payments.begins(OrderVerificationRequested)
def verification_requested(
    payment: Payment | None, request: OrderVerificationRequested, context: Context
) -> Decision[Payment]:
    if payment and payment.ended_unrequested:
        text = customer_text(DeclineReason.NOT_CHARGEABLE)
        declined = PaymentVerificationDeclined(verification=request.verification, code=ORDER_ENDED, text=text)
        return Decision(payment, events=[declined])
    known = payment or Payment(
        number=request.number,
        store=request.store,
        provider=request.provider or DEFAULT,
        currency=request.currency,
        items=tuple(Share(item.item, item.purchased) for item in request.items),
    )
    if known.closed_as or any(it.number >= request.verification for it in known.verifications):
        return Decision(payment)
    change, provider = PaymentChange(known, context), request.provider or DEFAULT
    for earlier in known.verifications:
        cancel_verification(change, earlier)
    new = Verification(request.verification, request.amount, request.requested_at, provider)
    change.set(verifications=(*change.state.verifications, new))
    change.request(
        VerifyCard(
            provider=provider,
            order=context.key,
            store=request.store,
            number=request.number,
            verification=request.verification,
            amount=request.amount,
            currency=request.currency,
            email=request.customer_email,
            return_url=request.return_url,
            since=request.requested_at,
            until=request.until,
            payment_method=request.payment_method or "",
            token=request.token or "",
            descriptor=request.statement_descriptor or "",
        )
    )
    return change.decision()


def cancel_verification(change: PaymentChange, verification: Verification) -> None:
    """One that waits for the customer must not be confirmed any more. What is authorised is released in any case."""
    if verification.status is S.ACTION_REQUIRED:
        _update(change, verification, status=S.CANCELLING)
        _release(change, verification)


# How it ends


@payments.answers(VerifyCard.Done)
def verification_made(
    payment: Payment, verify: VerifyCard, outcome: VerifyCard.Done, context: Context
) -> Decision[Payment]:
    return apply_verification_result(payment, verify.verification, outcome.result, context, next_check=1)


@payments.answers(VerifyCard.Failed)
def verification_failed(
    payment: Payment, verify: VerifyCard, outcome: VerifyCard.Failed, context: Context
) -> Decision[Payment]:
    code, text = outcome.code, outcome.text
    result = VerificationResult(
        outcome.reference, "failed", card=outcome.card, code=code, text=text, reason=outcome.reason
    )
    return apply_verification_result(payment, verify.verification, result, context)


@payments.answers(VerifyCard.Unresolved)
def verification_unresolved(
    payment: Payment, verify: VerifyCard, outcome: UnresolvedOutcome, context: Context
) -> Decision[Payment]:
    """Something may be authorised: it is looked for until that is known."""
    change, verification = PaymentChange(payment, context), payment.verification(verify.verification)
    if verification and verification.status is S.VERIFYING:
        _update(change, verification, text=outcome.text)
        _check_later(change, verification, 1)
    return change.decision()


@payments.on(VerificationReported)
def verification_reported(payment: Payment, report: VerificationReported, context: Context) -> Decision[Payment]:
    return apply_verification_report(payment, report, context)


def apply_verification_report(payment: Payment, report: VerificationReported, context: Context) -> Decision[Payment]:
    """Only one that we made counts: before its answer, the provider has told us no reference to compare."""
    verification = payment.verification(report.verification)
    if verification is None or verification.reference not in ("", report.result.reference):
        return Decision(payment)
    return apply_verification_result(payment, report.verification, report.result, context)


@payments.on(VerificationCheckDue)
def verification_check_due(payment: Payment, due: VerificationCheckDue, context: Context) -> Decision[Payment]:
    change, verification = PaymentChange(payment, context), payment.verification(due.verification)
    if verification and verification.status in (S.VERIFYING, S.ACTION_REQUIRED):
        change.request(
            FindVerification(
                provider=verification.provider,
                order=context.key,
                verification=verification.number,
                amount=verification.amount,
                reference=verification.reference,
                since=verification.at,
                tries=due.tries,
            )
        )
    return change.decision()


@payments.answers(FindVerification.Done)
def verification_found(
    payment: Payment, find: FindVerification, outcome: FindVerification.Done, context: Context
) -> Decision[Payment]:
    return apply_verification_result(payment, find.verification, outcome.result, context, next_check=find.tries + 1)


@payments.answers(FindVerification.Failed, FindVerification.Unresolved)
def verification_not_found(
    payment: Payment, find: FindVerification, outcome: FailedOutcome | UnresolvedOutcome, context: Context
) -> Decision[Payment]:
    change, verification = PaymentChange(payment, context), payment.verification(find.verification)
    if verification and verification.status in (S.VERIFYING, S.ACTION_REQUIRED):
        _check_later(change, verification, find.tries + 1)
    return change.decision()


def apply_verification_result(
    payment: Payment, number: int, result: VerificationResult, context: Context, next_check: int = 0
) -> Decision[Payment]:
    """Repeated results are ignored. `next_check`: which check of one that has not ended comes next."""
    verification = payment.verification(number)
    if verification is None:
        return Decision(payment)
    change = PaymentChange(payment, context)
    match result.status:
        case "verified":
            _verified(change, verification, result)
        case "requires_action" if verification.status is S.VERIFYING:
            _action_required(change, verification, result)
        case "requires_action" | "processing" if verification.status in (S.VERIFYING, S.ACTION_REQUIRED):
            _update(change, verification, reference=result.reference)
            if next_check:
                _check_later(change, verification, next_check)
        case "failed" if verification.status in (S.VERIFYING, S.ACTION_REQUIRED):
            _declined(change, verification, result)
        case "cancelled" if verification.status is S.CANCELLING:
            _update(change, verification, status=S.CANCELLED)
        case "cancelled" if verification.is_open:
            not_confirmed = DeclineReason.NOT_CONFIRMED
            _declined(change, verification, replace(result, code="cancelled", reason=not_confirmed))
        case "cancelled" if verification.held:
            _update(change, verification, held=0)
    return change.decision()


def _verified(change: PaymentChange, verification: Verification, result: VerificationResult) -> None:
    """Also one that was thought to have ended otherwise: what is authorised is released."""
    awaited = _is_awaited(change.state, verification) and verification.status in (S.VERIFYING, S.ACTION_REQUIRED)
    if verification.status is S.VERIFIED:
        return
    verification = _update(
        change,
        verification,
        status=S.VERIFIED if awaited else S.CANCELLED,
        reference=result.reference,
        held=result.held,
        card=result.card,
        customer=result.customer,
        payment_method=result.payment_method,
    )
    if awaited:
        change.publish(PaymentVerified(verification=verification.number, card=verification.card))
    if verification.held:
        _release(change, verification)


def _action_required(change: PaymentChange, verification: Verification, result: VerificationResult) -> None:
    verification = _update(change, verification, status=S.ACTION_REQUIRED, reference=result.reference, url=result.url)
    if not _is_awaited(change.state, verification):
        cancel_verification(change, verification)
    elif _URL.fullmatch(result.url):
        change.publish(PaymentVerificationActionRequired(verification=verification.number, url=result.url))
        _check_later(change, verification, 1)
    else:
        cancel_verification(change, verification)
        _tell_declined(change, verification, DeclineReason.METHOD_UNUSABLE, "It has no page to confirm it on.")


def _declined(change: PaymentChange, verification: Verification, result: VerificationResult) -> None:
    awaited = _is_awaited(change.state, verification)
    verification = _update(
        change,
        verification,
        status=S.DECLINED,
        reference=result.reference or verification.reference,
        card=result.card or verification.card,
        code=result.code,
        text=result.text,
    )
    if awaited:
        _tell_declined(change, verification, result.reason, result.text)


def _tell_declined(change: PaymentChange, verification: Verification, reason: DeclineReason, detail: str) -> None:
    if now := change.state.verification(verification.number):
        _update(change, now, reason=reason.value)
    change.publish(
        PaymentVerificationDeclined(
            verification=verification.number,
            code=verification.code or reason.value,
            text=customer_text(reason),
            card=verification.card,
            detail=detail or None,
        )
    )


def _is_awaited(payment: Payment, verification: Verification) -> bool:
    """The order still waits for this one."""
    return not payment.closed_as and verification.number == payment.verifications[-1].number


# Released


def _release(change: PaymentChange, verification: Verification) -> None:
    change.request(
        ReleaseVerification(verification.provider, change.context.key, verification.number, verification.reference)
    )


@payments.answers(ReleaseVerification.Done)
def released(
    payment: Payment, release: ReleaseVerification, outcome: ReleaseVerification.Done, context: Context
) -> Decision[Payment]:
    """A card that was set up before it could be cancelled holds nothing, and is not used. It may be kept nevertheless:
    the customer had confirmed it, and we did not hear of that."""
    change, verification = PaymentChange(payment, context), payment.verification(release.verification)
    if verification:
        method = verification.payment_method or outcome.result.payment_method
        verification = _update(change, verification, payment_method=method, held=outcome.result.held)
    if verification and verification.held:
        _release_later(change, verification, 1)
    elif verification and verification.status is S.CANCELLING:
        _update(change, verification, status=S.CANCELLED)
    return change.decision()


@payments.answers(ReleaseVerification.Failed, ReleaseVerification.Unresolved)
def not_released(
    payment: Payment, release: ReleaseVerification, outcome: FailedOutcome | UnresolvedOutcome, context: Context
) -> Decision[Payment]:
    """It is owed until it is done."""
    change, verification = PaymentChange(payment, context), payment.verification(release.verification)
    if verification:
        tries = verification.releases + 1
        _release_later(change, _update(change, verification, text=outcome.text, releases=tries), tries)
    return change.decision()


def _release_later(change: PaymentChange, verification: Verification, tries: int) -> None:
    due = change.context.at + growing_wait(FIRST_CHECK, LONGEST_WAIT, tries)
    change.timer(due, ReleaseDue(verification.number, tries), f"release_{verification.number}")


@payments.on(ReleaseDue)
def release_due(payment: Payment, due: ReleaseDue, context: Context) -> Decision[Payment]:
    change, verification = PaymentChange(payment, context), payment.verification(due.verification)
    if verification and (verification.held or verification.status is S.CANCELLING):
        _release(change, verification)
    return change.decision()


# Forgotten, once it is not needed any more: `PaymentChange` asks for it


@payments.answers(ForgetCard.Done)
def forgotten(payment: Payment, forget: ForgetCard, outcome: ForgetCard.Done, context: Context) -> Decision[Payment]:
    change, verification = PaymentChange(payment, context), payment.verification(forget.verification)
    if verification:
        _update(change, verification, forgotten=True)
    return change.decision()


@payments.answers(ForgetCard.Failed, ForgetCard.Unresolved)
def not_forgotten(
    payment: Payment, forget: ForgetCard, outcome: FailedOutcome | UnresolvedOutcome, context: Context
) -> Decision[Payment]:
    """It is owed until it is done."""
    change, verification = PaymentChange(payment, context), payment.verification(forget.verification)
    if verification:
        tries = verification.forget_tries + 1
        _update(change, verification, forget_tries=tries)
        due = change.context.at + growing_wait(FIRST_CHECK, LONGEST_WAIT, tries)
        change.timer(due, ForgetDue(verification.number, tries), f"forget_{verification.number}")
    return change.decision()


@payments.on(ForgetDue)
def forget_due(payment: Payment, due: ForgetDue, context: Context) -> Decision[Payment]:
    change, verification = PaymentChange(payment, context), payment.verification(due.verification)
    if verification and not verification.forgotten:
        method = verification.payment_method
        change.request(ForgetCard(verification.provider, context.key, verification.number, method))
    return change.decision()


def _check_later(change: PaymentChange, verification: Verification, tries: int) -> None:
    now = change.state.verification(verification.number)
    confirming = now is not None and now.status is S.ACTION_REQUIRED
    first, longest = (
        (FIRST_CONFIRMATION_CHECK, LONGEST_CONFIRMATION_WAIT) if confirming else (FIRST_CHECK, LONGEST_WAIT)
    )
    due = change.context.at + growing_wait(first, longest, tries)
    change.timer(due, VerificationCheckDue(verification.number, tries), _check(verification.number))


def _check(verification: int) -> str:
    """The name of its timer."""
    return f"check_verification_{verification}"


def _update(change: PaymentChange, verification: Verification, **changes: Any) -> Verification:
    after = replace(verification, **changes)
    others = change.state.verifications
    change.set(verifications=tuple(after if it.number == after.number else it for it in others))
    waits = (S.VERIFYING, S.ACTION_REQUIRED)
    if verification.status in waits and after.status not in waits:
        change.cancel_timer(_check(after.number))
    return after
