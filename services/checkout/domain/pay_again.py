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


@orders.on(PaymentRetryRequested)
def retry_requested(order: Order, retry: PaymentRetryRequested, context: Context) -> Decision[Order]:
    """Two requests after the same attempt are one."""
    change = OrderChange(order, context)
    text = f"The customer wants to pay again after attempt {retry.attempt}, on the pay page."
    if why := _why_not(order, retry, context.at):
        change.note(retry.type, text, attempt=retry.attempt)
        return change.without_effect(why)
    change.set(choice=_choice(retry))
    attempt = request_payment(change, retry.return_url)
    change.note(retry.type, f"The customer retried the payment on the pay page (attempt {attempt}).", attempt=attempt)
    return change.decision()


def _choice(retry: PaymentRetryRequested) -> PaymentChoice:
    return PaymentChoice(provider=retry.provider, payment_method=retry.payment_method)


def _why_not(order: Order, retry: PaymentRetryRequested, at: datetime) -> str:
    """Empty where the attempt can be requested. In the middle of a sentence."""
    if order.status is not OrderStatus.PENDING_PAYMENT:
        return f"the order is {order.status_in_words}"
    if refused := not_payable(order, at):
        return refused.text[:1].lower() + refused.text[1:].rstrip(".")
    if retry.attempt != order.attempts:
        return "another attempt was requested since"
    problems = list(submission.payment_problems(_choice(retry), order, required=True))
    problems = problems or list(limit_problems(retry.provider, "payment.provider", order.purchased, order.currency))
    return " ".join(problem.text for problem in problems).rstrip(".")
