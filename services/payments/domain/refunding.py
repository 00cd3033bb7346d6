"""Giving money back: what may be asked, what is done automatically, and how refunds end."""

from __future__ import annotations

from services.payments.domain.operations import FindRefund, LookForRefund, RefundCharge, RefundReported
from services.payments.domain.payment import ChargeAttempt, Payment, Refund, RefundStatus, Share
from services.payments.domain.providers import PROVIDERS
from services.payments.domain.turn import Turn
from shared.contracts.payments import (
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentSettlementContradicted,
    PaymentSurplusRefunded,
    PaymentUnresolved,
    RefundedLine,
    RefundLine,
    RefundPayment,
)
from shared.core import Context, Core, Decision, Problem, Refused, hashed_id
from shared.core.money import Money, allocate

payments = Core(Payment)

SENT_BACK = "The bank sent the refund back; give the money back in another way."
NEVER_MADE = "The provider has no such refund; ask for it again."


# What may be asked


@payments.on_old(RefundPayment)
def refund_payment(payment: Payment | None, command: RefundPayment, context: Context) -> Decision[Payment] | Refused:
    if payment is None or payment.paid is None:
        return Refused("not_paid", "Nothing was paid that could be refunded.")
    if payment.left == 0:
        return Refused("already_refunded", "Everything is refunded already, or about to be.")
    shares: tuple[Share, ...] = ()
    amount = payment.left if command.amount is None else command.amount
    if command.items:
        asked = _shares_asked(payment, command)
        if isinstance(asked, Refused):
            return asked
        shares, amount = asked, sum(share.amount for share in asked)
    if refused := _not_possible(payment, amount):
        return refused
    if amount == payment.left and not command.items:
        shares = _shares_of_all(payment)
    turn = Turn(payment, context)
    asked_for = str(context.named_id("refund"))
    _refund(turn, payment.paid, amount, shares, command.reason, command.note, asked_for)
    return turn.decision()


def _not_possible(payment: Payment, amount: int) -> Refused | None:
    can = PROVIDERS[payment.provider]
    if amount == 0:
        return Refused("nothing_to_refund", "The amount is zero.")
    if amount > payment.left:
        return Refused("too_much", f"At most {Money(payment.left, payment.currency)} can still be refunded.")
    whole = payment.paid is not None and amount == payment.paid.captured
    if not (can.full_refunds if whole else can.partial_refunds):
        where = f" Do it at {can.dashboard}." if can.dashboard else ""
        return Refused("provider_cannot", f"{payment.provider} cannot make this refund by its API.{where}")
    return None


def _shares_asked(payment: Payment, command: RefundPayment) -> tuple[Share, ...] | Refused:
    """How much for each item; every problem at once."""
    if command.amount is not None:
        return Refused("ambiguous", "Say either an amount or items; an item can have its own amount.")
    left = {share.item: share.amount for share in payment.shares_left()}
    problems: list[Problem] = []
    shares: list[Share] = []
    for index, line in enumerate(command.items):
        if problem := _line_problem(payment, line, left):
            problems.append(problem.model_copy(update={"field": f"items.{index}"}))
            continue
        amount = left[line.item] if line.amount is None else line.amount
        left[line.item] -= amount
        shares.append(Share(line.item, amount))
    if problems:
        return Refused(problems[0].code, " ".join(problem.text for problem in problems), problems)
    return tuple(share for share in shares if share.amount)


def _line_problem(payment: Payment, line: RefundLine, left: dict[str, int]) -> Problem | None:
    if line.item not in left:
        return Problem(field="", code="unknown_item", text=f"The order has no item {line.item}.")
    if line.amount is not None and line.amount > left[line.item]:
        most = Money(left[line.item], payment.currency)
        text = f"At most {most} can still be refunded for item {line.item}."
        return Problem(field="", code="too_much_for_item", text=text)
    return None


def _shares_of_all(payment: Payment) -> tuple[Share, ...]:
    """Everything that is left, by item; earlier refunds for no item in particular reduce all in proportion."""
    items = [share for share in payment.shares_left() if share.amount]
    if sum(share.amount for share in items) <= payment.left:
        return tuple(items)
    parts = allocate(payment.left, [share.amount for share in items])
    return tuple(Share(share.item, part) for share, part in zip(items, parts, strict=True) if part)


# What is done automatically


def give_back(turn: Turn) -> None:
    """Refund whatever is left of a payment whose order was called off."""
    payment = turn.payment
    if payment.paid and payment.left:
        _refund(turn, payment.paid, payment.left, _shares_of_all(payment), f"order_{payment.closed}", "")


def give_back_surplus(turn: Turn, attempt: ChargeAttempt) -> None:
    """Refund the whole of a second capture for the same order."""
    _refund(turn, attempt, attempt.captured, (), "duplicate", "A second charge for the same order.")


def _own_id(turn: Turn, attempt: ChargeAttempt, reason: str) -> str:
    """The id of a refund that nobody asked for, from what is given back and why. Whichever message brings it about (a
    callback the first time, an answer when it is decided again), it is the same refund to the provider."""
    before = sum(refund.attempt == attempt.number and refund.reason == reason for refund in turn.payment.refunds)
    return str(hashed_id("refund", turn.context.key, str(attempt.number), attempt.reference, reason, str(before)))


def _refund(
    turn: Turn, attempt: ChargeAttempt, amount: int, shares: tuple[Share, ...], reason: str, note: str, id: str = ""
) -> None:
    payment = turn.payment
    refund = Refund(
        id=id or _own_id(turn, attempt, reason),
        attempt=attempt.number,
        amount=amount,
        at=turn.context.at,
        shares=shares,
        reason=reason,
        note=note,
    )
    turn.put_refund(refund)
    turn.want(
        RefundCharge(
            provider=payment.provider,
            order=turn.context.key,
            store=payment.store,
            refund=refund.id,
            charge=attempt.reference,
            amount=amount,
            currency=payment.currency,
            reason=reason,
            unconfirmed=bool(attempt.settled_by),
        )
    )


def drop_requests(turn: Turn, attempt: ChargeAttempt) -> None:
    """The payment is not the one that a person had named: what was asked of that one, and not made, fails."""
    for refund in turn.payment.refunds:
        if refund.attempt == attempt.number and refund.is_pending and not refund.reference:
            _failed(turn, refund, "other_payment", f"It was asked of {attempt.reference}; ask for it again.")


# How refunds end


@payments.on_old(RefundCharge.Done)
def refund_answered(payment: Payment | None, outcome: RefundCharge.Done, context: Context) -> Decision[Payment]:
    assert isinstance(context.operation, RefundCharge)
    said = RefundReported(context.operation.refund, outcome.reference, outcome.status, outcome.code)
    return heard(payment, said, context)


@payments.on_old(RefundCharge.Failed)
def refund_refused(payment: Payment | None, outcome: RefundCharge.Failed, context: Context) -> Decision[Payment]:
    assert payment is not None and isinstance(context.operation, RefundCharge)
    refund = payment.refund(context.operation.refund)
    if refund is None or not refund.is_pending or refund.reference:
        return Decision(payment)  # a callback knew better
    turn = Turn(payment, context)
    _failed(turn, refund, outcome.code, outcome.text)
    return turn.decision()


@payments.on_old(RefundCharge.Unresolved)
def refund_unresolved(payment: Payment | None, outcome: RefundCharge.Unresolved, context: Context) -> Decision[Payment]:
    assert payment is not None and isinstance(context.operation, RefundCharge)
    refund = payment.refund(context.operation.refund)
    if refund is None or refund.status is not RefundStatus.PENDING or refund.reference:
        return Decision(payment)
    turn = Turn(payment, context)
    turn.put_refund(refund, status=RefundStatus.UNRESOLVED, text=outcome.text)
    turn.tell(PaymentUnresolved(attempt=refund.attempt, text=f"Refund {refund.id}: {outcome.text}"[:2000]))
    _look_later(turn, refund, tries=1)
    return turn.decision()


def _look_later(turn: Turn, refund: Refund, tries: int) -> None:
    turn.look_later(LookForRefund(refund.id, tries), f"look_for_refund_{refund.id}", tries)


@payments.on_old(LookForRefund)
def look_for_refund(payment: Payment | None, due: LookForRefund, context: Context) -> Decision[Payment]:
    refund = payment.refund(due.refund) if payment else None
    if payment is None or refund is None or not _looked_for(refund):
        return Decision(payment)
    turn = Turn(payment, context)
    look_for(turn, refund, due.tries)
    return turn.decision()


def look_for(turn: Turn, refund: Refund, tries: int = 1) -> None:
    attempt = turn.payment.attempt(refund.attempt)
    if attempt is not None:
        turn.want(FindRefund(turn.payment.provider, turn.context.key, refund.id, attempt.reference, tries))


@payments.on_old(FindRefund.Done)
def refund_found(payment: Payment | None, outcome: FindRefund.Done, context: Context) -> Decision[Payment]:
    assert isinstance(context.operation, FindRefund)
    said = RefundReported(context.operation.refund, outcome.reference, outcome.status, outcome.code)
    return heard(payment, said, context, tries=context.operation.tries + 1)


@payments.on_old(FindRefund.Failed, FindRefund.Unresolved)
def refund_not_found_out(payment: Payment | None, outcome: object, context: Context) -> Decision[Payment]:
    assert isinstance(context.operation, FindRefund)
    refund = payment.refund(context.operation.refund) if payment else None
    if payment is None or refund is None or not _looked_for(refund):
        return Decision(payment)
    turn = Turn(payment, context)
    _look_later(turn, refund, context.operation.tries + 1)
    return turn.decision()


@payments.on_old(RefundReported)
def refund_reported(payment: Payment | None, said: RefundReported, context: Context) -> Decision[Payment]:
    return heard(payment, said, context)


def heard(payment: Payment | None, said: RefundReported, context: Context, tries: int = 1) -> Decision[Payment]:
    """The provider told how a refund stands. Whatever is known already changes nothing. `tries`: which look it is at a
    refund that was made, and cannot be entered yet."""
    refund = payment.refund(said.refund) if payment else None
    if payment is None or refund is None or _is_old_news(refund, said):
        return Decision(payment)
    turn = Turn(payment, context)
    if refund.status is RefundStatus.FAILED and said.status == "failed":
        turn.put_refund(refund, reference=said.reference, settled_by="")
        return turn.decision()
    if refund.amount > _free(payment, refund):
        if tries == 1:
            text = f"Refund {refund.id} was made after all ({said.reference}), but its money is spoken for again."
            turn.tell(PaymentUnresolved(attempt=refund.attempt, text=text))
        _look_later(turn, refund, tries)
        return turn.decision()
    if refund.settled_by:
        refund = _compared(turn, refund, said)
    if said.status == "succeeded":
        if refund.status is not RefundStatus.DONE:
            _done(turn, refund, said.reference)
    elif said.status == "pending":
        turn.put_refund(refund, status=RefundStatus.PENDING, reference=said.reference)
    else:
        if refund.status is RefundStatus.DONE:
            turn.move("refund_returned", refund.amount, said.reference)
        text = SENT_BACK if said.reference else NEVER_MADE
        _failed(turn, refund, said.code or "failed", text, said.reference)
    return turn.decision()


def settle_refund(turn: Turn, refund: Refund, reference: str, text: str) -> None:
    """A person tells how an unresolved refund ended: done as `reference`, or (empty) not done."""
    refund = turn.put_refund(refund, settled_by=turn.context.actor)
    if reference:
        _done(turn, refund, reference)
    else:
        _failed(turn, refund, "not_refunded", text)


def _is_old_news(refund: Refund, said: RefundReported) -> bool:
    """At the provider `failed` is the last word. What only our own call reported as failed may still turn out done."""
    match refund.status:
        case RefundStatus.FAILED:
            return bool(refund.reference) or said.status == "pending" or not said.reference
        case RefundStatus.DONE if refund.settled_by:
            return said.status == "pending" or not said.reference
        case RefundStatus.DONE:
            return said.status != "failed"
        case _:
            return said.status == "pending" and bool(refund.reference)


def _free(payment: Payment, refund: Refund) -> int:
    """What may be entered for a refund. The money of one that was thought failed may be spoken for again: then one
    that came later will turn out failed, and until it has, this one is looked at again."""
    if refund.status is not RefundStatus.FAILED or payment.paid is None or refund.attempt != payment.paid.number:
        return refund.amount
    return payment.left


def _looked_for(refund: Refund) -> bool:
    return refund.status is RefundStatus.UNRESOLVED or (refund.status is RefundStatus.FAILED and not refund.reference)


def _compared(turn: Turn, refund: Refund, said: RefundReported) -> Refund:
    """What a person had said of the refund, against what the provider says. A refund that went back under another
    reference is corrected at once."""
    if refund.status is RefundStatus.DONE and (said.status, said.reference) == ("succeeded", refund.reference):
        return turn.put_refund(refund, settled_by="")
    text = f"Settled as {refund.status} by {refund.settled_by}; the provider reports {said.reference} as {said.status}."
    turn.tell(PaymentSettlementContradicted(attempt=refund.attempt, refund=refund.id, text=text))
    if refund.status is RefundStatus.DONE and said.reference != refund.reference:
        turn.move("correction", refund.amount, refund.reference)
        turn.move("refund", -refund.amount, said.reference)
    return turn.put_refund(refund, reference=said.reference if refund.reference else "", settled_by="")


def _done(turn: Turn, refund: Refund, reference: str) -> None:
    before = turn.payment
    shares = _shares_that_fit(before, refund)
    refund = turn.put_refund(refund, status=RefundStatus.DONE, reference=reference, shares=shares, code="", text="")
    turn.move("refund", -refund.amount, reference)
    payment = turn.payment
    if payment.paid is None or refund.attempt != payment.paid.number:
        turn.tell(
            PaymentSurplusRefunded(
                refund=refund.id,
                attempt=refund.attempt,
                amount=refund.amount,
                currency=payment.currency,
                transaction=reference,
            )
        )
        return
    turn.tell(
        PaymentRefunded(
            refund=refund.id,
            amount=refund.amount,
            currency=payment.currency,
            captured=payment.paid.captured,
            refunded=payment.paid_back,
            items=_lines(before, payment, refund),
            reason=refund.reason,
            transaction=reference,
        )
    )


def _shares_that_fit(payment: Payment, refund: Refund) -> tuple[Share, ...]:
    """One that was thought failed may be for items that were refunded again since: then it is for none of them."""
    left = {share.item: share.amount for share in payment.shares_left()}
    late = refund.status is RefundStatus.FAILED
    return () if late and any(share.amount > left[share.item] for share in refund.shares) else refund.shares


def _failed(turn: Turn, refund: Refund, code: str, text: str, reference: str = "") -> None:
    turn.put_refund(refund, status=RefundStatus.FAILED, code=code, text=text, reference=reference)
    turn.tell(PaymentRefundFailed(refund=refund.id, amount=refund.amount, code=code, text=text))


def _lines(before: Payment, after: Payment, refund: Refund) -> tuple[RefundedLine, ...]:
    """The items of this refund, and those that became wholly refunded by it."""
    was, now = _whole_items(before), _whole_items(after)
    amounts = {share.item: share.amount for share in refund.shares}
    return tuple(
        RefundedLine(item=item.item, amount=amounts.get(item.item, 0), whole=item.item in now)
        for item in after.items
        if item.item in amounts or item.item in now - was
    )


def _whole_items(payment: Payment) -> set[str]:
    if payment.paid and payment.paid_back >= payment.paid.captured:
        return {item.item for item in payment.items}
    refunded = payment.shares_refunded()
    return {item.item for item in payment.items if 0 < item.amount <= refunded[item.item]}
