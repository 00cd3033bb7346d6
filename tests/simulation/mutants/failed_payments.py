"""Mutants about orders whose payment has failed: reopened, or given up when their time is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.checkout.domain import payment, payment_failure
from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import FailedPaymentOverdue, Order, PaymentOverdue, orders
from shared.contracts.checkout import OrderExpired
from shared.contracts.order_work import ReopenOrder
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision, Refused
from shared.core.fast_dataclasses import replace
from tests.simulation.mutants.catalogue import handlers_around, instead, mutant


@mutant("reopening an order gives no further try")
def reopened_without_try() -> Iterator[None]:
    """It waits for payment again, and says that it cannot be paid."""

    def wrap(function: Any) -> Any:
        def reopened(order: Order, command: ReopenOrder, context: Context) -> Decision[Order] | Refused:
            decision: Decision[Order] | Refused = function(order, command, context)
            if isinstance(decision, Refused) or decision.state is None:
                return decision
            return replace(decision, state=replace(decision.state, payment_tries=order.payment_tries))

        return reopened

    with handlers_around([ReopenOrder], wrap, orders):
        yield


@mutant("the deadline of a failed payment is forgotten", seeds=range(41, 10_000))
def deadline_forgotten() -> Iterator[None]:
    """Its stock is held for ever."""

    def wrap(function: Any) -> Any:
        def overdue(order: Order, timer: FailedPaymentOverdue | PaymentOverdue, context: Context) -> Decision[Order]:
            if not order.payment_failed:
                decision: Decision[Order] = function(order, timer, context)
                return decision
            change = OrderChange(order, context)
            change.note("order.payment_overdue", "The time to pay is over.")
            return change.without_effect()

        return overdue

    with handlers_around([FailedPaymentOverdue, PaymentOverdue], wrap, orders):
        yield


@mutant("a failed payment gives its stock back at once")
def stock_released_at_once() -> Iterator[None]:
    real = payment_failure.fail_payment

    def fail_payment(change: OrderChange, why: str = "") -> None:
        real(change, why)
        change.publish(OrderExpired(was=OrderStatus.PENDING_PAYMENT))

    with instead(payment, "fail_payment", fail_payment):
        yield
