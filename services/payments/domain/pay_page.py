"""What an order's pay page shows, and whether the customer can pay there."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.payments.domain.card_verification import cancel_verification
from services.payments.domain.change import PaymentChange
from services.payments.domain.page import Page
from services.payments.domain.payment import AttemptStatus, ChargeAttempt, Payment, payments
from services.payments.domain.verification import Verification, VerificationStatus
from shared.contracts.approval import OrderApprovalRequested, OrderCardNeeded
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
    CARD = "card"
    """No card is verified yet: another one can be given. Nothing is charged before the store has accepted the order."""
    CARD_CONFIRM = "card_confirm"
    """The bank asks the customer to confirm the card; another one can be given instead."""
    CARD_UNDER_WAY = "card_under_way"
    CARD_NO_TRY_LEFT = "card_no_try_left"
    CARD_VERIFIED = "card_verified"
    """The store decides whether it accepts the order."""
    RECEIVED = "received"
    """The same, of an order that is paid by hand once it is accepted: no card is awaited."""


ENDED = {"expired": Situation.EXPIRED, "declined": Situation.DECLINED, "given": Situation.PAID}
"""By how the order was closed; otherwise it was cancelled."""
PAYABLE = (Situation.OPEN, Situation.CONFIRM)
TAKES_CARD = (Situation.CARD, Situation.CARD_CONFIRM)
_REFUSALS = {
    Situation.UNDER_WAY: Refused("payment_under_way", "A payment is in progress. Wait for its result."),
    Situation.COOL_DOWN: Refused("too_many_attempts", "Too many payments were declined. Try again later."),
    Situation.NO_TRY_LEFT: Refused("too_many_attempts", "No further try is left. Contact the store."),
    Situation.CARD_UNDER_WAY: Refused("payment_under_way", "A card is being verified. Wait for its result."),
    Situation.CARD_NO_TRY_LEFT: Refused("too_many_attempts", "No further try is left. Contact the store."),
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


@payments.on(OrderCardNeeded)
def told_of_card(payment: Payment, fact: OrderCardNeeded, context: Context) -> Decision[Payment]:
    """How the verification stands payments knows itself."""
    if fact.page is None:
        return Decision(payment)
    page = replace(payment.page or Page(fact.page), told=fact.page, verification=fact.verification, without_card=False)
    return Decision(replace(payment, page=page))


@payments.on(OrderApprovalRequested)
def decided_by_store(payment: Payment, fact: OrderApprovalRequested, context: Context) -> Decision[Payment]:
    """Without a verified card: the customer has chosen in the shop to pay by hand. A card that waits for the bank must
    not be confirmed any more."""
    latest = payment.verifications[-1] if payment.verifications else None
    if payment.page is None or latest is None or latest.status is VerificationStatus.VERIFIED:
        return Decision(payment)
    change = PaymentChange(payment, context)
    change.set(page=replace(payment.page, without_card=True))
    cancel_verification(change, latest)
    return change.decision()


@payments.on(RetryPayment)
def retried(payment: Payment, command: RetryPayment, context: Context) -> Decision[Payment] | Refused:
    """Two requests after the same attempt are one: the second is refused, and checkout would not hear it either."""
    now, gives_card = situation(payment, context.at), command.verification is not None
    if payment.page is None or now not in (TAKES_CARD if gives_card else PAYABLE):
        return _REFUSALS.get(now, Refused("not_payable", "There is nothing to pay."))
    if command.provider not in payment.page.told.providers:
        return Refused("provider_not_offered", "The store does not offer this way of paying.")
    if gives_card:
        return _card_given(payment, payment.page, command, context)
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


def _card_given(payment: Payment, page: Page, command: RetryPayment, context: Context) -> Decision[Payment] | Refused:
    """Two requests after the same verification are one."""
    latest = payment.verifications[-1]
    if command.verification != latest.number:
        return Refused("payment_under_way", "Another card was given meanwhile.")
    asked = replace(page, card_asked=latest.number, asked_at=context.at)
    retry = PaymentRetryRequested(
        attempt=command.attempt,
        provider=command.provider,
        payment_method=command.payment_method,
        return_url=command.return_url,
        verification=latest.number,
    )
    return Decision(replace(payment, page=asked), events=[retry])


def situation(payment: Payment, at: datetime) -> Situation:
    if payment.closed_as:
        return ENDED.get(payment.closed_as, Situation.CANCELLED)
    if paid := payment.paying_attempt:
        if payment.order_is_refunded:
            return Situation.REFUNDED
        return Situation.PAID if paid.captured == paid.amount else Situation.OTHER_AMOUNT
    latest, verification = _latest(payment), awaited_verification(payment)
    if latest and (_may_be_charged(latest) or _tells_of_card_only(payment, latest, at)):
        return Situation.UNDER_WAY
    undecided = verification or _decided_without_card(payment)
    if payment.closing or payment.page is None or (payment.page.told.until <= at and not undecided):
        return Situation.EXPIRED
    return _unverified(payment.page, verification, at) if verification else _unpaid(payment, payment.page, at)


def _decided_without_card(payment: Payment) -> bool:
    """The store has not decided yet."""
    return payment.page is not None and payment.page.without_card and not _is_to_be_charged(payment)


def awaited_verification(payment: Payment) -> Verification | None:
    """The latest, of an order that is not charged yet, and of which checkout told that its card is to be verified."""
    told = payment.page is not None and payment.page.verification and not payment.page.without_card
    awaited = told and payment.verifications and not _is_to_be_charged(payment)
    return payment.verifications[-1] if awaited else None


def _is_to_be_charged(payment: Payment) -> bool:
    """Checkout has asked for a charge."""
    return bool(payment.requested_attempts or payment.waiting)


def _unverified(page: Page, latest: Verification, at: datetime) -> Situation:
    """Once it is verified, there is no time to give a card."""
    if latest.status is VerificationStatus.VERIFIED:
        return Situation.CARD_VERIFIED
    if latest.status is VerificationStatus.VERIFYING:
        return Situation.CARD_UNDER_WAY
    if page.told.until <= at:  # checkout cancels the order at that time
        return Situation.CANCELLED
    if page.card_asked >= latest.number and page.asked_at and at < page.asked_at + ANSWERED_WITHIN:
        return Situation.CARD_UNDER_WAY
    if latest.status is VerificationStatus.ACTION_REQUIRED and latest.url:
        return Situation.CARD_CONFIRM
    return Situation.CARD if _cards_left(page, latest) else Situation.CARD_NO_TRY_LEFT


def _cards_left(page: Page, latest: Verification) -> int:
    return max(page.told.tries_left - (latest.number - page.verification), 0)


def _may_be_charged(attempt: ChargeAttempt) -> bool:
    """How it ends is not known, nor can the customer end it: it may still pay the order, after the time to pay, too."""
    return attempt.is_charging or attempt.status is AttemptStatus.CANCELLING


def _tells_of_card_only(payment: Payment, latest: ChargeAttempt, at: datetime) -> bool:
    """Checkout has told until when and how often a card could be given, and not yet of the charge since. Where the
    store waits for a transfer, nothing is told of it: the order can be paid by card for as long as that time lasts."""
    page = payment.page
    if page is None or payment.closing or not _is_of_card(page):
        return False
    return not payment.is_by_hand(latest) or page.told.until <= at


def _is_of_card(page: Page) -> bool:
    """What was told is till when and how often a card can be given, and nothing of a payment."""
    return page.verification > 0 and not page.told.attempts


def _unpaid(payment: Payment, page: Page, at: datetime) -> Situation:
    latest = _latest(payment)
    if _decided_without_card(payment):
        return Situation.RECEIVED
    if latest is None or payment.waiting or _is_under_way(payment, page, latest, at):
        return Situation.UNDER_WAY
    if latest.status is AttemptStatus.ACTION_REQUIRED and bank_page(payment):
        return Situation.CONFIRM
    if not tries_left(payment):
        return Situation.NO_TRY_LEFT
    cools_down = page.told.retry_after is not None and page.told.retry_after > at
    return Situation.COOL_DOWN if cools_down else Situation.OPEN


def tries_left(payment: Payment) -> int:
    """How often the customer can still pay, or give a card: what checkout told, without the attempts since."""
    page, latest = payment.page, _latest(payment)
    if page and (verification := awaited_verification(payment)):
        return _cards_left(page, verification)
    if page is None or (page.told.retry_after and page.told.retry_after >= page.told.until):
        return 0
    since = latest.number - page.told.attempts if latest and not _is_of_card(page) else 0
    return max(page.told.tries_left - since, 0)


def bank_page(payment: Payment) -> str:
    """Where the customer confirms the attempt, or the card, that waits for it; empty: nowhere."""
    if verification := awaited_verification(payment):
        return verification.url if verification.status is VerificationStatus.ACTION_REQUIRED else ""
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
    """Why the latest attempt, or card, was declined (`DeclineReason`); empty where it was not."""
    if verification := awaited_verification(payment):
        return verification.reason
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
