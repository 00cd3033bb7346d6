"""Refunds: what can be requested, and what is refunded automatically."""

from __future__ import annotations

from typing import get_args

from services.payments.domain.capabilities import CAPABILITIES
from services.payments.domain.change import PaymentChange
from services.payments.domain.operations import RefundCharge
from services.payments.domain.payment import ChargeAttempt, Payment, Refund, Share, payments
from shared.contracts.payments import RefundLine, RefundPayment, RefundReason
from shared.core import Context, Decision, Problem, Refused, hashed_id
from shared.core.money import Money, allocate

REASONS: tuple[str, ...] = get_args(RefundReason)

# What can be requested


@payments.begins(RefundPayment)
def refund_requested(payment: Payment | None, command: RefundPayment, context: Context) -> Decision[Payment] | Refused:
    if payment is None or payment.paying_attempt is None:
        return Refused("not_paid", "There is no captured payment to refund.")
    if command.reason not in REASONS:
        return Refused(
            "unknown_reason", f"The `reason` of a refund is one of {', '.join(REASONS)}; the rest is its `note`."
        )
    if payment.refundable == 0:
        return Refused("already_refunded", "The payment is fully refunded, or its refunds are in progress.")
    shares: tuple[Share, ...] = ()
    amount = payment.refundable if command.amount is None else command.amount
    if command.items:
        requested = _requested_shares(payment, command)
        if isinstance(requested, Refused):
            return requested
        shares, amount = requested, sum(share.amount for share in requested)
    if refused := _not_possible(payment, payment.paying_attempt, amount):
        return refused
    if amount == payment.refundable and not command.items:
        shares = _shares_of_all(payment)
    change = PaymentChange(payment, context)
    id = str(context.named_id("refund"))
    _refund(change, payment.paying_attempt, amount, shares, command.reason, command.note, id)
    return change.decision()


def _not_possible(payment: Payment, paid: ChargeAttempt, amount: int) -> Refused | None:
    provider = payment.provider_of(paid)
    can = CAPABILITIES[provider]
    if amount == 0:
        return Refused("nothing_to_refund", "Specify an amount above zero.")
    if amount % payment.step and amount != payment.refundable:
        return Refused("amount_off_step", f"Refunds in {payment.currency} are {_multiples(payment)}.")
    if amount > payment.refundable:
        return Refused("too_much", f"At most {Money(payment.refundable, payment.currency)} can still be refunded.")
    if not (can.full_refunds if amount == paid.captured else can.partial_refunds):
        where = f" Make it at {can.dashboard}." if can.dashboard else ""
        return Refused("provider_cannot", f"The API of {provider} cannot make this refund.{where}")
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
    if problems:
        return Refused(problems[0].code, " ".join(problem.text for problem in problems), problems)
    return tuple(share for share in shares if share.amount)


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


def _shares_of_all(payment: Payment) -> tuple[Share, ...]:
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
        _refund(change, payment.paying_attempt, payment.refundable, _shares_of_all(payment), reason, "")


def refund_surplus(change: PaymentChange, attempt: ChargeAttempt) -> None:
    """Refund the whole of a second capture for the same order."""
    _refund(change, attempt, attempt.captured, (), "duplicate", "A second charge for the same order.")


def _automatic_id(change: PaymentChange, attempt: ChargeAttempt, reason: str) -> str:
    """The id of an automatic refund, from what is refunded and why. Whichever message leads to it (a callback the first
    time, an answer when it is decided again), it is the same refund to the provider."""
    before = sum(refund.reason == reason for refund in change.state.refunds_of(attempt))
    return str(hashed_id("refund", change.context.key, str(attempt.number), attempt.reference, reason, str(before)))


def _refund(
    change: PaymentChange,
    attempt: ChargeAttempt,
    amount: int,
    shares: tuple[Share, ...],
    reason: str,
    note: str,
    id: str = "",
) -> None:
    payment = change.state
    refund = Refund(
        id=id or _automatic_id(change, attempt, reason),
        attempt=attempt.number,
        amount=amount,
        at=change.context.at,
        shares=shares,
        reason=reason,
        note=note,
    )
    change.update_refund(refund)
    change.request(
        RefundCharge(
            provider=payment.provider_of(attempt),
            order=change.context.key,
            store=payment.store,
            refund=refund.id,
            charge=attempt.reference,
            amount=amount,
            currency=payment.currency,
            reason=reason,
            unconfirmed=bool(attempt.settled_by),
        )
    )
