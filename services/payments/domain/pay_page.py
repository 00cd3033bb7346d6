"""What an order's pay page shows, and whether the customer can pay there."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.payments.domain.page import Page
from services.payments.domain.payment import AttemptStatus, ChargeAttempt, Payment, payments
from shared.contracts.checkout import OrderPaymentActionRequired, OrderPaymentDeclined, OrderPaymentReminder
from shared.contracts.pay_page import PaymentRetryRequested, RetryPayment
from shared.core import Context, Decision, Refused
from shared.core.fast_dataclasses import replace
from shared.core.fast_enums import StrEnum

Told = OrderPaymentActionRequired | OrderPaymentDeclined | OrderPaymentReminder
ANSWERED_WITHIN = timedelta(minutes=1)
"""Checkout answers a decline, or a request to pay again, within milliseconds. Where it did not within this time, the
customer is asked again."""


class Situation(StrEnum):
    """How an order stands, for who opens its pay page."""

    OPEN = "open"
    """It can be paid."""
    CONFIRM = "confirm"
    """The bank asks the customer to confirm the payment; another card can be used instead."""
    UNDER_WAY = "under_way"
    COOL_DOWN = "cool_down"
    """Too many payments were declined: later it can be paid again."""
    NO_TRY_LEFT = "no_try_left"
    PAID = "paid"
    OTHER_AMOUNT = "other_amount"
    """Another amount than the order's was captured: it does not count as paid, and is not paid again."""
    REFUNDED = "refunded"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DECLINED = "declined"
    """By the store, which approves orders."""


ENDED = {"expired": Situation.EXPIRED, "declined": Situation.DECLINED, "given": Situation.PAID}
"""By how the order was closed; otherwise it was cancelled."""
PAYABLE = (Situation.OPEN, Situation.CONFIRM)
_REFUSALS = {
    Situation.UNDER_WAY: Refused("payment_under_way", "A payment is in progress. Wait for its result."),
    Situation.COOL_DOWN: Refused("too_many_attempts", "Too many payments were declined. Try again later."),
    Situation.NO_TRY_LEFT: Refused("too_many_attempts", "No further try is left. Contact the store."),
}


@payments.on(OrderPaymentActionRequired, OrderPaymentDeclined, OrderPaymentReminder)
def told(payment: Payment, fact: Told, context: Context) -> Decision[Payment]:
    """A checkout of an older build tells nothing: there is no page then."""
    if fact.page is None:
        return Decision(payment)
    page = replace(payment.page or Page(fact.page), told=fact.page)
    if isinstance(fact, OrderPaymentDeclined):
        page = replace(page, declined=fact.attempt, reason=fact.code)
    elif isinstance(fact, OrderPaymentActionRequired):
        page = replace(page, bank=fact.url, confirming=fact.page.attempts)
    return Decision(replace(payment, page=page))


@payments.on(RetryPayment)
def retried(payment: Payment, command: RetryPayment, context: Context) -> Decision[Payment] | Refused:
    """Two requests after the same attempt are one: the second is refused, and checkout would not hear it either."""
    now = situation(payment, context.at)
    if payment.page is None or now not in PAYABLE:
        return _REFUSALS.get(now, Refused("not_payable", "There is nothing to pay."))
    if command.provider not in payment.page.told.providers:
        return Refused("provider_not_offered", "The store does not offer this way of paying.")
    latest = _latest(payment)
    if latest is None or command.attempt != latest.number:
        return Refused("payment_under_way", "Another payment was made meanwhile.")
    page = replace(payment.page, asked=latest.number, asked_at=context.at)
    retry = PaymentRetryRequested(
        attempt=latest.number,
        provider=command.provider,
        payment_method=command.payment_method,
        return_url=command.return_url,
    )
    return Decision(replace(payment, page=page), events=[retry])


def situation(payment: Payment, at: datetime) -> Situation:
    if payment.closed_as:
        return ENDED.get(payment.closed_as, Situation.CANCELLED)
    if paid := payment.paying_attempt:
        if payment.order_is_refunded:
            return Situation.REFUNDED
        return Situation.PAID if paid.captured == paid.amount else Situation.OTHER_AMOUNT
    latest = _latest(payment)
    if latest and _may_be_charged(latest):
        return Situation.UNDER_WAY
    if payment.closing or payment.page is None or payment.page.told.until <= at:
        return Situation.EXPIRED
    return _unpaid(payment, payment.page, at)


def _may_be_charged(attempt: ChargeAttempt) -> bool:
    """How it ends is not known, nor can the customer end it: it may still pay the order, after the time to pay, too."""
    return attempt.is_charging or attempt.status is AttemptStatus.CANCELLING


def _unpaid(payment: Payment, page: Page, at: datetime) -> Situation:
    latest = _latest(payment)
    if latest is None or payment.waiting or _is_under_way(payment, page, latest, at):
        return Situation.UNDER_WAY
    if latest.status is AttemptStatus.ACTION_REQUIRED and bank_page(payment):
        return Situation.CONFIRM
    if not tries_left(payment):
        return Situation.NO_TRY_LEFT
    cools_down = page.told.retry_after is not None and page.told.retry_after > at
    return Situation.COOL_DOWN if cools_down else Situation.OPEN


def tries_left(payment: Payment) -> int:
    """How often the customer can still pay: what checkout told, without the attempts since."""
    page, latest = payment.page, _latest(payment)
    if page is None or (page.told.retry_after and page.told.retry_after >= page.told.until):
        return 0
    since = latest.number - page.told.attempts if latest else 0
    return max(page.told.tries_left - since, 0)


def bank_page(payment: Payment) -> str:
    """Where the customer confirms the attempt that waits for it; empty: nowhere."""
    page, latest = payment.page, _latest(payment)
    if page is None or latest is None or latest.status is not AttemptStatus.ACTION_REQUIRED:
        return ""
    return page.bank if page.confirming == latest.number and not payment.is_by_hand(latest) else ""


def waits_by_hand(payment: Payment) -> bool:
    """The store waits for a transfer or cash."""
    latest = _latest(payment)
    waits = latest is not None and latest.status is AttemptStatus.ACTION_REQUIRED
    return waits and payment.is_by_hand(latest)


def decline_reason(payment: Payment) -> str:
    """Why the latest attempt was declined (`DeclineReason`); empty where it was not."""
    page, latest = payment.page, _latest(payment)
    if page is None or latest is None or latest.status is not AttemptStatus.DECLINED:
        return ""
    return page.reason if page.declined == latest.number else ""


def latest_attempt(payment: Payment) -> int:
    latest = _latest(payment)
    return latest.number if latest else 0


def _latest(payment: Payment) -> ChargeAttempt | None:
    return max(payment.requested_attempts, key=lambda attempt: attempt.number, default=None)


def _is_under_way(payment: Payment, page: Page, latest: ChargeAttempt, at: datetime) -> bool:
    if page.asked >= latest.number and page.asked_at and at < page.asked_at + ANSWERED_WITHIN:
        return True
    unanswered = payment.updated_at is not None and at < payment.updated_at + ANSWERED_WITHIN
    untold = latest.status is AttemptStatus.DECLINED and page.declined != latest.number
    to_be_told = latest.status is AttemptStatus.ACTION_REQUIRED and not payment.is_by_hand(latest)
    return unanswered and (untold or (to_be_told and page.confirming != latest.number))
