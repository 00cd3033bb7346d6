"""Orders that cannot be paid any more: failed at once, so that staff see them, and not only once their time is over.

    no try left, or the provider does not take the amount ──► failed ──► order.reopen ──► pending_payment
                                                                    ├──► cancelled, completed by hand
                                                                    └──► the time to pay is over ──► expired

Nothing of them is paid or delivered. Their stock is held until they end.
"""

from __future__ import annotations

from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import FailedPaymentOverdue, Order, PaymentOverdue, orders, required
from services.checkout.domain.pay_page import page_of
from services.checkout.domain.reminders import cancel_reminders, remind_from
from services.checkout.domain.timeline import counted
from services.checkout.domain.tries import MOST_TRIES
from shared.contracts.checkout import OrderFailed, OrderPaymentReminder
from shared.contracts.order_work import ReopenOrder
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision, Problem, Refused


def fail_payment(change: OrderChange, why: str = "") -> None:
    """The order's message says why, or, to staff, `why`. Its deadline stays."""
    message = change.state.message
    change.timer(required(change.state.deadline, "deadline"), FailedPaymentOverdue(), PaymentOverdue.__name__)
    change.move_to(OrderStatus.FAILED, message)
    change.publish(OrderFailed(reason=why or message or "", unpaid=True))
    cancel_reminders(change)


@orders.on(ReopenOrder)
def reopened(order: Order, command: ReopenOrder, context: Context) -> Decision[Order] | Refused:
    """The customer hears of it like of a reminder, and gets the whole grace period once more."""
    if refused := _refusal(order, command):
        return refused
    change, until, url = OrderChange(order, context), context.at + order.grace, order.page(context.key)
    change.move_to(OrderStatus.PENDING_PAYMENT)
    change.set(
        payment_tries=order.attempts + command.tries,
        declines=0,
        declined_at=None,
        retry_after=None,
        deadline=until,
        payable_since=context.at,
        pay_url=url,
    )
    change.timer(until, PaymentOverdue())
    remind_from(change, context.at)
    change.publish(
        OrderPaymentReminder(
            reminder=0,
            amount=order.purchased,
            currency=order.currency,
            url=url,
            until=until,
            declined=True,
            page=page_of(change.state, context.key),
        )
    )
    times = counted(command.tries, "time")
    text = f"The customer may try to pay {times} more."
    change.note(command.type, text, note=command.note, until=until)
    return change.decision()


def _refusal(order: Order, command: ReopenOrder) -> Refused | None:
    if not order.payment_failed:
        text = f"The payment of the order has not failed: the order is {order.status_in_words}."
        return Refused("payment_not_failed", text)
    if order.other_amount:
        text = "A payment of another amount has arrived. Refund it, or complete the order by hand."
        return Refused("other_amount", text)
    if not 1 <= command.tries <= MOST_TRIES:
        problem = Problem(field="tries", code="out_of_range", text=f"Must be between 1 and {MOST_TRIES}.")
        return Refused(problem.code, problem.text, [problem])
    return None
