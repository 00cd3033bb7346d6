"""The payment of an order: the attempts that checkout requests, and their results as payments reports them."""

from __future__ import annotations

from datetime import datetime

from services.checkout.domain import submission
from services.checkout.domain.card_check import CardCheck
from services.checkout.domain.card_verification import other_card
from services.checkout.domain.change import OrderChange
from services.checkout.domain.completion import end_closing, end_completion
from services.checkout.domain.delivery import staff_first
from services.checkout.domain.money_message import CHECKED, OTHER_AMOUNT, end_check, end_refund_message
from services.checkout.domain.order import ChargeState, Order, PaymentOverdue, orders, required
from services.checkout.domain.pay_page import page_of
from services.checkout.domain.payment_failure import fail_payment
from services.checkout.domain.reminders import cancel_reminders, remind_from
from services.checkout.domain.timeline import LONGEST_TEXT, card_name, money
from services.checkout.domain.tries import NO_TRY_LEFT, cool_down, too_many_attempts, tries_left
from shared.contracts.checkout import (
    OrderPaid,
    OrderPaymentActionRequired,
    OrderPaymentDeclined,
    OrderPaymentRequested,
    OrderStrayCharge,
)
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentCancelled,
    PaymentCaptured,
    PaymentDeclined,
    PaymentSettled,
    PaymentStrayCharge,
    PaymentUnresolved,
)
from shared.contracts.providers import MANUAL, limit_problems
from shared.contracts.storefront import CheckoutPaymentRetried
from shared.contracts.values import VOID, Card, OrderStatus, PaymentStatus
from shared.core import Context, Decision, Refused

PENDING = OrderStatus.PENDING_PAYMENT
UNDER_WAY = (PENDING, OrderStatus.ACCEPTED)
"""A charge can be under way: the first of an accepted order, or one of an order that waits for payment."""
CAPTURE_COUNTS = VOID | {*UNDER_WAY}
AMOUNT_NOT_TAKEN = "The payment provider does not take the amount."


# Attempts


@orders.on(CheckoutPaymentRetried)
def retried(order: Order, command: CheckoutPaymentRetried, context: Context) -> Decision[Order] | Refused:
    if order.status is OrderStatus.RECEIVED:
        return other_card(order, command, context)
    if refused := not_payable(order, context.at):
        return refused
    problems = list(submission.payment_problems(command.payment, order, required=True))
    if not problems:
        provider = submission.provider_of(command.payment, order.payment_providers)
        problems += limit_problems(provider, "payment.provider", order.purchased, order.currency)
    if problems:
        return submission.invalid(problems)
    change = OrderChange(order, context)
    change.set(choice=command.payment)
    request_payment(change)
    return change.decision()


def not_payable(order: Order, at: datetime) -> Refused | None:
    if why := _nothing_to_pay(order, at):
        return Refused("not_payable", f"There is nothing to pay: {why}")
    if not order.reserved:
        return Refused("not_reserved", "Stock is not reserved yet. Try again shortly.")
    if order.charge in (ChargeState.IN_PROGRESS, ChargeState.UNRESOLVED):
        return Refused("payment_under_way", "A payment is in progress. Wait for its result.")
    return too_many_attempts(order, at)


def _nothing_to_pay(order: Order, at: datetime) -> str:
    """Why; empty: there is something."""
    if order.status is not PENDING and not order.payment_failed:
        return f"the order is {order.status_in_words}."
    if order.completion:
        return "the store is completing the order."
    if order.is_closing or order.is_overdue(at):
        return "the time to pay is over."
    return "a payment of another amount has arrived. Contact the store." if order.other_amount else ""


def takes_kept_card(order: Order) -> bool:
    """The verified card is kept for one charge: the first. The customer makes further ones."""
    return order.attempts == 0 and order.card_check is CardCheck.VERIFIED


def request_payment(change: OrderChange, return_url: str = "") -> int:
    """Request the next attempt, by the customer's choice, which is not kept. Its number. `return_url`: where the
    customer comes back to from the bank, if that is not the order's page."""
    order, attempt = change.state, change.state.attempts + 1
    provider = submission.provider_of(order.choice, order.payment_providers)
    method = (order.choice.method if order.choice else None) or submission.methods_of(provider, order)[0]
    by_hand = provider == MANUAL
    kept = takes_kept_card(order) and not by_hand
    change.set(
        attempts=attempt,
        closing=0,
        retry_after=None,
        charge=ChargeState.ACTION_REQUIRED if by_hand else ChargeState.IN_PROGRESS,
        choice=None,
        payment_status=PaymentStatus.PENDING,
        pay_url=order.page(change.context.key) if by_hand else None,
        message=f"Waits for the payment: {method.replace('_', ' ')}." if by_hand else None,
    )
    change.publish(
        OrderPaymentRequested(
            attempt=attempt,
            number=order.number,
            store=order.store.id,
            amount=order.purchased,
            currency=order.currency,
            items=tuple(line.item for line in order.lines),
            customer_email=required(order.customer, "customer").email,
            return_url=return_url or order.page(change.context.key),
            payment_method=(order.choice.payment_method or None) if order.choice else None,
            token=(order.choice.token or None) if order.choice else None,
            statement_descriptor=order.statement_descriptor,
            requested_at=change.context.at,
            until=order.deadline or change.context.at + order.grace,
            provider=provider,
            method=method,
            kept_card=kept or None,
        )
    )
    return attempt


# Results


@orders.on(PaymentCaptured)
def captured(order: Order, fact: PaymentCaptured, context: Context) -> Decision[Order]:
    """Paid, whichever attempt it was. Payments refunds what is captured after the order's end, or a second time."""
    change = OrderChange(order, context)
    amount, card = money(fact.amount, fact.currency), card_name(fact.card)
    text = f"{amount} captured{f' with {card}' if card else ''}."
    detail = fact.model_dump(mode="json", exclude={"card"}) | {"card": card}
    end_check(change)
    if order.elsewhere and fact.provider == MANUAL and fact.attempt == order.attempts:
        change.set(in_ledger=True)
        change.note(fact.type, f"{amount} paid elsewhere entered in the ledger.", **detail)
        return change.decision()
    if order.paid or not (order.status in CAPTURE_COUNTS or order.payment_failed):
        change.received(fact.type, text, **detail)
        return change.without_effect("it is paid already" if order.paid else "")
    in_full = (fact.amount, fact.currency) == (order.purchased, order.currency)
    if not in_full:
        text = f"{amount}{OTHER_AMOUNT}{money(order.purchased, order.currency)}."
        change.set(message=text, other_amount=fact.amount)
    elif order.status in VOID:
        text = f"{text} The order is {order.status_in_words}: the payment will be refunded."
        change.set(paid=order.purchased, payment_status=PaymentStatus.PAID, charge=ChargeState.NONE, paid_at=context.at)
    if not in_full or order.status in VOID:
        change.note(fact.type, text, **detail)
    if not in_full:
        open_to_pay(change)
    if in_full and (order.status in UNDER_WAY or order.payment_failed):
        complete_payment(change, fact.card)
        end_completion(change)
    elif order.is_closing:
        change.set(charge=ChargeState.NONE)
        end_closing(change)
    elif change.state.status is PENDING:  # it ends with the time to pay, or staff complete it
        change.set(charge=ChargeState.NONE, pay_url=None)
    return change.decision()


def complete_payment(change: OrderChange, card: Card | None = None) -> None:
    order = change.state
    change.move_to(OrderStatus.PROCESSING, staff_first(order))
    change.set(
        paid=order.purchased, payment_status=PaymentStatus.PAID, charge=ChargeState.NONE, paid_at=change.context.at
    )
    change.publish(OrderPaid(amount=order.purchased, currency=order.currency, card=card))
    change.cancel_timer(PaymentOverdue)
    cancel_reminders(change)


def open_to_pay(change: OrderChange) -> None:
    """An accepted order that could not be charged while the customer is away waits for the customer to pay."""
    order = change.state
    if order.status is not OrderStatus.ACCEPTED:
        return
    until = change.context.at + order.grace
    change.move_to(PENDING, order.message)
    change.set(deadline=until, payable_since=change.context.at)
    change.timer(until, PaymentOverdue())
    remind_from(change, change.context.at)


@orders.on(PaymentDeclined)
def declined(order: Order, fact: PaymentDeclined, context: Context) -> Decision[Order]:
    """The customer can pay again, within the grace period from the first decline."""
    change, awaited = OrderChange(order, context), _awaited(order, fact.attempt)
    over = order.is_closing or (order.declined_at and order.is_overdue(context.at))
    if awaited:
        change.set(charge=ChargeState.NONE, payment_status=PaymentStatus.FAILED)
    if awaited and not over:
        open_to_pay(change)
        _ask_to_pay_again(change, fact)
    if not awaited:
        text = f"Payment attempt {fact.attempt} declined: {fact.text}"
        change.received(fact.type, text, attempt=fact.attempt, code=fact.code)
        end_check(change)
        return change.without_effect(_why_not_awaited(order))
    if over:
        end_closing(change)
    elif not tries_left(change.state):
        fail_payment(change)
    return change.decision()


def _ask_to_pay_again(change: OrderChange, fact: PaymentDeclined) -> None:
    order, at = change.state, change.context.at
    declines, first = order.declines + 1, order.declined_at or at
    wait, url, until = cool_down(order.payment_cool_down, declines), order.page(change.context.key), first + order.grace
    change.set(
        declines=declines,
        declined_at=first,
        retry_after=at + wait if wait else None,
        deadline=until,
    )
    if order.declined_at is None:
        change.timer(until, PaymentOverdue())
        remind_from(change, first)
    left = tries_left(change.state)
    message = fact.text if left else f"{fact.text[:LONGEST_TEXT]} {NO_TRY_LEFT}.".strip()
    change.set(pay_url=url if left else None, message=message or None)
    change.publish(
        OrderPaymentDeclined(
            attempt=fact.attempt,
            code=fact.reason or "card_declined",
            text=fact.text,
            url=url,
            until=until,
            tries_left=left,
            retry_after=change.state.retry_after if left else None,
            page=page_of(change.state, change.context.key),
        )
    )


@orders.on(PaymentActionRequired)
def action_required(order: Order, fact: PaymentActionRequired, context: Context) -> Decision[Order]:
    change, text = OrderChange(order, context), "The customer must confirm the payment with the bank."
    change.received(fact.type, text, attempt=fact.attempt)
    if not _awaited(order, fact.attempt):
        return change.without_effect(_why_not_awaited(order))
    if order.is_closing:
        return change.without_effect("staff complete it" if order.completion else "the time to pay is over")
    open_to_pay(change)
    change.set(charge=ChargeState.ACTION_REQUIRED, pay_url=fact.url, message=text)
    page = page_of(change.state, context.key)
    change.publish(OrderPaymentActionRequired(url=fact.url, until=page.until, page=page))
    return change.decision()


@orders.on(PaymentUnresolved)
def unresolved(order: Order, fact: PaymentUnresolved, context: Context) -> Decision[Order]:
    change = OrderChange(order, context)
    change.set(message=CHECKED)
    if _awaited(order, fact.attempt):
        change.set(charge=ChargeState.UNRESOLVED, pay_url=None)
    return change.decision()


@orders.on(PaymentStrayCharge)
def stray_charge(order: Order, fact: PaymentStrayCharge, context: Context) -> Decision[Order]:
    """It pays nothing."""
    change = OrderChange(order, context)
    change.publish(OrderStrayCharge(amount=fact.amount, currency=fact.currency, transaction=fact.transaction))
    return change.decision()


@orders.on(PaymentSettled)
def settled(order: Order, fact: PaymentSettled, context: Context) -> Decision[Order]:
    """What follows from it is reported by a fact of its own."""
    change = OrderChange(order, context)
    if fact.refund:
        end_refund_message(change)
    end_check(change)
    return change.decision()


@orders.on(PaymentCancelled)
def attempt_cancelled(order: Order, fact: PaymentCancelled, context: Context) -> Decision[Order]:
    change = OrderChange(order, context)
    if not _awaited(order, fact.attempt):
        end_check(change)
        return change.decision()
    open_to_pay(change)
    change.set(charge=ChargeState.NONE)
    if order.is_closing:
        end_closing(change)
    elif fact.code and len(order.payment_providers) == 1:
        change.set(message=fact.text)
        fail_payment(change, AMOUNT_NOT_TAKEN)
    elif tries_left(order):
        change.set(pay_url=order.page(context.key), message=fact.text)
    else:
        change.set(message=f"{NO_TRY_LEFT}.")
        fail_payment(change)
    return change.decision()


def _awaited(order: Order, attempt: int) -> bool:
    """The order waits for the result of this attempt."""
    return order.status in UNDER_WAY and order.charge is not ChargeState.NONE and order.attempts == attempt


def _why_not_awaited(order: Order) -> str:
    """Empty: because of the order's status."""
    if order.status not in UNDER_WAY:
        return ""
    return "no payment is in progress" if order.charge is ChargeState.NONE else "another attempt is in progress"
