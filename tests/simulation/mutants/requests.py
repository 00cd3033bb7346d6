"""Mutants of made-to-order stores: approval, verification of the card, and the time to pay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.checkout.domain import payment
from services.checkout.domain.card_check import CardCheck
from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import Order, orders
from services.payments.domain import card_verification
from services.payments.domain.change import PaymentChange
from shared.contracts.approval import AcceptOrder
from shared.contracts.payments import PaymentDeclined
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision, Refused
from shared.core.fast_dataclasses import replace
from tests.simulation.mutants.catalogue import handlers_around, instead, mutant


@mutant("an approval is charged twice")
def approval_charged_twice() -> Iterator[None]:
    def wrap(function: Any) -> Any:
        def accepted(order: Order, command: AcceptOrder, context: Context) -> Decision[Order] | Refused:
            if order.status not in (OrderStatus.ACCEPTED, OrderStatus.PENDING_PAYMENT):
                result: Decision[Order] | Refused = function(order, command, context)
                return result
            change = OrderChange(order, context)
            change.note(command.type, "Accepted.")
            payment.request_payment(change)
            return change.decision()

        return accepted

    def takes_kept_card(order: Order) -> bool:
        return order.card_check is CardCheck.VERIFIED

    with handlers_around([AcceptOrder], wrap, orders), instead(payment, "takes_kept_card", takes_kept_card):
        yield


@mutant("what a verification holds is never released")
def never_released() -> Iterator[None]:
    with instead(card_verification, "_release", lambda change, verification: None):
        yield


@mutant("a kept card is never forgotten")
def never_forgotten() -> Iterator[None]:
    with instead(PaymentChange, "_forget_cards", lambda self: None):
        yield


@mutant("the deadline of a request is set by its last decline", slow=True)
def deadline_by_last_decline() -> Iterator[None]:
    def wrap(function: Any) -> Any:
        def declined(order: Order, fact: PaymentDeclined, context: Context) -> Decision[Order]:
            known = replace(order, declined_at=None) if order.payable_since else order
            decision: Decision[Order] = function(known, fact, context)
            return replace(decision, state=order) if decision.state is known else decision

        return declined

    with handlers_around([PaymentDeclined], wrap, orders):
        yield
