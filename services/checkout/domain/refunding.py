"""Money that went back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from services.checkout.domain.decisions import changed, on_fact, too_late
from services.checkout.domain.delivering import progressed
from services.checkout.domain.order import Line, Order, moved
from services.checkout.domain.timeline import Note, money
from shared.contracts.checkout import OrderRefunded
from shared.contracts.payments import PaymentRefunded, RefundedLine, RefundFailed
from shared.contracts.values import OrderStatus, PaymentStatus
from shared.shell.core import Context, Decision


@on_fact(PaymentRefunded)
def refunded(order: Order, message: PaymentRefunded, context: Context) -> Decision[Order]:
    """A refund of the order, or only of a surplus that was never the order's."""
    detail = {
        "refund": message.refund,
        "transaction": message.transaction,
        "reason": message.reason,
        "items": [line.model_dump() for line in message.items],
    }
    note = Note(message.type, f"{money(message.amount, message.currency)} refunded.", detail)
    total = _refunded_of_order(order, message)
    if total <= order.refunded:
        return too_late(order, context, note)
    whole = total == order.paid
    status = PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED
    lines = tuple(_with_refund(line, message, whole=whole) for line in order.lines)
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
    after = replace(order, refunded=total, payment_status=status, lines=lines)
    if whole and after.may_become(OrderStatus.REFUNDED):
        after = moved(after, OrderStatus.REFUNDED, context.at, message="All money went back.")
        return changed(after, context, [note], [event])
    return progressed(after, context, note, [event])


def _refunded_of_order(order: Order, message: PaymentRefunded) -> int:
    """What of the order's own amount has gone back. A second capture that payments undoes is in both sums."""
    left = max(message.captured - message.refunded, 0)
    return order.paid - min(order.paid, left)


def _with_refund(line: Line, message: PaymentRefunded, *, whole: bool) -> Line:
    if whole:
        return replace(line, refunded=line.item.purchased, refunded_whole=True, instructions=None)
    part = _parts(message.items).get(line.item.item)
    if part is None:
        return line
    amount = line.item.purchased if part.whole else min(line.refunded + part.amount, line.item.purchased)
    gone = line.refunded_whole or part.whole
    return replace(line, refunded=amount, refunded_whole=gone, instructions=None if gone else line.instructions)


def _parts(items: tuple[RefundedLine, ...]) -> Mapping[str, RefundedLine]:
    return {part.item: part for part in items}


@on_fact(RefundFailed)
def refund_failed(order: Order, message: RefundFailed, context: Context) -> Decision[Order]:
    text = f"A refund of {money(message.amount, order.currency)} failed: {message.text}"
    note = Note(message.type, text[:2000], {"refund": message.refund, "code": message.code})
    return changed(replace(order, message=note.text), context, [note])
