"""Refunds: what can be requested, and what is refunded automatically."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import get_args

from services.payments.domain.change import PaymentChange
from services.payments.domain.operations import RefundCharge, RefundDue, RetryRefund
from services.payments.domain.payment import ChargeAttempt, Payment, Refund, RefundStatus, Share, payments
from services.payments.domain.refund_choices import choice_problems, made_whole_by, with_whole
from services.payments.domain.refund_made import made, shares_that_fit, waits_to_be_tried_again
from shared.contracts.payments import PaymentRefundNeeded, RefundLine, RefundPayment, RefundReason
from shared.core import Context, Decision, Problem, Refused, hashed_id
from shared.core.fast_dataclasses import replace
from shared.core.money import Money, allocate

REASONS: tuple[str, ...] = get_args(RefundReason)
NOT_PAID = Refused("not_paid", "There is no captured payment to refund.")

# What can be requested


@payments.begins(RefundPayment)
def refund_requested(payment: Payment | None, command: RefundPayment, context: Context) -> Decision[Payment] | Refused:
    attempt = attempt_to_refund(payment, command)
    if payment is None or attempt is None:
        return NOT_PAID
    id = str(context.named_id("refund"))
    if payment.refund(id):
        return Decision(payment)  # reported by the provider already, as after a restore
    planned = plan(payment, attempt, command, context.at)
    if isinstance(planned, Refused):
        return planned
    amount, shares = planned
    change = PaymentChange(payment, context)
    refund = Refund(
        id=id,
        attempt=attempt.number,
        amount=amount,
        at=context.happened,
        shares=shares,
        reason=command.reason,
        note=command.note,
        remove_access=command.remove_access,
        remove_offer_access=command.remove_offer_access,
        restock=command.restock,
    )
    if command.refund_payment:
        _request(change, refund)
    else:
        refund = change.update_refund(with_whole(payment, refund), recorded=True, settled_by=context.actor)
        made(change, refund, command.reference)
    return change.decision()


def plan(
    payment: Payment, attempt: ChargeAttempt, command: RefundPayment, at: datetime
) -> tuple[int, tuple[Share, ...]] | Refused:
    """How much would be refunded, and how much of it for which item."""
    problems = [*_wrong_words(payment, attempt, command), *_too_late(payment, attempt, command, at)]
    if refused := _refused(problems):
        return refused
    left = payment.refundable_of(attempt)
    if left == 0:
        return Refused("already_refunded", "The payment is fully refunded, or its refunds are in progress.")
    shares: tuple[Share, ...] = ()
    amount = left if command.amount is None else command.amount
    if command.items:
        requested = _requested_shares(payment, command)
        if isinstance(requested, Refused):
            return requested
        shares, amount = requested, sum(share.amount for share in requested)
    elif attempt is payment.paying_attempt and amount == left:
        shares = shares_of_all(payment)
    if refused := _not_possible(payment, attempt, amount):
        return refused
    return _refused([*choice_problems(command, made_whole_by(payment, attempt, amount, shares))]) or (amount, shares)


def attempt_to_refund(payment: Payment | None, command: RefundPayment) -> ChargeAttempt | None:
    """The one that the command is about; None if it captured nothing."""
    if payment is None:
        return None
    attempt = payment.paying_attempt if command.attempt is None else payment.attempt(command.attempt)
    return attempt if attempt and attempt.captured else None


def _wrong_words(payment: Payment, attempt: ChargeAttempt, command: RefundPayment) -> Iterator[Problem]:
    if command.reason not in REASONS:
        text = f"The `reason` of a refund is one of {', '.join(REASONS)}; the rest is its `note`."
        yield Problem(field="reason", code="unknown_reason", text=text)
    if command.items and attempt is not payment.paying_attempt:
        text = f"Attempt {attempt.number} did not pay for the items: refund it in whole, or an `amount` of it."
        yield Problem(field="items", code="no_items", text=text)
    if not command.refund_payment and not command.note:
        text = "Say in `note` how the customer gets the money: no money moves at the provider."
        yield Problem(field="note", code="missing_note", text=text)
    if command.remove_offer_access and attempt is not payment.paying_attempt:
        text = f"Attempt {attempt.number} did not pay the order: its refund ends no access."
        yield Problem(field="remove_offer_access", code="not_available", text=text)
    if command.reference and any(refund.reference == command.reference for refund in payment.refunds):
        text = f"{command.reference} is a refund of this order already."
        yield Problem(field="reference", code="reference_in_use", text=text)
    if command.refund_payment and command.reference:
        text = "Leave out `reference`: the provider gives it. It is for refunds that are only recorded."
        yield Problem(field="reference", code="no_reference", text=text)


def _too_late(payment: Payment, attempt: ChargeAttempt, command: RefundPayment, at: datetime) -> Iterator[Problem]:
    """After its window of days the provider would only refuse."""
    until = payment.refundable_until(attempt)
    if command.refund_payment and until is not None and at > until:
        provider, days = payment.provider_of(attempt), payment.capabilities_of(attempt).refund_window_days
        text = (
            f"{provider} refunds it for {days} days only, until {until:%Y-%m-%d}. Refund it in another way, and record "
            "that (`refund_payment` false)."
        )
        yield Problem(field="refund_payment", code="refund_window_over", text=text)


def _not_possible(payment: Payment, attempt: ChargeAttempt, amount: int) -> Refused | None:
    left = payment.refundable_of(attempt)
    if amount == 0:
        return Refused("nothing_to_refund", "Specify an amount above zero.")
    if amount % payment.step and amount != left:
        return Refused("amount_off_step", f"Refunds in {payment.currency} are {_multiples(payment)}.")
    if amount > left:
        return Refused("too_much", f"At most {Money(left, payment.currency)} can still be refunded.")
    return None


def _requested_shares(payment: Payment, command: RefundPayment) -> tuple[Share, ...] | Refused:
    """How much for each item; every problem at once."""
    if command.amount is not None:
        return Refused("ambiguous", "Specify `amount` or `items`, not both. Each item can have its own amount.")
    remaining = {share.item: share.amount for share in payment.refundable_shares()}
    problems: list[Problem] = []
    shares: list[Share] = []
    for index, line in enumerate(command.items):
        if problem := _line_problem(payment, line, remaining):
            problems.append(problem.model_copy(update={"field": f"items.{index}"}))
            continue
        amount = remaining[line.item] if line.amount is None else line.amount
        remaining[line.item] -= amount
        shares.append(Share(line.item, amount))
    return _refused(problems) or tuple(share for share in shares if share.amount)


def _refused(problems: Sequence[Problem]) -> Refused | None:
    return Refused(problems[0].code, " ".join(it.text for it in problems), problems) if problems else None


def _line_problem(payment: Payment, line: RefundLine, remaining: dict[str, int]) -> Problem | None:
    if line.item not in remaining:
        return Problem(field="", code="unknown_item", text=f"The order has no item {line.item}.")
    if not remaining[line.item]:
        text = f"Nothing of item {line.item} is left to refund; a refund may be in progress."
        return Problem(field="", code="already_refunded", text=text)
    if line.amount is not None and line.amount > remaining[line.item]:
        most = Money(remaining[line.item], payment.currency)
        text = f"At most {most} can still be refunded for item {line.item}."
        return Problem(field="", code="too_much_for_item", text=text)
    if line.amount is not None and line.amount % payment.step:
        text = f"Refunds of item {line.item} are {_multiples(payment)}."
        return Problem(field="", code="amount_off_step", text=text)
    return None


def _multiples(payment: Payment) -> str:
    return f"multiples of {Money(payment.step, payment.currency)}"


def shares_of_all(payment: Payment) -> tuple[Share, ...]:
    """Everything that is refundable, by item; earlier refunds for no item in particular reduce all in proportion."""
    items = [share for share in payment.refundable_shares() if share.amount]
    if sum(share.amount for share in items) <= payment.refundable:
        return tuple(items)
    parts = allocate(payment.refundable, [share.amount for share in items], payment.step)
    return tuple(Share(share.item, part) for share, part in zip(items, parts, strict=True) if part)


# What is refunded automatically


def refund_rest(change: PaymentChange) -> None:
    """Refund all that is refundable of a payment whose order is cancelled or expired."""
    payment = change.state
    if payment.paying_attempt and payment.refundable:
        reason = f"order_{payment.closed_as}"
        _refund(change, payment.paying_attempt, payment.refundable, shares_of_all(payment), reason, "")


def refund_surplus(change: PaymentChange, attempt: ChargeAttempt) -> None:
    """Refund all that is left of a second capture for the same order."""
    if left := change.state.refundable_of(attempt):
        _refund(change, attempt, left, (), "duplicate", "A second charge for the same order.")


@payments.on(RefundDue)
def refund_due(payment: Payment, due: RefundDue, context: Context) -> Decision[Payment]:
    """Unless staff have refunded it in another way meanwhile."""
    refund = payment.refund(due.refund)
    attempt = payment.attempt(refund.attempt) if refund else None
    if refund is None or attempt is None:
        return Decision(payment)
    change, left = PaymentChange(payment, context), payment.refundable_of(attempt)
    refund = change.update_refund(refund, retry_at=None)
    if not waits_to_be_tried_again(payment, refund):
        return change.decision()
    if left < refund.amount:
        _refund(change, attempt, left, (), refund.reason, "The rest of a refund that was refused.")
    else:
        shares = shares_that_fit(payment, refund)
        _request(change, replace(refund, status=RefundStatus.PENDING, tries=refund.tries + 1, shares=shares))
    return change.decision()


def _refund(
    change: PaymentChange, attempt: ChargeAttempt, amount: int, shares: tuple[Share, ...], reason: str, note: str
) -> None:
    id = _automatic_id(change, attempt, reason)
    if change.state.refund(id) is None:  # else reported by the provider already, as after a restore
        _request(change, Refund(id, attempt.number, amount, change.context.at, shares=shares, reason=reason, note=note))


def _automatic_id(change: PaymentChange, attempt: ChargeAttempt, reason: str) -> str:
    """The id of an automatic refund, from what is refunded and why. Whichever message leads to it (a callback the first
    time, an answer when it is decided again), it is the same refund to the provider."""
    before = sum(refund.reason == reason for refund in change.state.refunds_of(attempt))
    return str(hashed_id("refund", change.context.key, str(attempt.number), attempt.reference, reason, str(before)))


def _request(change: PaymentChange, refund: Refund) -> None:
    payment, attempt = change.state, change.state.attempt(refund.attempt)
    refund = with_whole(payment, refund)
    if attempt and made_by_hand(payment, attempt, refund.amount, change.context.at):
        _ask_staff(change, attempt, refund)
        return
    change.update_refund(refund)
    call = RefundCharge if refund.tries == 1 else RetryRefund
    change.request(
        call(
            provider=payment.provider_of(attempt),
            order=change.context.key,
            store=payment.store,
            refund=refund.id,
            charge=attempt.reference if attempt else "",
            amount=refund.amount,
            currency=payment.currency,
            reason=refund.reason,
            unconfirmed=bool(attempt and attempt.settled_by),
            tries=refund.tries,
        )
    )


def made_by_hand(payment: Payment, attempt: ChargeAttempt, amount: int, at: datetime) -> bool:
    """The provider's API cannot refund so much of it, or no longer, or in another currency: staff do."""
    until = payment.refundable_until(attempt)
    return (
        bool(attempt.other_currency)
        or not payment.capabilities_of(attempt).refunds(amount, attempt.captured)
        or (until is not None and at > until)
    )


def _ask_staff(change: PaymentChange, attempt: ChargeAttempt, refund: Refund) -> None:
    payment = change.state
    where = payment.capabilities_of(attempt).dashboard or attempt.method.replace("_", " ") or "another way"
    told_before = refund.by_hand
    change.update_refund(refund, by_hand=True)
    if not told_before:
        change.publish(
            PaymentRefundNeeded(
                refund=refund.id,
                attempt=attempt.number_in_checkout,
                amount=refund.amount,
                currency=payment.currency,
                text=f"Refund it by hand ({where}), then confirm it: `orderbus settle refund`.",
            )
        )
