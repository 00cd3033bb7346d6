"""Why an order is where it is: what it waits for, and which commands would be accepted now. Each command is decided on
the core that decides it in earnest, and nothing of that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from services.checkout.domain.card_check import CardCheck
from services.checkout.domain.delivery import TO_START
from services.checkout.domain.order import ChargeState, Order, orders
from services.checkout.domain.status import TRANSITIONS
from shared.contracts.approval import AcceptOrder, DeclineOrder
from shared.contracts.checkout import CancelOrder, CompleteOrder
from shared.contracts.order_work import AnswerOrder, NoteOrder, ReopenOrder
from shared.contracts.values import DeliveryStatus
from shared.contracts.values import OrderStatus as S
from shared.core import Command
from shared.core.dry_run import possible
from shared.core.explanation import Explanation, Waits


def explanation(order: Order, key: str, at: datetime) -> Explanation:
    return Explanation(
        state=order.status.value,
        why=order.message or "",
        waits=[*_waits(order)],
        following=sorted(status.value for status in TRANSITIONS[order.status]),
        commands=[*possible(orders, order, _commands(order), key, at)],
    )


def _waits(order: Order) -> Iterator[Waits]:
    if order.asked:
        yield Waits("staff", f"Answer the customer, who asks the store to {order.asked.wants} the order.")
    match order.status:
        case S.CREATED:
            yield Waits("customer", "Submit the checkout.")
        case S.RECEIVED | S.PENDING_PAYMENT if not order.reserved:
            yield Waits("fulfillment", "Reserve its stock.")
        case S.RECEIVED:
            yield _approval(order)
        case S.PENDING_PAYMENT | S.ACCEPTED:
            yield _payment(order)
        case S.PROCESSING:
            yield from _delivery(order)
        case S.FAILED if order.payment_failed:
            yield Waits("staff", "Allow further tries to pay, cancel it, or complete it by hand.", order.deadline)
        case S.FAILED:
            yield from _delivery(order)
    if order.return_refused:
        yield Waits("staff", f"Refund it otherwise, for a refund was refused: {order.return_refused}")


def _approval(order: Order) -> Waits:
    if order.is_verified:
        return Waits("staff", "Accept or decline it.")
    if order.card_check in (CardCheck.DECLINED, CardCheck.ACTION_REQUIRED):
        return Waits("customer", "Confirm the card with the bank, or give another one.", _card_until(order))
    return Waits("payments", "Verify the card.", _card_until(order))


def _card_until(order: Order) -> datetime | None:
    return order.placed_at + order.grace if order.placed_at else None


def _payment(order: Order) -> Waits:
    if order.is_closing:
        return Waits("payments", "End the open payment attempt.")
    match order.charge:
        case ChargeState.IN_PROGRESS:
            return Waits("payments", f"Charge payment attempt {order.attempts}.", order.deadline)
        case ChargeState.UNRESOLVED:
            return Waits("payments", f"Find the outcome of payment attempt {order.attempts}.", order.deadline)
        case ChargeState.ACTION_REQUIRED:
            return Waits("customer", "Confirm the payment, or pay by hand.", order.deadline)
    if order.other_amount:
        return Waits("staff", "Refund what was paid, or complete it by hand: the amount was another.", order.deadline)
    return Waits("customer", "Pay.", order.deadline)


def _delivery(order: Order) -> Iterator[Waits]:
    if order.held:
        yield Waits("staff", f"Release it. Held for verification: {order.held}.")
    elif order.to_start:
        yield Waits("staff", TO_START)
    for part in order.parts:
        if part.has_failed or (part.delivery is DeliveryStatus.WAITING and not part.refunded_whole):
            yield Waits("staff", f"{part.title}: {part.trouble}")
        elif part.delivery is DeliveryStatus.PENDING and not part.refunded_whole and not (order.held or order.to_start):
            yield Waits("fulfillment", f"{part.title}: deliver it.")
    if order.complete_by_hand and all(part.is_finished for part in order.parts):
        yield Waits("staff", "Complete it: everything is delivered.")


def _commands(order: Order) -> Iterator[Command]:
    yield CancelOrder()
    yield CompleteOrder(given=order.is_unpaid)
    yield AcceptOrder()
    yield DeclineOrder()
    yield ReopenOrder()
    yield AnswerOrder(wants="refund" if order.asked and order.asked.wants == "refund" else "cancel", granted=False)
    yield NoteOrder(text="A note.")
