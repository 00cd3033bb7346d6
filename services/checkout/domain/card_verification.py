"""The card of an order that waits for approval: verified and kept for one charge, before staff see the order.

stock.reserved ──► order.verification_requested ──► payment.verified ──► order.approval_requested (to staff)
                                               └──► declined, or to be confirmed ──► order.card_needed
"""

from __future__ import annotations

from datetime import datetime

from services.checkout.domain import submission
from services.checkout.domain.cancellation import cancel
from services.checkout.domain.card_check import NONE, CardCheck
from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import ApprovalDue, Order, PaymentOverdue, orders, required
from services.checkout.domain.pay_page import page_of
from services.checkout.domain.timeline import card_name
from services.checkout.domain.tries import NO_TRY_LEFT
from shared.contracts.approval import OrderApprovalRequested, OrderCardNeeded, OrderVerificationRequested
from shared.contracts.card_verification import (
    PaymentVerificationActionRequired,
    PaymentVerificationDeclined,
    PaymentVerified,
)
from shared.contracts.providers import MANUAL
from shared.contracts.storefront import CheckoutPaymentRetried, PaymentChoice
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision, Refused

RECEIVED = OrderStatus.RECEIVED
WAITS = "Waits for the store's approval."
ENDED = "The card was not verified in time."


def request_verification(change: OrderChange, return_url: str = "") -> None:
    """Of the card that the customer chose. Its token is not kept. `return_url`: where the customer comes back to from
    the bank, if that is not the order's page."""
    order, number, choice = change.state, change.state.verifications + 1, change.state.choice or PaymentChoice()
    provider = submission.provider_of(choice, order.payment_providers)
    change.set(
        verifications=number,
        card_check=CardCheck.IN_PROGRESS,
        choice=PaymentChoice(provider=provider, method=choice.method),
        pay_url=None,
        message="The card is being verified.",
    )
    change.publish(
        OrderVerificationRequested(
            verification=number,
            number=order.number,
            store=order.store.id,
            amount=order.verification_amount,
            currency=order.currency,
            items=tuple(line.item for line in order.lines),
            customer_email=required(order.customer, "customer").email,
            return_url=return_url or order.page(change.context.key),
            requested_at=change.context.at,
            until=_until(order),
            payment_method=choice.payment_method or None,
            token=choice.token or None,
            statement_descriptor=order.statement_descriptor,
            provider=provider,
        )
    )


def _until(order: Order) -> datetime:
    return required(order.placed_at, "time of its placement") + order.grace


def receive(change: OrderChange) -> None:
    """Staff can accept or decline it now; or the store's rule accepts it, unless staff hold it by now."""
    change.set(pay_url=None, message=WAITS)
    change.cancel_timer(PaymentOverdue)
    if change.state.accepted_by_rule and not change.state.held:
        change.timer(change.context.at, ApprovalDue())
        return
    ask_staff(change)


def ask_staff(change: OrderChange) -> None:
    change.publish(OrderApprovalRequested(amount=change.state.purchased, currency=change.state.currency))


def other_card(order: Order, command: CheckoutPaymentRetried, context: Context) -> Decision[Order] | Refused:
    """The customer gives another card, or pays by hand later."""
    if refused := takes_no_card(order, context.at):
        return refused
    problems = list(submission.payment_problems(command.payment, order, required=True))
    if problems:
        return submission.invalid(problems)
    change = OrderChange(order, context)
    change.set(choice=command.payment)
    if submission.provider_of(command.payment, order.payment_providers) == MANUAL:
        change.set(verification=NONE, card_check=CardCheck.NONE)
        change.note(command.type, "The customer pays by hand once the order is accepted.")
        receive(change)
    else:
        request_verification(change)
    return change.decision()


def takes_no_card(order: Order, at: datetime) -> Refused | None:
    """Why no other card can be given now."""
    if order.card_check not in (CardCheck.DECLINED, CardCheck.ACTION_REQUIRED):
        return Refused("not_payable", f"There is nothing to pay: the order is {order.status_in_words}.")
    if at >= _until(order):
        return Refused("not_payable", "There is nothing to pay: the time to give a card is over.")
    if not _tries_left(order):
        text = f"{NO_TRY_LEFT}: {order.verifications} cards were tried. Contact the store."
        return Refused("too_many_attempts", text)
    return None


def _tries_left(order: Order) -> int:
    return max(order.payment_tries - order.verifications, 0)


@orders.on(PaymentVerified)
def verified(order: Order, fact: PaymentVerified, context: Context) -> Decision[Order]:
    change, card = OrderChange(order, context), card_name(fact.card)
    change.received(
        fact.type, f"Card verified{f': {card}' if card else ''}.", verification=fact.verification, card=card
    )
    if not _awaited(order, fact.verification):
        return change.without_effect(_why_not(order))
    change.set(card_check=CardCheck.VERIFIED)
    receive(change)
    return change.decision()


@orders.on(PaymentVerificationActionRequired)
def to_be_confirmed(order: Order, fact: PaymentVerificationActionRequired, context: Context) -> Decision[Order]:
    change, text = OrderChange(order, context), "The customer must confirm the card with the bank."
    change.received(fact.type, text, verification=fact.verification)
    if not _awaited(order, fact.verification):
        return change.without_effect(_why_not(order))
    change.set(card_check=CardCheck.ACTION_REQUIRED, pay_url=fact.url, message=text)
    until = _until(order)
    page = page_of(order, context.key, until, _tries_left(order))
    change.publish(OrderCardNeeded(verification=fact.verification, url=fact.url, until=until, confirm=True, page=page))
    return change.decision()


@orders.on(PaymentVerificationDeclined)
def not_verified(order: Order, fact: PaymentVerificationDeclined, context: Context) -> Decision[Order]:
    """The customer can give another card, for as long as the order is kept."""
    change, card = OrderChange(order, context), card_name(fact.card)
    text = f"The card was not verified: {fact.text}"
    change.received(fact.type, text, verification=fact.verification, code=fact.code, card=card, provider=fact.detail)
    if not _awaited(order, fact.verification):
        return change.without_effect(_why_not(order))
    left = _tries_left(order)
    message = fact.text if left else f"{fact.text} {NO_TRY_LEFT}."
    url = order.page(context.key)
    change.set(card_check=CardCheck.DECLINED, pay_url=url if left else None, message=message)
    if left:
        until = _until(order)
        page = page_of(order, context.key, until, left)
        change.publish(OrderCardNeeded(verification=fact.verification, url=url, until=until, text=fact.text, page=page))
    return change.decision()


def _awaited(order: Order, verification: int) -> bool:
    waits = order.card_check in (CardCheck.IN_PROGRESS, CardCheck.ACTION_REQUIRED)
    return order.status is RECEIVED and waits and order.verifications == verification


def _why_not(order: Order) -> str:
    """Empty: because of the order's status."""
    if order.status is not RECEIVED:
        return ""
    waits = order.card_check in (CardCheck.IN_PROGRESS, CardCheck.ACTION_REQUIRED)
    return "another card is being verified" if waits else "no card is being verified"


def end_unverified(order: Order, context: Context) -> Decision[Order]:
    """The time to verify the card is over."""
    change = OrderChange(order, context)
    if order.is_verified:
        change.received("order.payment_overdue", "The time to verify the card is over.")
        return change.without_effect("no card is to be verified")
    cancel(change, reason=ENDED, code="not_verified")
    return change.decision()
