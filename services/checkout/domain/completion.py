"""Orders that staff complete by hand.

    paid                 completed at once; deliveries in progress continue
    not paid             it was paid elsewhere, or is given: completed, once nothing is open at the provider
    completed already    its failed actions run again
    refunded             what was refunded is restored

No card is charged after it. What is open is cancelled first (`order.payment_closing`); a charge that comes through
meanwhile pays the order, and nothing is recorded as paid elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.checkout.domain.change import OrderChange
from services.checkout.domain.delivery import hand_over
from services.checkout.domain.expiry import COMPLETING, NOT_PAID, ask_payments, expire
from services.checkout.domain.order import ChargeState, Extra, Line, Order, PaymentOverdue, orders
from services.checkout.domain.order_records import Completion
from services.checkout.domain.payment_status import after_refunds
from services.checkout.domain.reminders import cancel_reminders
from services.checkout.domain.status import CLOSED
from services.checkout.domain.timeline import LONGEST_TEXT, money
from shared.contracts.checkout import CompleteOrder, OrderCompleted, OrderPaid
from shared.contracts.delivery_work import StartDelivery
from shared.contracts.fulfillment import RetryDelivery
from shared.contracts.order_work import OrderPaidElsewhere
from shared.contracts.values import OrderStatus, PaymentStatus
from shared.core import Context, Decision, Problem, Refused
from shared.core.fast_dataclasses import replace

S = OrderStatus


@orders.on(CompleteOrder)
def completed(order: Order, command: CompleteOrder, context: Context) -> Decision[Order] | Refused:
    if refused := _refusal(order, command):
        return refused
    change = OrderChange(order, context)
    if order.is_unpaid:
        _begin(change, command)
        return change.decision()
    failed = _failed(order)
    again = order.status is S.COMPLETED
    if order.completed_at is not None:
        text = "Its failed actions run again." if again and failed else "Completed manually."
        change.note(command.type, text, note=command.note)
    if command.restore_refunded:
        _restore(change)
    if order.status is not S.COMPLETED:
        _complete(change, context.actor, command.note)
    if failed and (again or command.latest_configuration):
        items = tuple(part.item.item if isinstance(part, Line) else part.id for part in failed)
        change.send(context.key, RetryDelivery(items=items, latest=command.latest_configuration))
    change.set(updated_at=context.at)
    return change.decision()


# What is refused


def _refusal(order: Order, command: CompleteOrder) -> Refused | None:
    """Where the order can be completed: every option that does not apply, at once."""
    if why := _not_completable(order, command):
        return Refused("not_completable", why)
    if order.completion:
        return Refused("under_way", f"It is being completed already. {COMPLETING}")
    problems = [*_payment_problems(order, command), *_option_problems(order, command)]
    if problems:
        return Refused(problems[0].code, " ".join(problem.text for problem in problems), problems)
    if order.is_unpaid and not order.reserved:
        return Refused("not_reserved", "Stock is not reserved yet. Try again shortly.")
    if order.status is S.COMPLETED and not command.restore_refunded and not _failed(order):
        return Refused("not_completable", "The order is completed already, and none of its actions has failed.")
    return None


def _not_completable(order: Order, command: CompleteOrder) -> str:
    """Empty: it can be, as far as its status says."""
    match order.status:
        case S.CREATED:
            return "The checkout was only opened: nothing is ordered yet."
        case S.RECEIVED:
            return "The request waits for its approval: accept it first."
        case S.REFUNDED if not command.restore_refunded:
            return "The order is refunded. It can be completed again with `restore_refunded`."
        case status if status in CLOSED - {S.REFUNDED}:
            return f"The order is {order.status_in_words} and can no longer be completed."
    return ""


def _payment_problems(order: Order, command: CompleteOrder) -> Iterator[Problem]:
    if not order.is_unpaid:
        for name in ("paid", "given"):
            if getattr(command, name):
                yield Problem(field=name, code="already_paid", text="Leave it out: the order is paid already.")
        return
    if command.paid and command.given:
        yield Problem(field="given", code="ambiguous", text="Say that it was paid elsewhere or is given, not both.")
    if not command.paid and not command.given:
        text = "The order is not paid. Say how it was paid elsewhere (`paid`), or that it is given (`given`)."
        yield Problem(field="paid", code="how_paid", text=text)
    if command.paid and command.paid.amount not in (None, order.purchased):
        due, given = money(order.purchased, order.currency), money(command.paid.amount or 0, order.currency)
        text = f"The amount does not match: {due} is due, {given} was given."
        yield Problem(field="paid.amount", code="wrong_amount", text=text)


def _option_problems(order: Order, command: CompleteOrder) -> Iterator[Problem]:
    if command.restore_refunded and not order.refunded:
        yield Problem(field="restore_refunded", code="nothing_refunded", text="Nothing of the order is refunded.")
    if command.latest_configuration and not _failed(order):
        text = "None of its actions has failed."
        yield Problem(field="latest_configuration", code="nothing_failed", text=text)


def _failed(order: Order) -> list[Line | Extra]:
    return [part for part in order.parts if part.has_failed]


# Not paid


def _begin(change: OrderChange, command: CompleteOrder) -> None:
    order = change.state
    change.set(completion=Completion(command.note, change.context.actor, command.paid))
    if order.charge is ChargeState.NONE:
        _finish(change)
        return
    change.note(command.type, COMPLETING, note=command.note)
    if not order.is_closing:
        ask_payments(change, COMPLETING)


def end_closing(change: OrderChange) -> None:
    """What was open at the provider has ended, and paid nothing: the order is completed or expires."""
    if change.state.completion:
        _finish(change)
    else:
        expire(change, NOT_PAID)


def end_completion(change: OrderChange) -> None:
    """The payment came through while staff completed the order: it is the order's, and nothing else is recorded."""
    if completion := change.before.completion:
        text = "Completed manually. The payment with the provider came through: nothing was recorded besides."
        change.note(CompleteOrder.type, text, actor=completion.actor)
        _complete(change, completion.actor, completion.note)


def _finish(change: OrderChange) -> None:
    order, at, completion = change.state, change.context.at, change.state.completion
    if completion is None:
        return
    paid = completion.paid and completion.paid.model_copy(update={"amount": order.purchased})
    attempt, amount = order.attempts + 1, order.purchased if paid else 0
    change.set(
        attempts=attempt,
        charge=ChargeState.NONE,
        elsewhere=paid,
        given=paid is None,
        paid=amount,
        payment_status=PaymentStatus.PAID,
        paid_at=at,
    )
    change.publish(
        OrderPaidElsewhere(
            attempt=attempt,
            number=order.number,
            store=order.store.id,
            amount=amount,
            currency=order.currency,
            items=tuple(line.item for line in order.lines),
            method=paid.method if paid else None,
            reference=paid.reference if paid else "",
            note=completion.note,
            by=completion.actor,
            given=paid is None,
        )
    )
    change.move_to(S.PROCESSING)
    change.publish(OrderPaid(amount=amount, currency=order.currency))
    change.cancel_timer(PaymentOverdue)
    cancel_reminders(change)
    _complete(change, completion.actor, completion.note)


# Paid


def _complete(change: OrderChange, by: str, note: str) -> None:
    """Whatever is left to deliver. What waits to be started begins; deliveries in progress continue."""
    order = change.state
    if order.to_start:
        change.send(change.context.key, StartDelivery(reason="Completed by hand."))
    change.move_to(S.COMPLETED, order.message if order.status is S.REFUNDED else None)
    hand_over(change)
    if order.completed_at is None:
        change.publish(OrderCompleted(by_hand=True, by=by or None, note=note or None))


# Restored


def _restore(change: OrderChange) -> None:
    """Payments knows nothing of it: where the money really went, it says as before."""
    order = change.state
    kept = order.refunds
    change.set(
        refunded=0,
        refunds=(),
        restored=(*order.restored, *kept),
        lines=tuple(replace(line, refunded=0, refunded_whole=False, access_left=False) for line in order.lines),
    )
    change.set(payment_status=after_refunds(change.state))
    elsewhere = sum(refund.amount for refund in kept if refund.recorded)
    ways = f", {money(elsewhere, order.currency)} of it in another way than by the provider" if elsewhere else ""
    text = (
        f"{money(order.refunded, order.currency)} went back to the customer{ways}. It is no longer counted as refunded."
    )
    if ended := [line.title for line in order.lines if line.has_ended and not line.item.is_delivery_charge]:
        text = f"{text} Not delivered again: {', '.join(ended)}."[:LONGEST_TEXT]
    change.set(message=text)
    change.note("order.restored", text, refunds=[refund.id for refund in kept])
