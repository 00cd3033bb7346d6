"""Refunds, as checkout records them."""

from __future__ import annotations

from collections.abc import Sequence

from services.checkout.domain.change import OrderChange
from services.checkout.domain.delivery import advance, hand_over
from services.checkout.domain.money_message import A_REFUND, end_refund_message
from services.checkout.domain.order import SENT, Line, Order, orders
from services.checkout.domain.order_records import Refund
from services.checkout.domain.payment_status import after_refunds
from services.checkout.domain.returned import end_return_refused
from services.checkout.domain.timeline import money
from shared.contracts.checkout import OrderRefunded, OrderRefundFailed
from shared.contracts.payments import PaymentRefunded, PaymentRefundFailed, PaymentSurplusRefunded, RefundedLine
from shared.contracts.providers import DEFAULT, step_of
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision
from shared.core.fast_dataclasses import replace
from shared.core.money import allocate


@orders.on(PaymentRefunded)
def refunded(order: Order, fact: PaymentRefunded, context: Context) -> Decision[Order]:
    change = OrderChange(order, context)
    how = " in another way than by the payment provider" if fact.recorded else ""
    change.received(fact.type, f"{money(fact.amount, fact.currency)} refunded{how}.", refund=fact.refund)
    end_return_refused(change)
    if order.elsewhere and not order.in_ledger:
        end_refund_message(change)
        return change.without_effect("it is of a charge that did not pay the order")
    total = _refunded_in_all(order, fact)
    if total <= order.refunded:
        end_refund_message(change)
        return change.without_effect("it is counted already" if order.paid else "nothing is paid")
    whole = total + order.restored_amount == order.paid
    if whole and order.restored:  # nothing is left of it: what was restored counts again
        change.set(
            refunds=(*order.restored, *order.refunds), refunded=order.refunded + order.restored_amount, restored=()
        )
        total = order.paid
    _add(change, fact, total, whole=whole)
    end_refund_message(change)
    closes = whole and order.may_become(OrderStatus.REFUNDED)
    if closes:
        hand_over(change)
    of_items = tuple(line.item for line in fact.items if line.whole and order.line(line.item))
    change.publish(
        OrderRefunded(
            refund=fact.refund,
            amount=fact.amount,
            currency=fact.currency,
            refunded=total,
            whole=whole,
            items=tuple(line.item.item for line in order.lines) if whole else of_items,
            reason=fact.reason,
            recorded=fact.recorded,
            remove_access=fact.remove_access,
            remove_offer_access=fact.remove_offer_access or (whole and fact.remove_access is None),
            restock=fact.restock,
        )
    )
    if closes:
        change.move_to(OrderStatus.REFUNDED, "Fully refunded.")
        return change.decision()
    return advance(change)


def _refunded_in_all(order: Order, fact: PaymentRefunded) -> int:
    """Of what was paid: all that is not left of what was captured, and at least what is of items. Where more was
    captured than the order's amount, a refund of no item in particular counts as of that first. What staff restored
    is not counted."""
    left = max(fact.captured - fact.refunded, 0) + order.restored_amount
    known = any(refund.id == fact.refund for refund in (*order.refunds, *order.restored))
    of_items = 0 if known else sum(line.amount for line in fact.items)
    return max(order.paid - min(order.paid, left), min(order.paid, order.refunded + of_items))


def _add(change: OrderChange, fact: PaymentRefunded, total: int, *, whole: bool) -> None:
    order, parts = change.state, {part.item: part for part in fact.items}
    lines = tuple(_with_refund(line, parts.get(line.item.item), fact, whole=whole) for line in order.lines)
    shares = {
        after.item.item: after.refunded - before.refunded
        for before, after in zip(order.lines, lines, strict=True)
        if after.refunded > before.refunded
    }
    change.set(
        refunded=total,
        lines=lines,
        refunds=(*order.refunds, Refund(fact.refund, total - order.refunded, shares, fact.recorded)),
    )
    change.set(payment_status=after_refunds(change.state))
    if fact.remove_offer_access or (whole and fact.remove_access is None):
        for extra in order.extras:
            change.set_part(extra, **SENT)


def _with_refund(line: Line, part: RefundedLine | None, fact: PaymentRefunded, *, whole: bool) -> Line:
    if not whole and not (part and part.whole):
        return replace(line, refunded=min(line.refunded + part.amount, line.item.purchased)) if part else line
    left = fact.remove_access is not None and line.item.item not in fact.remove_access
    if line.refunded_whole and not (part and part.whole):
        left = line.access_left  # an earlier refund has decided
    return replace(
        line,
        refunded=line.item.purchased,
        refunded_whole=True,
        access_left=left,
        **({} if left else SENT),
    )


@orders.on(PaymentSurplusRefunded)
def surplus_refunded(order: Order, fact: PaymentSurplusRefunded, context: Context) -> Decision[Order]:
    change = OrderChange(order, context)
    end_refund_message(change)
    return change.decision()


@orders.on(PaymentRefundFailed)
def refund_failed(order: Order, fact: PaymentRefundFailed, context: Context) -> Decision[Order]:
    """Also of a refund that was made: the customer's bank may return it days later. What followed from it (the order's
    end, revoked access) stays for staff to decide; the sums are corrected."""
    what = "was sent back by the bank" if fact.returned else "failed"
    change, text = OrderChange(order, context), f"{A_REFUND}of {money(fact.amount, order.currency)} {what}"
    returned = next((refund for refund in order.refunds if refund.id == fact.refund), None)
    if returned:
        _remove(change, returned)
    change.set(restored=tuple(refund for refund in order.restored if refund.id != fact.refund))
    end_return_refused(change)
    change.set(message=f"{text}.", failed_refunds=order.failed_refunds + fact.amount)
    change.publish(
        OrderRefundFailed(
            refund=fact.refund,
            amount=fact.amount,
            currency=order.currency,
            refunded=change.state.refunded,
            code=fact.code,
            text=fact.text,
            returned=fact.returned,
        )
    )
    return change.decision()


def _remove(change: OrderChange, returned: Refund) -> None:
    order, remaining = change.state, change.state.refunded - returned.amount
    lines = [_without_refund(line, returned.shares.get(line.item.item, 0)) for line in order.lines]
    change.set(
        refunded=remaining,
        refunds=tuple(refund for refund in order.refunds if refund is not returned),
        lines=_within(lines, remaining, order.currency),
    )
    change.set(payment_status=after_refunds(change.state))


def _within(lines: Sequence[Line], refunded: int, currency: str) -> tuple[Line, ...]:
    """A refund of everything counted for all lines what an earlier one was for none of: of that they share what is
    left."""
    parts = [line.refunded for line in lines]
    if sum(parts) <= refunded:
        return tuple(lines)
    left = allocate(refunded, parts, step_of(DEFAULT, currency))
    pairs = zip(lines, left, strict=True)
    return tuple(replace(line, refunded=part, refunded_whole=0 < part == line.item.purchased) for line, part in pairs)


def _without_refund(line: Line, amount: int) -> Line:
    """An earlier return may have cut the line's part already."""
    return replace(line, refunded=max(line.refunded - amount, 0), refunded_whole=False) if amount else line
