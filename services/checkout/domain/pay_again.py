"""The customer's request to pay again on the pay page, or to have another card verified, as payments tells it."""

from __future__ import annotations

from datetime import datetime

from services.checkout.domain import submission
from services.checkout.domain.card_verification import RECEIVED, request_verification, takes_no_card
from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import Order, orders
from services.checkout.domain.payment import not_payable, request_payment
from shared.contracts.pay_page import PaymentRetryRequested
from shared.contracts.providers import limit_problems
from shared.contracts.storefront import PaymentChoice
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision

_REASONS = {
    "not_payable": "the time to pay is over",
    "not_reserved": "its stock is not reserved yet",
    "payment_under_way": "a payment is in progress",
    "too_many_attempts": "there were too many attempts",
}
"""By the code with which a retry in the shop is refused."""


@orders.on(PaymentRetryRequested)
def retry_requested(order: Order, retry: PaymentRetryRequested, context: Context) -> Decision[Order]:
    """Two requests after the same attempt are one."""
    if retry.verification is not None:
        return _card_given(order, retry, retry.verification, context)
    change = OrderChange(order, context)
    text = f"The customer wants to pay again after attempt {retry.attempt}, on the pay page."
    why = _why_not(order, retry, context.at)
    if why is not None:
        change.received(retry.type, text, attempt=retry.attempt)
        return change.without_effect(why)
    change.set(choice=_choice(retry))
    request_payment(change, retry.return_url)
    return change.decision()


def _card_given(order: Order, retry: PaymentRetryRequested, after: int, context: Context) -> Decision[Order]:
    """Another card is verified; nothing is charged. Two requests after the same verification are one."""
    change = OrderChange(order, context)
    why = _why_no_card(order, retry, after, context.at)
    if why is not None:
        text = f"The customer gives another card after verification {after}, on the pay page."
        change.received(retry.type, text, verification=after)
        return change.without_effect(why)
    change.set(choice=_choice(retry))
    request_verification(change, retry.return_url)
    return change.decision()


def _why_no_card(order: Order, retry: PaymentRetryRequested, after: int, at: datetime) -> str | None:
    """In the middle of a sentence; empty: because of the order's status. None: the card can be verified."""
    if order.status is not RECEIVED:
        return ""
    if after != order.verifications:
        return "another card was given since"
    if refused := takes_no_card(order, at):
        return "no other card is awaited" if refused.code == "not_payable" else _REASONS[refused.code]
    problems = list(submission.payment_problems(_choice(retry), order, required=True))
    return "the store does not offer this way of paying" if problems else None


def _choice(retry: PaymentRetryRequested) -> PaymentChoice:
    return PaymentChoice(provider=retry.provider, payment_method=retry.payment_method)


def _why_not(order: Order, retry: PaymentRetryRequested, at: datetime) -> str | None:
    """In the middle of a sentence; empty: because of the order's status. None: the attempt can be requested."""
    if refused := not_payable(order, at):
        return "" if order.status is not OrderStatus.PENDING_PAYMENT else _REASONS[refused.code]
    if retry.attempt != order.attempts:
        return "another attempt was requested since"
    problems = [
        *submission.payment_problems(_choice(retry), order, required=True),
        *limit_problems(retry.provider, "payment.provider", order.purchased, order.currency),
    ]
    return "the store does not offer this way of paying" if problems else None
