"""The invariants of an order: checked by tests, the simulation and `orderbus check`."""

from __future__ import annotations

from collections.abc import Sequence

from services.checkout.domain.card_check import CardCheck
from services.checkout.domain.order import ChargeState, Line, Order
from services.checkout.domain.status import CLOSED, DELIVERABLE
from shared.contracts.providers import DEFAULT, step_of
from shared.contracts.values import VOID, DeliveryStatus, PaymentStatus
from shared.contracts.values import OrderStatus as S
from shared.core import NO_WORK, Decision, Event, Work


def broken(order: Order, *, at_rest: bool = False, work: Work = NO_WORK) -> list[str]:
    """The rules that one order breaks, as sentences. `at_rest`: no message about it is in progress, and what is under
    way is only `work`."""
    rules = _rules(order) | (_rules_at_rest(order, work) if at_rest else {})
    return [rule for rule, holds in rules.items() if not holds]


def is_silent(message: object, decision: Decision[Order]) -> bool:
    """Nothing tells that the message came: a fact is told by itself. docs/lifecycle.md has no such cell."""
    return not (isinstance(message, Event) or decision.records or decision.events or decision.timers)


def _rules(order: Order) -> dict[str, bool]:
    status, lines = order.status, order.lines
    return {
        "refunded ≤ paid ≤ purchased ≤ total": 0 <= order.refunded <= order.paid <= order.purchased <= order.total,
        "total = subtotal + tax, unless included": order.total
        == order.subtotal + (0 if order.prices_include_tax else order.tax),
        "purchased = total - discounts": order.purchased == order.total - sum(d.amount for d in order.discounts),
        "the taxes sum to the tax": order.tax == sum(tax.amount for tax in order.taxes),
        "the lines sum to the subtotal": order.subtotal == sum(line.item.line_total for line in lines),
        "the lines' parts sum to what is purchased": order.purchased == sum(line.item.purchased for line in lines),
        "the lines' taxes sum to the tax": _sum_to(order.tax, [line.item.tax for line in lines]),
        "the lines' discounts sum to the discount": _sum_to(order.discount, [line.item.discount for line in lines]),
        "each line is worth its own tax and discount": all(_is_worth_its_sums(line, order) for line in lines),
        "no line is refunded beyond its part": all(0 <= x.refunded <= x.item.purchased for x in lines),
        "the refunds sum to what is refunded": order.refunded == sum(refund.amount for refund in order.refunds),
        "an order is placed once submitted": (order.placed_at is not None) == bool(lines),
        "what is delivered is paid": status not in DELIVERABLE or order.paid_at is not None or order.payment_failed,
        "an unpaid order says nothing is paid": not order.is_unpaid or order.payment_status is not PaymentStatus.PAID,
        "an order that waits for payment has an end": (order.deadline is None)
        == (status is not S.PENDING_PAYMENT and not order.payment_failed),
        "of what cannot be paid no charge is open": not order.payment_failed or order.charge is ChargeState.NONE,
        "the deadline counts from the first decline": (
            order.deadline is None or order.declined_at is None or order.deadline == order.declined_at + order.grace
        ),
        "an accepted order's card is verified": status is not S.ACCEPTED or order.is_verified,
        "a closed order has its time": (order.closed_at is not None) == (status in CLOSED),
        "a charge is requested for reserved stock only": order.attempts == 0 or order.reserved,
        "a closed order keeps no way to pay": status not in CLOSED or (order.choice is None and order.pay_url is None),
        "a closed order keeps no instructions": status not in CLOSED or not any(part.unsent for part in order.parts),
    }


def _sum_to(whole: int, parts: Sequence[int | None]) -> bool:
    """Orders placed by earlier versions have no parts."""
    known = [part for part in parts if part is not None]
    return len(known) < len(parts) or sum(known) == whole


def _is_worth_its_sums(line: Line, order: Order) -> bool:
    """Up to the provider's step."""
    item = line.item
    if item.tax is None or item.discount is None:
        return True
    worth = item.line_total - item.discount + (0 if order.prices_include_tax else item.tax)
    return abs(item.purchased - worth) < step_of(DEFAULT, order.currency)


def _rules_at_rest(order: Order, work: Work) -> dict[str, bool]:
    """Each holds, or what it waits for is under way: its own timer, which takes days, is not that."""
    status = order.status
    money = work.of("payments") or work.is_parked("payments", "checkout")
    delivery = work.of("fulfillment") or work.is_parked("fulfillment", "checkout")
    pending = [line for line in order.lines if line.delivery is DeliveryStatus.PENDING and not line.refunded_whole]
    return {
        "no charge is in progress at rest": status not in (S.PENDING_PAYMENT, S.ACCEPTED)
        or order.charge is not ChargeState.IN_PROGRESS
        or money,
        "no card is being verified at rest": status is not S.RECEIVED
        or order.card_check is not CardCheck.IN_PROGRESS
        or money,
        "an accepted order is charged": status is not S.ACCEPTED or order.charge is not ChargeState.NONE,
        "stock is reserved or refused at rest": status not in (S.PENDING_PAYMENT, S.RECEIVED)
        or order.reserved
        or work.is_parked("fulfillment", "checkout"),
        "a cancelled or expired order is fully refunded": status not in VOID
        or order.paid - order.refunded <= order.failed_refunds
        or money,
        "no item of a paid order is forgotten": status is not S.PROCESSING
        or not pending
        or delivery
        or order.held is not None
        or order.to_start,
        "the customer was sent everything delivered": not any(part.unsent for part in order.parts) or delivery,
    }
