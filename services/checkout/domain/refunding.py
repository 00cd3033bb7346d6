"""Money that went back."""

from __future__ import annotations

from services.checkout.domain.decisions import changed, noted, on_fact, too_late
from services.checkout.domain.delivering import progressed
from services.checkout.domain.order import Line, Order, Refund, moved
from services.checkout.domain.timeline import Note, money
from shared.contracts.checkout import OrderRefunded, OrderRefundFailed
from shared.contracts.payments import PaymentRefunded, PaymentRefundFailed, PaymentSurplusRefunded, RefundedLine
from shared.contracts.values import OrderStatus, PaymentStatus
from shared.core import Context, Decision
from shared.core.fast_dataclasses import replace


@on_fact(PaymentRefunded)
def refunded(order: Order, message: PaymentRefunded, context: Context) -> Decision[Order]:
    detail = {
        "refund": message.refund,
        "transaction": message.transaction,
        "reason": message.reason,
        "items": [line.model_dump() for line in message.items],
    }
    note = Note(message.type, f"{money(message.amount, message.currency)} refunded.", detail)
    total = order.paid - min(order.paid, max(message.captured - message.refunded, 0))
    if total <= order.refunded:
        return too_late(order, context, note)
    whole = total == order.paid
    after = _counted(order, message, total, whole=whole)
    taken = tuple(line.item for line in message.items if line.whole and order.line(line.item))
    event = OrderRefunded(
        refund=message.refund,
        amount=message.amount,
        currency=message.currency,
        refunded=total,
        whole=whole,
        items=tuple(line.item.item for line in order.lines) if whole else taken,
        reason=message.reason,
    )
    if whole and after.may_become(OrderStatus.REFUNDED):
        after = moved(after, OrderStatus.REFUNDED, context.at, message="All money went back.")
        return changed(after, context, [note], [event])
    return progressed(after, context, note, [event])


def _counted(order: Order, message: PaymentRefunded, total: int, *, whole: bool) -> Order:
    parts = {part.item: part for part in message.items}
    lines = tuple(_with_refund(line, parts.get(line.item.item), whole=whole) for line in order.lines)
    shares = {
        after.item.item: after.refunded - before.refunded
        for before, after in zip(order.lines, lines, strict=True)
        if after.refunded > before.refunded
    }
    refund = Refund(message.refund, total - order.refunded, shares)
    status = PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED
    return replace(order, refunded=total, payment_status=status, lines=lines, refunds=(*order.refunds, refund))


def _with_refund(line: Line, part: RefundedLine | None, *, whole: bool) -> Line:
    if whole or (part and part.whole):
        return replace(line, refunded=line.item.purchased, refunded_whole=True, instructions=None)
    if part is None:
        return line
    return replace(line, refunded=min(line.refunded + part.amount, line.item.purchased))


@on_fact(PaymentSurplusRefunded)
def surplus_refunded(order: Order, message: PaymentSurplusRefunded, context: Context) -> Decision[Order]:
    text = f"A second charge of {money(message.amount, message.currency)} was given back."
    detail = {"refund": message.refund, "attempt": message.attempt, "transaction": message.transaction}
    return noted(order, context, Note(message.type, text, detail))


@on_fact(PaymentRefundFailed)
def refund_failed(order: Order, message: PaymentRefundFailed, context: Context) -> Decision[Order]:
    """Also of a refund that was done: the customer's bank may send it back days later. What followed from it (the
    order's end, the access that was taken back) stays for a person to decide; the sums are right again."""
    failed = f"A refund of {money(message.amount, order.currency)} failed"
    note = Note(message.type, f"{failed}: {message.text}"[:2000], {"refund": message.refund, "code": message.code})
    undone = next((refund for refund in order.refunds if refund.id == message.refund), None)
    after = _without(order, undone) if undone else order
    event = OrderRefundFailed(
        refund=message.refund,
        amount=message.amount,
        currency=order.currency,
        refunded=after.refunded,
        code=message.code,
        text=message.text,
    )
    return changed(replace(after, message=f"{failed}."), context, [note], [event])


def _without(order: Order, undone: Refund) -> Order:
    left = order.refunded - undone.amount
    return replace(
        order,
        refunded=left,
        refunds=tuple(refund for refund in order.refunds if refund is not undone),
        payment_status=PaymentStatus.PARTIALLY_REFUNDED if left else PaymentStatus.PAID,
        lines=tuple(_given_back(line, undone.shares.get(line.item.item, 0)) for line in order.lines),
    )


def _given_back(line: Line, amount: int) -> Line:
    return replace(line, refunded=line.refunded - amount, refunded_whole=False) if amount else line
