"""Made-to-order stores: staff accept or decline an order before it is charged; its card is verified and kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.checkout.domain.card_check import CardCheck
from services.checkout.domain.order import ApprovalDue, ChargeState, PaymentOverdue, PaymentReminder
from services.checkout.domain.store import Store
from shared.contracts.approval import (
    AcceptOrder,
    DeclineOrder,
    OrderAccepted,
    OrderApprovalRequested,
    OrderCardNeeded,
    OrderDeclined,
    OrderVerificationRequested,
)
from shared.contracts.card_verification import (
    PaymentVerificationActionRequired,
    PaymentVerificationDeclined,
    PaymentVerified,
)
from shared.contracts.checkout import (
    CancelOrder,
    OrderCancelled,
    OrderExpired,
    OrderPaid,
    OrderPaymentDeclined,
    OrderPaymentReminder,
    OrderPaymentRequested,
)
from shared.contracts.delivery_work import DeliveryNoted
from shared.contracts.fulfillment import StockRefused, StockReserved
from shared.contracts.payments import PaymentActionRequired, PaymentCancelled, PaymentDeclined, PaymentUnresolved
from shared.contracts.storefront import CheckoutAbandoned, CheckoutPaymentRetried, PaymentChoice
from shared.contracts.values import OrderStatus, PaymentStatus
from shared.core import Ref
from tests.unit.checkout.examples import OPENED, VISA, OrderScenario, captured, delivered, refunded, submission

DECLINED = PaymentDeclined(attempt=1, code="do_not_honor", text="Your card was declined.", reason="card_declined")
NOT_VERIFIED = PaymentVerificationDeclined(verification=1, code="do_not_honor", text="Your card was declined.")
CONFIRM = PaymentVerificationActionRequired(verification=1, url="https://bank.example/3ds")
HELD = DeliveryNoted(action="held", text="An unusual address.")
AGAIN = CheckoutPaymentRetried(payment=PaymentChoice(payment_method="pm_card_mastercard"))
GRACE = timedelta(days=7)
REQUEST: dict[str, Any] = {"approval": "staff", "capture": "approval", "verification": "amount"}


def request(*messages: object, rules: dict[str, Any] | None = None, **checkout: Any) -> OrderScenario:
    """An order of one course in a store where staff accept orders."""
    order = OrderScenario()
    shop = Ref(Store, "northwind")
    order.rows[shop] = replace(order.rows[shop], **(REQUEST | (rules or {})))
    return order.given(OPENED, submission("course", **checkout), *messages)


def verified(*messages: object, **more: Any) -> OrderScenario:
    return request(StockReserved(), PaymentVerified(verification=1, card=VISA), *messages, **more)


def accepted(*messages: object, **more: Any) -> OrderScenario:
    return verified(AcceptOrder(), *messages, **more)


def _until(order: OrderScenario) -> datetime:
    placed = order.state.placed_at
    assert placed
    return placed + GRACE


# Received


def test_an_order_waits_for_its_stock_then_for_its_card_then_for_staff() -> None:
    order = request()
    assert order.state.status is OrderStatus.RECEIVED
    assert not order.all.of(OrderPaymentRequested)
    (asked,) = order.hear(StockReserved()).facts
    assert isinstance(asked, OrderVerificationRequested)
    assert (asked.verification, asked.amount, asked.payment_method) == (1, 100, "pm_card_visa")
    assert asked.until == _until(order)
    assert order.refuses(AcceptOrder()).code == "not_verified"
    assert order.hear(PaymentVerified(verification=1, card=VISA)).facts == [
        OrderApprovalRequested(amount=1000, currency="USD")
    ]
    assert order.record().message == "Waits for the store's approval."
    assert order.pending == {}


def test_the_card_of_the_order_is_not_kept_by_checkout() -> None:
    order = request(StockReserved())
    assert order.state.choice == PaymentChoice(provider="stripe")


def test_a_store_can_set_the_card_up_or_leave_it_unverified() -> None:
    (asked,) = request(rules={"verification": "setup"}).hear(StockReserved()).facts
    assert isinstance(asked, OrderVerificationRequested)
    assert asked.amount == 0
    order = request(rules={"verification": "none"}).hear(StockReserved())
    assert order.facts == [OrderApprovalRequested(amount=1000, currency="USD")]
    (charge,) = [event for event in order.hear(AcceptOrder()).facts if isinstance(event, OrderPaymentRequested)]
    assert (charge.kept_card, charge.payment_method) == (None, "pm_card_visa")


def test_the_amount_of_the_verification_is_the_stores_by_currency() -> None:
    (asked,) = request(rules={"verification_amount": {"USD": 250}}).hear(StockReserved()).facts
    assert isinstance(asked, OrderVerificationRequested)
    assert asked.amount == 250


def test_a_declined_card_leaves_the_request_and_another_can_be_given() -> None:
    order = request(StockReserved()).hear(NOT_VERIFIED)
    url = "https://northwind.example/orders/" + order.key
    until = _until(order)
    (needed,) = order.facts
    assert isinstance(needed, OrderCardNeeded)
    assert needed.model_copy(update={"page": None}) == OrderCardNeeded(
        verification=1, url=url, until=until, text="Your card was declined."
    )
    assert needed.page
    assert (needed.page.amount, needed.page.until, needed.page.tries_left) == (1000, until, 7)
    assert order.refuses(AcceptOrder()).code == "not_verified"
    (asked,) = order.hear(AGAIN).facts
    assert isinstance(asked, OrderVerificationRequested)
    assert (asked.verification, asked.payment_method) == (2, "pm_card_mastercard")
    assert order.hear(NOT_VERIFIED).facts == [], "of the first card, again"
    assert order.hear(PaymentVerified(verification=2)).facts == [OrderApprovalRequested(amount=1000, currency="USD")]


def test_a_card_to_be_confirmed_with_the_bank_sends_the_customer_there() -> None:
    order = request(StockReserved()).hear(CONFIRM)
    until = _until(order)
    (needed,) = order.facts
    assert isinstance(needed, OrderCardNeeded)
    assert (needed.url, needed.until, needed.confirm) == (CONFIRM.url, until, True)
    assert needed.page
    assert order.record().pay_url == CONFIRM.url
    assert order.hear(PaymentVerified(verification=1)).record().pay_url is None


def test_cards_cannot_be_tried_for_ever() -> None:
    order = request(StockReserved(), rules={"payment_tries": 1}).hear(NOT_VERIFIED)
    assert order.facts == []
    assert order.refuses(AGAIN).code == "too_many_attempts"


def test_a_request_whose_card_is_not_verified_in_time_is_cancelled() -> None:
    order = request(StockReserved(), NOT_VERIFIED).let_go_off(PaymentOverdue)
    assert order.facts == [OrderCancelled(reason="The card was not verified in time.", code="not_verified")]
    assert order.hear(PaymentVerified(verification=1)).facts == []
    assert order.pending == {}


def test_a_verified_request_waits_for_staff_for_as_long_as_they_need() -> None:
    order = verified()
    order.at += timedelta(days=30)
    assert order.hear(PaymentOverdue()).facts == []
    assert order.state.status is OrderStatus.RECEIVED
    assert order.refuses(AGAIN).code == "not_payable"


def test_a_request_that_is_sold_out_is_cancelled() -> None:
    order = request().hear(StockRefused(skus=("course",)))
    assert order.facts == [OrderCancelled(reason="Sold out.", code="sold_out", sold_out=("course",))]
    assert order.pending == {}


# Accepted


def test_an_accepted_order_is_charged_with_the_kept_card() -> None:
    order = verified().hear(AcceptOrder(reason="Can be made by May."), actor="staff:anna")
    acceptance, charge = order.facts
    assert acceptance == OrderAccepted(amount=1000, currency="USD", reason="Can be made by May.")
    assert isinstance(charge, OrderPaymentRequested)
    assert (charge.attempt, charge.amount, charge.kept_card, charge.payment_method) == (1, 1000, True, None)
    assert charge.until == order.at + GRACE
    entry = order.entry("order.accepted")
    assert (entry.actor, entry.detail["reason"]) == ("staff:anna", "Can be made by May.")
    assert order.hear(captured(1000)).facts == [OrderPaid(amount=1000, currency="USD", card=VISA)]
    assert order.hear(delivered("1")).state.status is OrderStatus.COMPLETED


def test_it_is_accepted_once_and_only_when_it_waits_for_it() -> None:
    assert accepted().refuses(AcceptOrder()).code == "not_received"
    assert accepted().refuses(DeclineOrder()).code == "not_received"
    assert request().refuses(AcceptOrder()).code == "not_reserved"
    plain = OrderScenario(OPENED, submission("course"), StockReserved())
    assert plain.refuses(AcceptOrder()).code == "not_received"


def test_a_declined_charge_asks_the_customer_to_pay_within_the_grace_period_from_it() -> None:
    order = accepted()
    order.at += timedelta(days=1)
    (event,) = order.hear(DECLINED).facts
    assert isinstance(event, OrderPaymentDeclined)
    assert event.until == order.at + GRACE
    assert order.state.status is OrderStatus.PENDING_PAYMENT
    (charge,) = order.hear(AGAIN).facts
    assert isinstance(charge, OrderPaymentRequested)
    assert (charge.attempt, charge.kept_card, charge.payment_method) == (2, None, "pm_card_mastercard")
    assert order.hear(captured(1000, attempt=2)).state.status is OrderStatus.PROCESSING


def test_further_declines_do_not_give_more_time() -> None:
    order = accepted(DECLINED)
    until = order.state.deadline
    order.at += timedelta(days=3)
    order.given(AGAIN).hear(DECLINED.model_copy(update={"attempt": 2}))
    assert order.state.deadline == until
    assert order.let_go_off(PaymentOverdue).facts == [OrderExpired(was=OrderStatus.PENDING_PAYMENT)]


def test_a_charge_to_be_confirmed_waits_for_the_customer() -> None:
    order = accepted().hear(PaymentActionRequired(attempt=1, url="https://bank.example/3ds"))
    assert (order.state.status, order.record().pay_url) == (OrderStatus.PENDING_PAYMENT, "https://bank.example/3ds")
    assert order.state.deadline == order.at + GRACE
    assert order.hear(captured(1000)).state.status is OrderStatus.PROCESSING


def test_a_charge_that_was_not_made_lets_the_customer_pay() -> None:
    order = accepted().hear(PaymentCancelled(attempt=1))
    assert order.state.status is OrderStatus.PENDING_PAYMENT
    assert order.record().pay_url


def test_a_charge_of_unknown_outcome_is_waited_for() -> None:
    order = accepted().hear(PaymentUnresolved(attempt=1, text="Time-out."))
    assert (order.state.status, order.state.charge) == (OrderStatus.ACCEPTED, ChargeState.UNRESOLVED)
    assert order.hear(captured(1000)).state.status is OrderStatus.PROCESSING


def test_reminders_count_from_when_the_customer_was_asked_to_pay() -> None:
    order = verified(rules={"reminders": (timedelta(days=1), timedelta(days=3))})
    assert not order.timer(PaymentReminder)
    order.at += timedelta(days=20)
    order.given(AcceptOrder(), PaymentActionRequired(attempt=1, url="https://bank.example/3ds"))
    (reminder,) = order.let_go_off(PaymentReminder).facts
    assert isinstance(reminder, OrderPaymentReminder)
    assert reminder.reminder == 1


def test_a_free_order_is_not_charged_when_it_is_accepted() -> None:
    order = request(discount=1000).hear(StockReserved())
    assert order.facts == [OrderApprovalRequested(amount=0, currency="USD")]
    assert order.hear(AcceptOrder()).facts == [
        OrderAccepted(amount=0, currency="USD"),
        OrderPaid(amount=0, currency="USD"),
    ]


def test_an_order_that_is_paid_by_hand_waits_for_the_payment_once_accepted() -> None:
    rules = {"payment_providers": ("stripe", "manual")}
    order = request(StockReserved(), rules=rules, payment=PaymentChoice(provider="manual"))
    assert order.state.card_check is CardCheck.NONE
    order.hear(AcceptOrder())
    assert order.state.status is OrderStatus.PENDING_PAYMENT
    assert order.state.deadline == order.at + GRACE


def test_a_customer_whose_card_is_declined_can_choose_to_pay_by_hand() -> None:
    order = request(StockReserved(), NOT_VERIFIED, rules={"payment_providers": ("stripe", "manual")})
    by_hand = CheckoutPaymentRetried(payment=PaymentChoice(provider="manual"))
    assert order.hear(by_hand).facts == [OrderApprovalRequested(amount=1000, currency="USD")]
    assert order.hear(AcceptOrder()).state.status is OrderStatus.PENDING_PAYMENT


# Declined and cancelled, and what comes too late


def test_a_declined_order_is_never_charged() -> None:
    order = verified().hear(DeclineOrder(reason="Too far away.", note="We are fully booked."), actor="staff:anna")
    assert order.facts == [OrderDeclined(note="We are fully booked.", reason="Too far away.")]
    assert (order.state.status, order.record().message) == (OrderStatus.DECLINED, "We are fully booked.")
    assert order.pending == {}
    assert order.refuses(AcceptOrder()).code == "not_received"
    assert order.refuses(CancelOrder()).code == "not_cancellable"


def test_staff_can_decline_before_the_card_is_verified() -> None:
    order = request().given(DeclineOrder())
    for late in (
        StockReserved(),
        StockRefused(skus=("course",)),
        PaymentVerified(verification=1),
        NOT_VERIFIED,
        CONFIRM,
    ):
        assert order.hear(late).facts == []
        assert order.timeline[-1].text.endswith("(No effect: the order is declined.)")


def test_a_customer_cancels_while_it_waits_for_approval_or_payment_but_not_while_it_is_charged() -> None:
    assert verified().hear(CheckoutAbandoned()).facts == [OrderCancelled(code="abandoned")]
    assert accepted(DECLINED).hear(CheckoutAbandoned()).facts == [OrderCancelled(code="abandoned")]
    assert accepted().refuses(CheckoutAbandoned()).code == "not_cancellable"


def test_a_capture_after_staff_cancelled_an_accepted_order_is_refunded() -> None:
    order = accepted(CancelOrder()).hear(captured(1000))
    assert order.facts == []
    assert "will be refunded" in order.timeline[-1].text
    assert order.record().payment_status is PaymentStatus.PAID
    order.hear(refunded(1000, of=1000))
    assert order.record().payment_status is PaymentStatus.REFUNDED
    assert accepted(CancelOrder()).hear(DECLINED).facts == []


# By rule

BY_RULE: dict[str, Any] = {"approval": "rule", "accept_up_to": {"USD": 1000}}


def test_an_order_up_to_the_limit_is_accepted_by_the_stores_rule() -> None:
    order = verified(rules=BY_RULE)
    assert not order.all.of(OrderApprovalRequested), "staff need not look at it"
    assert not order.all.of(OrderPaymentRequested)
    order.let_go_off("ApprovalDue")
    assert order.all.of(OrderAccepted) == [OrderAccepted(amount=1000, currency="USD", by_rule=True)]
    assert order.all.of(OrderPaymentRequested)[0].kept_card
    assert order.state.status is OrderStatus.ACCEPTED


def test_above_the_limit_and_in_other_currencies_staff_decide() -> None:
    for limits in ({"USD": 999}, {"EUR": 100_000}):
        order = verified(rules=BY_RULE | {"accept_up_to": limits})
        assert order.all.of(OrderApprovalRequested)
        assert order.pending == {}
        assert not order.hear(ApprovalDue()).facts
        assert order.hear(AcceptOrder()).all.of(OrderAccepted)


def test_a_held_order_is_left_to_staff() -> None:
    held = verified(rules=BY_RULE | {"hold_total_above": {"USD": 500}})
    assert held.state.held
    assert held.all.of(OrderApprovalRequested)


def test_an_order_that_staff_hold_meanwhile_is_left_to_them() -> None:
    order = request(StockReserved(), HELD, PaymentVerified(verification=1, card=VISA), rules=BY_RULE)
    assert order.facts == [OrderApprovalRequested(amount=1000, currency="USD")]
    assert order.pending == {}
    order = verified(HELD, rules=BY_RULE)
    order.let_go_off("ApprovalDue")
    assert order.facts == [OrderApprovalRequested(amount=1000, currency="USD")]
    assert order.state.status is OrderStatus.RECEIVED
    assert order.hear(AcceptOrder()).all.of(OrderAccepted)


def test_who_is_quicker_than_the_rule_decides() -> None:
    order = verified(DeclineOrder(), rules=BY_RULE)
    order.let_go_off("ApprovalDue")
    assert order.state.status is OrderStatus.DECLINED
    assert not order.all.of(OrderPaymentRequested)
