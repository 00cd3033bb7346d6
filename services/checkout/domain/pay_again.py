"""The customer's request to pay again on the pay page, as payments tells it."""

from __future__ import annotations

from datetime import datetime

from services.checkout.domain import submission
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
    change = OrderChange(order, context)
    text = f"The customer wants to pay again after attempt {retry.attempt}, on the pay page."
    why = _why_not(order, retry, context.at)
    if why is not None:
        change.note(retry.type, text, attempt=retry.attempt)
        return change.without_effect(why)
    change.set(choice=_choice(retry))
    attempt = request_payment(change, retry.return_url)
    change.note(retry.type, f"The customer retried the payment on the pay page (attempt {attempt}).", attempt=attempt)
    return change.decision()


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
