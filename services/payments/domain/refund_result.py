"""How refunds that we requested end: the provider's answers and callbacks. Both go through `apply_refund_result`."""

from __future__ import annotations

import re

from services.payments.domain.change import PaymentChange
from services.payments.domain.operations import RefundCharge, RefundResult, RetryRefund
from services.payments.domain.payment import ChargeAttempt, Payment, Refund, RefundStatus, payments
from services.payments.domain.refund import shares_of_all
from services.payments.domain.refund_choices import with_whole
from services.payments.domain.refund_made import failed, made, told_as, try_again_later
from shared.contracts.payments import PaymentSettlementContradicted, PaymentUnresolved, SettlePayment
from shared.core import Context, Decision, hashed_id
from shared.core.fast_dataclasses import replace
from shared.core.money import Money

RETURNED = "The bank returned the refund. Refund the customer another way."
NEVER_MADE = "The provider has no such refund. Request it again."
MADE_AT_PROVIDER = "made_at_provider"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")


@payments.answers(RefundCharge.Done, RetryRefund.Done)
def refund_made(
    payment: Payment, operation: RefundCharge, outcome: RefundCharge.Done, context: Context
) -> Decision[Payment]:
    return apply_refund_result(payment, operation.refund, outcome.result, context)


@payments.answers(RefundCharge.Failed, RetryRefund.Failed)
def refund_failed(
    payment: Payment, operation: RefundCharge, outcome: RefundCharge.Failed, context: Context
) -> Decision[Payment]:
    refund = _awaited(payment, operation)
    if refund is None:
        return Decision(payment)  # a callback came first
    change = PaymentChange(payment, context)
    if refund.is_pending:
        failed(change, refund, outcome.code, outcome.text)
    else:
        _call_has_ended(change, refund)
    return change.decision()


@payments.answers(RefundCharge.Unresolved, RetryRefund.Unresolved)
def refund_unresolved(
    payment: Payment, operation: RefundCharge, outcome: RefundCharge.Unresolved, context: Context
) -> Decision[Payment]:
    refund = _awaited(payment, operation)
    if refund is None:
        return Decision(payment)
    change = PaymentChange(payment, context)
    if refund.status is RefundStatus.PENDING:
        change.update_refund(refund, status=RefundStatus.UNRESOLVED, text=outcome.text)
        change.publish(
            PaymentUnresolved(attempt=told_as(payment, refund), text=f"Refund {refund.id}: {outcome.text}"[:2000])
        )
        change.check_refund_later(refund, tries=1)
    else:
        _call_has_ended(change, refund)
    return change.decision()


def _awaited(payment: Payment, operation: RefundCharge) -> Refund | None:
    """The refund, unless a callback or a later try has told more of it than this call."""
    refund = payment.refund(operation.refund)
    return None if refund is None or refund.reference or operation.tries != refund.tries else refund


def _call_has_ended(change: PaymentChange, refund: Refund) -> None:
    """Without making a refund that another one at the provider has taken the place of."""
    if refund.code == MADE_AT_PROVIDER:
        try_again_later(change, refund)


def apply_refund_result(
    payment: Payment, id: str, result: RefundResult, context: Context, next_check: int = 1
) -> Decision[Payment]:
    """Repeated results are ignored. `next_check`: which check comes next of a refund that was made, but cannot be
    entered yet."""
    refund = payment.refund(id)
    if refund is None or _is_known(refund, result):
        return Decision(payment)
    change = PaymentChange(payment, context)
    if any(it.reference == result.reference and it is not refund for it in payment.refunds if it.reference):
        _not_made(change, refund)
    elif result.status != "failed" and result.amount not in (0, refund.amount):
        _of_another_amount(change, refund, result)
    elif refund.status is RefundStatus.FAILED and result.status == "failed":
        change.update_refund(refund, reference=result.reference, settled_by="")
    elif not _has_room(change, refund, result):
        if next_check == 1:
            text = f"Refund {id} was made after all ({result.reference}), but its amount is reserved for other refunds."
            change.publish(PaymentUnresolved(attempt=told_as(payment, refund), text=text))
        change.check_refund_later(refund, next_check)
    else:
        enter(change, _compare_settled(change, refund, result) if refund.settled_by else refund, result)
        attempt = payment.attempt(refund.attempt)
        if result.status == "failed" and attempt:
            enter_early_refunds(change, attempt)
    return change.decision()


def _of_another_amount(change: PaymentChange, refund: Refund, result: RefundResult) -> None:
    """It takes the place of the one that staff settled, or that we requested."""
    attempt = change.state.attempt(refund.attempt)
    if attempt is None:
        return
    if refund.settled_by:
        contradict(change, refund, result)
        refund = change.update_refund(refund, settled_by="")
    if refund.status is RefundStatus.DONE:
        change.enter_movement("correction", refund.amount, refund.reference, refund.attempt)
    if refund.status is not RefundStatus.FAILED:
        given = Money(result.amount, change.state.currency)
        failed(change, refund, "other_amount", f"The provider made {result.reference} of {given} in its place.")
    made_at_provider(change, attempt, result)


def _not_made(change: PaymentChange, refund: Refund) -> None:
    """The provider has another one under its id, which is entered already: of another amount, requested before
    payments' database was restored."""
    if refund.is_pending:
        failed(change, refund, "not_refunded", NEVER_MADE)
    elif refund.code == MADE_AT_PROVIDER and not refund.retry_at:
        try_again_later(change, refund)


def enter(change: PaymentChange, refund: Refund, result: RefundResult) -> None:
    if result.status == "succeeded":
        if refund.status is not RefundStatus.DONE:
            made(change, refund, result.reference)
    elif result.status == "pending":
        change.update_refund(refund, status=RefundStatus.PENDING, reference=result.reference, code="", text="")
    else:
        returned = refund.status is RefundStatus.DONE
        if returned:
            change.enter_movement("refund_returned", refund.amount, result.reference, refund.attempt)
        text = RETURNED if result.reference else NEVER_MADE
        failed(change, refund, result.code or "failed", text, result.reference, returned=returned)


def make_room(change: PaymentChange, attempt: ChargeAttempt, amount: int, reference: str) -> bool:
    """Whether so much is left of an attempt. What staff recorded as paid in another way gives way to what the provider
    made: it was not the customer's only refund."""
    for refund in reversed([*change.state.refunds_of(attempt)]):
        short = amount - change.state.refundable_of(attempt)
        if short > 0 and refund.recorded and refund.status is RefundStatus.DONE:
            change.enter_movement("correction", refund.amount, refund.reference, attempt.number, elsewhere=True)
            text = f"The provider refunded this money, too ({reference}). If the customer has both, ask for one back."
            failed(change, refund, MADE_AT_PROVIDER, text)
            if refund.amount > short:
                _record_rest(change, refund, refund.amount - short)
    return amount <= change.state.refundable_of(attempt)


def _record_rest(change: PaymentChange, refund: Refund, amount: int) -> None:
    id = str(hashed_id("refund", change.context.key, refund.id, "rest"))
    rest = replace(refund, id=id, amount=amount, shares=(), status=RefundStatus.PENDING, code="", text="")
    made(change, change.update_refund(with_whole(change.state, rest)), refund.reference)


def keep_for_later(change: PaymentChange, result: RefundResult) -> None:
    forget_early(change, result)
    change.set(early_refunds=(*change.state.early_refunds, result))


def forget_early(change: PaymentChange, result: RefundResult) -> None:
    """It is no longer kept for later: the money came back, or something newer is known of it."""
    kept = tuple(early for early in change.state.early_refunds if early.reference != result.reference)
    if len(kept) < len(change.state.early_refunds):
        change.set(early_refunds=kept)


def enter_early_refunds(change: PaymentChange, attempt: ChargeAttempt) -> None:
    """Those of a charge whose reference has just become known, or of which something is left again."""
    for result in change.state.early_refunds:
        if result.charge == attempt.reference:
            change.set(early_refunds=tuple(it for it in change.state.early_refunds if it is not result))
            made_at_provider(change, attempt, result)


def made_at_provider(change: PaymentChange, attempt: ChargeAttempt, result: RefundResult, id: str = "") -> None:
    """Enter a refund that we did not request: the provider will not make ours of the same money."""
    if task := _task_of_staff(change.state, attempt, result):
        _done_by_staff(change, task, result)
        return
    context, payment = change.context, change.state
    left, ours = payment.refundable_of(attempt), list[Refund]()
    for refund in reversed([*payment.refunds_of(attempt)]):
        if result.amount > left and refund.is_pending and not refund.reference:
            ours.append(refund)
            left += refund.amount
    for refund in ours:
        # Where its call has not ended, what is owed is tried again when it has.
        text, ended = f"{result.reference} was made at the provider before.", refund.status is RefundStatus.UNRESOLVED
        failed(change, refund, MADE_AT_PROVIDER, text, try_again=ended)
    if not make_room(change, attempt, result.amount, result.reference):
        text = f"The provider made {result.reference} of {Money(result.amount, payment.currency)}, more than is left."
        change.publish(PaymentUnresolved(attempt=attempt.number_in_checkout, text=text))
        keep_for_later(change, result)
        return
    whole = attempt == payment.paying_attempt and result.amount == change.state.refundable_of(attempt)
    ours_forgotten = _ID.fullmatch(id) and payment.refund(id) is None
    refund = Refund(
        id=id if ours_forgotten else str(hashed_id("refund", context.key, result.reference)),
        attempt=attempt.number,
        amount=result.amount,
        at=context.happened,
        shares=shares_of_all(change.state) if whole else (),
        reason=MADE_AT_PROVIDER,
    )
    enter(change, change.update_refund(with_whole(change.state, refund)), result)


def _task_of_staff(payment: Payment, attempt: ChargeAttempt, result: RefundResult) -> Refund | None:
    """What staff make in the provider's dashboard because its API cannot; they may have confirmed it already."""
    tasks = (it for it in payment.refunds_of(attempt) if it.by_hand and not it.reference and not it.recorded)
    return next((it for it in tasks if it.amount == result.amount and it.status is not RefundStatus.FAILED), None)


def _done_by_staff(change: PaymentChange, refund: Refund, result: RefundResult) -> None:
    if refund.status is RefundStatus.DONE:
        change.enter_movement("correction", refund.amount, "", refund.attempt)
        change.enter_movement("refund", -refund.amount, result.reference, refund.attempt)
        change.update_refund(refund, reference=result.reference, settled_by="")
    else:
        enter(change, refund, result)


def settle_refund(change: PaymentChange, refund: Refund, command: SettlePayment) -> None:
    """Staff settle a refund of unknown outcome, or one that they make by hand."""
    refund = change.update_refund(refund, settled_by=change.context.actor)
    if command.outcome == "refunded":
        made(change, refund, command.reference)
    else:
        failed(change, refund, "not_refunded", command.reason)


def fail_pending_refunds(change: PaymentChange, attempt: ChargeAttempt) -> None:
    """Fail refunds of a charge that a correction has replaced: what is pending, and what staff recorded."""
    text = f"It was requested of {attempt.reference}, which did not pay this order. Request it again."
    for refund in change.state.refunds_of(attempt):
        if refund.is_pending and not refund.reference:
            failed(change, refund, "other_payment", text)
        elif refund.recorded and refund.status is RefundStatus.DONE:
            change.enter_movement("correction", refund.amount, refund.reference, attempt.number, elsewhere=True)
            failed(change, refund, "other_payment", text)


def fit_refunds(change: PaymentChange, attempt: ChargeAttempt) -> None:
    """Fail what is more than was captured, where a correction has lowered that: the latest first, and what staff
    recorded last, of which the rest stays."""
    given, latest_first = Money(attempt.captured, change.state.currency), reversed([*change.state.refunds_of(attempt)])
    for refund in sorted(latest_first, key=lambda refund: refund.recorded):
        beyond = -change.state.refundable_of(attempt)
        text = f"Only {given} was captured of {attempt.reference}."
        if beyond > 0 and refund.is_pending and not refund.reference:
            failed(change, refund, "more_than_captured", f"{text} Request it again.")
        elif beyond > 0 and refund.recorded and refund.status is RefundStatus.DONE:
            change.enter_movement("correction", refund.amount, refund.reference, attempt.number, elsewhere=True)
            failed(change, refund, "more_than_captured", text)
            if refund.amount > beyond:
                _record_rest(change, refund, refund.amount - beyond)


def _is_known(refund: Refund, result: RefundResult) -> bool:
    """The provider's `failed` is final. What only our own call reported as failed may still turn out done."""
    match refund.status:
        case RefundStatus.FAILED:
            return bool(refund.reference) or result.status == "pending" or not result.reference
        case RefundStatus.DONE if refund.settled_by:
            return result.status == "pending" or not result.reference
        case RefundStatus.DONE:
            return result.status != "failed"
        case _:
            return result.status == "pending" and bool(refund.reference)


def _has_room(change: PaymentChange, refund: Refund, result: RefundResult) -> bool:
    """Whether a refund can be entered. The amount of one that was thought failed may be reserved again: then a later
    one will turn out failed, and until it has, this one is checked again."""
    attempt = change.state.attempt(refund.attempt)
    if refund.status is not RefundStatus.FAILED or attempt is None:
        return True
    return make_room(change, attempt, refund.amount, result.reference)


def _compare_settled(change: PaymentChange, refund: Refund, result: RefundResult) -> Refund:
    """Compare a manual settlement with the provider's result. A refund made under another reference is corrected at
    once."""
    if refund.status is RefundStatus.DONE and (result.status, result.reference) == ("succeeded", refund.reference):
        return change.update_refund(refund, settled_by="")
    contradict(change, refund, result)
    if refund.status is RefundStatus.DONE and result.reference != refund.reference:
        change.enter_movement("correction", refund.amount, refund.reference, refund.attempt)
        change.enter_movement("refund", -refund.amount, result.reference, refund.attempt)
    return change.update_refund(refund, reference=result.reference if refund.reference else "", settled_by="")


def contradict(change: PaymentChange, refund: Refund, result: RefundResult) -> None:
    text = f"Settled as {refund.status} by {refund.settled_by}, but the provider reports {result.reference} as "
    text += result.status
    if result.amount not in (0, refund.amount):
        made, settled = (Money(amount, change.state.currency) for amount in (result.amount, refund.amount))
        text += f", of {made} and not {settled}"
    told = PaymentSettlementContradicted(attempt=told_as(change.state, refund), refund=refund.id, text=f"{text}.")
    change.publish(told)
