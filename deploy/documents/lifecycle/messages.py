"""The rows: every message that checkout handles about an order, in the forms that differ, as it comes to an order.

To add one: a line in the group of its sender. The test names what the core handles and no line has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from deploy.documents.lifecycle.situations import (
    ATLAS,
    MAPS,
    NOT_VERIFIED,
    OPENED_CHECKOUT,
    Life,
    captured,
    declined,
    delivered,
    refunded,
    submitted,
)
from services.checkout.domain.kept import AbandonedKept
from services.checkout.domain.order import (
    ApprovalDue,
    FailedPaymentOverdue,
    Order,
    PaymentOverdue,
    PaymentReminder,
    SubmissionOverdue,
)
from services.checkout.domain.person import OrderKept
from shared.contracts import codes, fulfillment, payments, stock
from shared.contracts.approval import AcceptOrder, DeclineOrder
from shared.contracts.card_verification import PaymentVerificationActionRequired, PaymentVerified
from shared.contracts.checkout import CancelOrder, CompleteOrder
from shared.contracts.delivery_work import (
    DeliveryNoted,
    DeliveryResent,
    DeliveryWaitsForStaff,
    ItemReturned,
    ResentItem,
)
from shared.contracts.erasure import EraseCustomer
from shared.contracts.examples import EXAMPLES
from shared.contracts.examples.order import BANK_URL, CARD, COMMAND, LINK
from shared.contracts.order_work import AnswerOrder, MessageOrder, NoteOrder, ReopenOrder
from shared.contracts.pay_page import PaymentRetryRequested
from shared.contracts.storefront import CheckoutAbandoned, CheckoutAsked, CheckoutPaymentRetried, PaymentChoice
from shared.contracts.values import PaidElsewhere
from shared.core import Message

WHOLE = ATLAS + MAPS
CARD_CHOSEN = PaymentChoice(provider="stripe", payment_method="pm_card_visa")


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    make: Callable[[Life], object]
    """The message to this order, at its time."""
    actor: str = "system"


def _order(life: Life) -> Order | None:
    return life.row(Order)


def _attempt(life: Life) -> int:
    """The latest."""
    order = _order(life)
    return (order.attempts if order else 0) or 1


def _verification(life: Life) -> int:
    """The latest."""
    order = _order(life)
    return (order.verifications if order else 0) or 1


def _amount(life: Life) -> int:
    order = _order(life)
    return (order.purchased if order else 0) or WHOLE


def _refund(life: Life, part: int | None) -> object:
    """Of what was paid; None: all that is left."""
    order = _order(life)
    before = order.refunded if order else 0
    amount = min(_amount(life) - before, part or WHOLE) or WHOLE
    return refunded(amount, before + amount, _amount(life))


def _later(life: Life, until: datetime | None) -> None:
    """Let the time come, without the timers of it."""
    if until:
        life.at = max(life.at, until - life.pace)


def _overdue(life: Life) -> object:
    order = _order(life)
    _later(life, order.deadline if order else None)
    return PaymentOverdue()


def _failed_overdue(life: Life) -> object:
    _overdue(life)
    return FailedPaymentOverdue()


def _not_submitted(life: Life) -> object:
    order = _order(life)
    _later(life, order.created_at + timedelta(days=1) if order else None)
    return SubmissionOverdue()


def _reminder(life: Life) -> object:
    order = _order(life)
    start = (order.declined_at or order.placed_at or order.created_at) if order else None
    _later(life, start + timedelta(days=1, minutes=1) if start else None)
    return PaymentReminder()


def _message(message: Message) -> Row:
    """The same to every order."""
    return Row(f"`{message.type}`", lambda life: message)


def _form(message: Message, form: str, actor: str = "system") -> Row:
    return Row(f"`{message.type}`, {form}", lambda life: message, actor)


def _example(kind: type[Message]) -> Row:
    return _message(EXAMPLES[kind])


def _command(message: Message, actor: str) -> Row:
    return Row(f"`{message.type}`", lambda life: message, actor)


def _retry(attempt: int) -> PaymentRetryRequested:
    return PaymentRetryRequested(
        attempt=attempt, provider="stripe", payment_method="pm_card_visa", return_url="https://pay.example/pay/x"
    )


COMMANDS = (
    _command(OPENED_CHECKOUT, "customer"),
    _command(submitted(), "customer"),
    _form(submitted(("atlas", ATLAS + 1)), "with a wrong price", "customer"),
    _command(CheckoutPaymentRetried(payment=CARD_CHOSEN), "customer"),
    _form(CheckoutPaymentRetried(payment=PaymentChoice()), "with no card", "customer"),
    _command(CheckoutAbandoned(reason="Changed my mind."), "customer"),
    _command(CancelOrder(reason="By telephone."), "staff:anna"),
    _command(CompleteOrder(note="Handed over."), "staff:anna"),
    _form(CompleteOrder(paid=PaidElsewhere(method="cash")), "paid elsewhere", "staff:anna"),
    _form(CompleteOrder(given=True), "given", "staff:anna"),
    _form(CompleteOrder(restore_refunded=True), "restore what was refunded", "staff:anna"),
    _form(CompleteOrder(latest_configuration=True), "latest configuration", "staff:anna"),
    _form(CheckoutAsked(wants="cancel"), "to cancel it", "customer"),
    _form(CheckoutAsked(wants="refund"), "to refund it", "customer"),
    _form(AnswerOrder(wants="cancel", granted=True), "cancellation granted", "staff:anna"),
    _form(AnswerOrder(wants="refund", granted=True), "refund granted", "staff:anna"),
    _form(AnswerOrder(wants="refund", granted=False), "refund refused", "staff:anna"),
    _command(NoteOrder(text="A present."), "staff:anna"),
    _form(NoteOrder(text="Calls often.", about="customer"), "on the customer", "staff:anna"),
    _command(EXAMPLES[MessageOrder], "staff:anna"),
    _command(AcceptOrder(reason="Can be made by May."), "staff:anna"),
    _command(ReopenOrder(note="By telephone."), "staff:anna"),
    _command(DeclineOrder(note="We are fully booked."), "staff:anna"),
    _command(EraseCustomer(), "staff:anna"),
)
TIMERS = (
    Row("accepted by the store's rule", lambda life: ApprovalDue()),
    Row("time to submit is over", _not_submitted),
    Row("time to keep what an opened checkout told is over", lambda life: AbandonedKept()),
    Row("time to keep an order that has ended is over", lambda life: OrderKept()),
    Row("time to pay is over", _overdue),
    Row("time to pay is over, too early", lambda life: PaymentOverdue()),
    Row("time to pay is over, of a failed payment", _failed_overdue),
    Row("time to remind of the payment", _reminder),
    Row("time to remind, too early", lambda life: PaymentReminder()),
)
PAYMENTS = (
    Row("`payment.action_required`", lambda life: payments.PaymentActionRequired(attempt=_attempt(life), url=BANK_URL)),
    Row("`payment.captured`", lambda life: captured(_amount(life), _attempt(life))),
    Row("`payment.captured`, a second attempt", lambda life: captured(_amount(life), _attempt(life) + 1)),
    Row("`payment.captured`, underpaid", lambda life: captured(_amount(life) - 500, _attempt(life))),
    Row("`payment.captured`, overpaid", lambda life: captured(_amount(life) + 500, _attempt(life))),
    Row("`payment.declined`", lambda life: declined(_attempt(life))),
    Row("`payment.declined`, of another attempt", lambda life: declined(_attempt(life) + 1)),
    Row("`payment.retry_requested`", lambda life: _retry(_attempt(life))),
    Row("`payment.retry_requested`, after an earlier attempt", lambda life: _retry(_attempt(life) + 7)),
    Row(
        "`payment.retry_requested`, with another card to verify",
        lambda life: _retry(0).model_copy(update={"verification": _verification(life)}),
    ),
    Row("`payment.cancelled`", lambda life: payments.PaymentCancelled(attempt=_attempt(life))),
    Row(
        "`payment.unresolved`",
        lambda life: payments.PaymentUnresolved(attempt=_attempt(life), text="No answer within 30 s."),
    ),
    _form(payments.PaymentSettled(attempt=1, outcome="captured", reason="In Stripe's dashboard."), "a charge"),
    _form(payments.PaymentSettled(attempt=1, refund="r-1", outcome="refunded", reason="By transfer."), "a refund"),
    _example(payments.PaymentStrayCharge),
    Row("`payment.refunded`, a part", lambda life: _refund(life, 500)),
    Row("`payment.refunded`, all that is left", lambda life: _refund(life, None)),
    _form(refunded(0, 0, WHOLE), "counted already"),
    Row(
        "`payment.refund_failed`",
        lambda life: payments.PaymentRefundFailed(refund="r-9", amount=500, code="declined", text="The bank refused."),
    ),
    Row(
        "`payment.refund_failed`, sent back by the bank",
        lambda life: payments.PaymentRefundFailed(
            refund="r-500", amount=500, code="card_gone", text="No such card.", returned=True
        ),
    ),
    _example(payments.PaymentSurplusRefunded),
    _example(payments.PaymentsRefused),
    Row("`payment.verified`", lambda life: PaymentVerified(verification=_verification(life), card=CARD)),
    Row("`payment.verified`, of another card", lambda life: PaymentVerified(verification=_verification(life) + 1)),
    Row(
        "`payment.verification_action_required`",
        lambda life: PaymentVerificationActionRequired(verification=_verification(life), url=BANK_URL),
    ),
    Row(
        "`payment.verification_declined`",
        lambda life: NOT_VERIFIED.model_copy(update={"verification": _verification(life)}),
    ),
)
STOCK = (
    _message(fulfillment.StockReserved()),
    _message(fulfillment.StockRefused(skus=("atlas",))),
    _example(stock.StockLow),
    _example(codes.PoolLow),
)


def _noted(action: str, text: str = "") -> Row:
    fact = DeliveryNoted.model_validate({"action": action, "text": text})
    return _form(fact, action.replace("_", " "))


DELIVERY = (
    _message(delivered("1")),
    _form(delivered("1", under_way=1), "more is under way"),
    _form(delivered("offer"), "of the offer"),
    _form(delivered("7"), "of an unknown item"),
    _message(
        fulfillment.ItemProgressed(
            item="1", instructions=LINK, status="waiting", text="Waits for a parcel.", under_way=0
        )
    ),
    _form(fulfillment.ItemProgressed(item="1", status="waiting", text="Ended.", under_way=0), "ended"),
    _message(fulfillment.ItemWaiting(item="1", code="shipment", text="Waits for a parcel.", under_way=0)),
    _message(fulfillment.ItemFailed(item="1", code="forbidden", text="The platform answered 403.")),
    _message(fulfillment.ItemRetried(item="1")),
    _message(fulfillment.ItemRevoked(item="1")),
    _message(fulfillment.ItemRevocationFailed(item="1", code="unreachable", text="No answer.", status="waiting")),
    _form(
        ItemReturned(item="1", quantity=1, returned=1, whole=True, resaleable=True, reason="Unread."),
        "without a refund",
    ),
    _form(
        ItemReturned(item="1", quantity=1, returned=1, whole=True, resaleable=True, reason="Unread.", refund=COMMAND),
        "with a refund",
    ),
    _noted("held", "The address looks odd."),
    _noted("released"),
    _noted("started"),
    _noted("marked_delivered"),
    _message(DeliveryResent(items=(ResentItem(item="1", instructions=LINK),))),
    Row(
        "`delivery.waits_for_staff`",
        lambda life: DeliveryWaitsForStaff(what="Field Atlas", text="Field Atlas: draw it.", since=life.at),
    ),
)
GROUPS: Mapping[str, tuple[Row, ...]] = {
    "Commands": COMMANDS,
    "Timers": TIMERS,
    "Facts of payments": PAYMENTS,
    "Facts of fulfillment: stock": STOCK,
    "Facts of fulfillment: delivery": DELIVERY,
}

LATER: Mapping[str, str] = {
    "payment.disputed": "payments.events.v1",
    "payment.charged_back": "payments.events.v1",
    "payment.reinstated": "payments.events.v1",
}
"""What will come, with its topic; no build knows it yet."""
