"""The eight paths of an order, as checkout lives them."""

from __future__ import annotations

from datetime import timedelta

from services.checkout.domain.decisions import AbandonOver, GraceOver
from shared.contracts.checkout import (
    CancelOrder,
    CompleteOrder,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderDeliveryFailed,
    OrderDeliveryResumed,
    OrderExpired,
    OrderFailed,
    OrderItemsDelivered,
    OrderPaid,
    OrderPaymentActionRequired,
    OrderPaymentDeclined,
    OrderPaymentRequested,
    OrderPlaced,
    OrderRefunded,
    OrderRefundFailed,
)
from shared.contracts.fulfillment import ItemFailed, ItemRetried, ItemRevoked, ItemWaiting, StockRefused, StockReserved
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentCancelled,
    PaymentDeclined,
    PaymentRefundFailed,
    PaymentSurplusRefunded,
    PaymentUnresolved,
    RefundedLine,
)
from shared.contracts.storefront import CheckoutAbandoned, CheckoutPaymentRetried, PaymentChoice
from shared.contracts.values import DeliveryStatus, FulfilmentStatus, Instructions, OrderStatus, PaymentStatus
from tests.unit.checkout.conversation import (
    OPENED,
    VISA,
    Conversation,
    captured,
    delivered,
    paid_order,
    placed_order,
    refunded,
    submission,
)

DECLINED = PaymentDeclined(
    attempt=1,
    code="insufficient_funds",
    text="Your card has insufficient funds.",
    card=VISA,
    reason="insufficient_funds",
    detail="Request req_1 of sk_live_1.",
)
PAGE = "https://northwind.example/orders/o-1"
AGAIN = CheckoutPaymentRetried(payment=PaymentChoice(payment_method="pm_card_mastercard"))


# 1. Happy


def test_a_checkout_page_that_is_opened_makes_an_order() -> None:
    order = Conversation()

    assert order.tell(OPENED) == [OrderCreated(number=order.order.number, store="northwind", currency="USD")]
    assert order.record().status is OrderStatus.CREATED
    assert order.timers["AbandonOver"].due == order.at + timedelta(days=1)


def test_a_submission_places_the_order_and_waits_for_its_stock() -> None:
    order = placed_order("course", "atlas", tax=760, discount=500)

    (placed,) = order.all(OrderPlaced)
    assert (placed.subtotal, placed.tax, placed.total, placed.discount, placed.purchased) == (
        4000,
        760,
        4760,
        500,
        4260,
    )
    assert [item.purchased for item in placed.items] == [1065, 3195]
    assert [item.item for item in placed.items] == ["1", "2"]
    assert order.order.status is OrderStatus.PENDING_PAYMENT
    assert set(order.timers) == {"GraceOver"}
    assert not order.all(OrderPaymentRequested)


def test_a_submission_whose_opening_was_never_told_makes_the_order_as_well() -> None:
    order = Conversation()

    assert [type(event) for event in order.tell(submission())] == [OrderCreated, OrderPlaced]


def test_reserved_stock_has_the_customer_charged_once() -> None:
    order = placed_order("course")

    (request,) = order.tell(StockReserved())
    assert isinstance(request, OrderPaymentRequested)
    assert (request.attempt, request.amount, request.payment_method) == (1, 1000, "pm_card_visa")
    assert request.return_url == PAGE
    assert order.order.choice is None
    assert order.tell(StockReserved()) == []


def test_a_captured_payment_begins_the_delivery() -> None:
    order = placed_order("course")
    order.tell(StockReserved())

    assert order.tell(captured(1000)) == [OrderPaid(amount=1000, currency="USD", card=VISA)]
    assert order.record().payment_status is PaymentStatus.PAID
    assert order.record().fulfilment_status is FulfilmentStatus.IN_PROGRESS
    assert order.timers == {}


def test_an_order_that_costs_nothing_is_paid_at_once() -> None:
    order = placed_order("gift", payment=PaymentChoice())

    assert order.tell(StockReserved()) == [OrderPaid(amount=0, currency="USD")]
    assert [type(event) for event in order.tell(delivered("1"))] == [OrderItemsDelivered, OrderCompleted]


def test_the_customer_is_told_of_all_that_arrived_when_nothing_more_is_under_way() -> None:
    order = paid_order("course", "game", "atlas")

    assert order.tell(delivered("1", under_way=1)) == []
    assert order.tell(ItemWaiting(item="3", code="shipment", text="Ship it.", under_way=1)) == []
    (told,) = order.tell(delivered("2"))
    assert isinstance(told, OrderItemsDelivered)
    assert [item.item for item in told.items] == ["1", "2"]
    assert order.record().fulfilment_status is FulfilmentStatus.PARTIALLY_FULFILLED
    assert order.record().message == "Atlas: Ship it."


def test_the_last_delivered_item_completes_the_order_by_itself() -> None:
    order = paid_order("course", "game")
    order.tell(delivered("1"))

    (told, completed) = order.tell(delivered("2"))
    assert isinstance(told, OrderItemsDelivered)
    assert [item.item for item in told.items] == ["2"]
    assert completed == OrderCompleted()
    assert order.record().fulfilment_status is FulfilmentStatus.FULFILLED
    assert order.record().completed_at == order.at


def test_every_step_is_in_the_timeline_without_addresses_or_card_numbers() -> None:
    order = paid_order("course")
    order.tell(delivered("1"))

    assert order.said() == [
        "order.created",
        "order.placed",
        "stock.reserved",
        "payment.captured",
        "order.paid",
        "item.delivered",
        "order.completed",
    ]
    assert {entry.actor for entry in order.timeline} == {"customer", "system", "provider:stripe"}
    assert len({entry.id for entry in order.timeline}) == len(order.timeline)
    assert "@" not in "".join(entry.text for entry in order.timeline)
    assert order.timeline[3].text == "10.00 USD captured with visa ending 4242."
    assert "2030" not in str(order.timeline[3].detail)


# 2. Declined


def test_a_declined_card_leaves_the_order_waiting_with_a_page_to_pay_again() -> None:
    order = placed_order("course")
    order.tell(StockReserved())

    (event,) = order.tell(DECLINED)
    until = order.at + timedelta(days=7)
    assert event == OrderPaymentDeclined(
        attempt=1, code="insufficient_funds", text=DECLINED.text, url=PAGE, until=until
    )
    assert order.order.status is OrderStatus.PENDING_PAYMENT
    assert order.record().payment_status is PaymentStatus.FAILED
    assert order.record().pay_url == PAGE
    assert order.timers["GraceOver"].due == until
    assert "req_1" in str(order.timeline[-1].detail)
    assert "req_1" not in str((event, order.record(), order.timeline[-1].text))


def test_another_card_pays_after_a_decline() -> None:
    order = placed_order("course")
    order.tell(StockReserved())
    order.tell(DECLINED)

    (request,) = order.tell(AGAIN)
    assert isinstance(request, OrderPaymentRequested)
    assert (request.attempt, request.payment_method) == (2, "pm_card_mastercard")
    assert order.record().pay_url is None
    order.tell(captured(1000, attempt=2))
    assert order.order.status is OrderStatus.PROCESSING


def test_an_order_that_is_not_paid_in_time_expires() -> None:
    order = placed_order("course")
    order.tell(StockReserved())
    order.tell(DECLINED)

    assert order.due(GraceOver) == [OrderExpired(was=OrderStatus.PENDING_PAYMENT)]
    assert order.record().closed_at == order.at
    assert order.refused(AGAIN).code == "not_payable"


def test_an_open_charge_does_not_stop_the_expiry_and_what_it_takes_is_given_back() -> None:
    order = placed_order("course")
    order.tell(StockReserved())
    order.tell(PaymentUnresolved(attempt=1, text="Time-out."))
    assert order.record().message == "The payment is being checked with the payment provider."
    assert "Time-out." in str(order.timeline[-1].detail)

    order.due(GraceOver)
    assert order.tell(captured(1000)) == []
    assert order.record().payment_status is PaymentStatus.PAID
    (event,) = order.tell(refunded(1000, of=1000))
    assert isinstance(event, OrderRefunded)
    assert order.record().payment_status is PaymentStatus.REFUNDED
    assert order.order.status is OrderStatus.EXPIRED


def test_a_decline_after_the_expiry_is_only_noted() -> None:
    order = placed_order("course")
    order.tell(StockReserved())
    order.due(GraceOver)

    assert order.tell(DECLINED) == []
    assert order.timers == {}
    assert order.timeline[-1].text.endswith("(The order is expired; this changes nothing.)")


def test_an_opened_checkout_that_nobody_submits_expires() -> None:
    order = Conversation()
    order.tell(OPENED)

    assert order.due(AbandonOver) == [OrderExpired(was=OrderStatus.CREATED)]
    assert order.refused(submission()).code == "order_closed"


def test_a_timer_that_was_overtaken_does_nothing() -> None:
    order = paid_order("course")

    assert order.tell(GraceOver()) == []
    assert order.tell(AbandonOver()) == []
    assert order.order.status is OrderStatus.PROCESSING


def test_a_grace_timer_that_comes_too_early_is_set_again() -> None:
    order = placed_order("course")
    due = order.timers.pop("GraceOver").due

    order.tell(GraceOver())
    assert order.timers["GraceOver"].due == due


def test_a_decline_of_an_earlier_attempt_changes_nothing() -> None:
    order = placed_order("course")
    order.tell(StockReserved())
    order.tell(DECLINED)
    order.tell(AGAIN)

    assert order.tell(DECLINED) == []
    assert order.record().payment_status is PaymentStatus.PENDING


# 3. 3-D Secure


def test_the_customer_is_sent_to_the_bank() -> None:
    order = placed_order("course")
    order.tell(StockReserved())

    (event,) = order.tell(PaymentActionRequired(attempt=1, url="https://bank.example/3ds"))
    assert isinstance(event, OrderPaymentActionRequired)
    assert event.until == order.order.deadline
    assert order.record().pay_url == "https://bank.example/3ds"
    order.tell(captured(1000))
    assert order.record().pay_url is None
    assert order.order.status is OrderStatus.PROCESSING


def test_an_abandoned_3d_secure_step_can_be_paid_otherwise() -> None:
    order = placed_order("course")
    order.tell(StockReserved())
    order.tell(PaymentActionRequired(attempt=1, url="https://bank.example/3ds"))

    (request,) = order.tell(AGAIN)
    assert isinstance(request, OrderPaymentRequested)
    assert order.tell(PaymentCancelled(attempt=1)) == []
    assert order.refused(AGAIN).code == "payment_under_way"


def test_a_step_that_was_called_off_can_be_paid_again() -> None:
    order = placed_order("course")
    order.tell(StockReserved())
    order.tell(PaymentActionRequired(attempt=1, url="https://bank.example/3ds"))
    order.tell(PaymentCancelled(attempt=1))

    assert order.record().pay_url == PAGE
    assert len(order.tell(AGAIN)) == 1


# 4. Cancel


def test_a_customer_gives_up_before_paying() -> None:
    order = placed_order("course")

    assert order.tell(CheckoutAbandoned(reason="Too dear.")) == [OrderCancelled(reason="Too dear.")]
    assert order.record().message == "Too dear."
    assert order.timers == {}
    assert order.tell(StockReserved()) == []


def test_a_customer_cannot_give_up_what_is_paid_but_the_store_can() -> None:
    order = paid_order("course")

    assert order.refused(CheckoutAbandoned()).code == "not_cancellable"
    assert order.tell(CancelOrder(reason="Mistake"), actor="staff:anna") == [OrderCancelled(reason="Mistake")]
    assert order.timeline[-1].actor == "staff:anna"


def test_the_money_of_a_cancelled_order_goes_back() -> None:
    order = paid_order("course")
    order.tell(CancelOrder())

    assert order.record().payment_status is PaymentStatus.PAID
    (event,) = order.tell(refunded(1000, of=1000))
    assert isinstance(event, OrderRefunded)
    assert event.whole
    assert order.order.status is OrderStatus.CANCELLED
    assert order.record().payment_status is PaymentStatus.REFUNDED


def test_a_second_capture_after_the_money_went_back_does_not_make_it_paid_again() -> None:
    order = paid_order("course")
    order.tell(CancelOrder())
    order.tell(refunded(1000, of=1000))

    assert order.tell(captured(1000, attempt=2)) == []
    assert order.record().payment_status is PaymentStatus.REFUNDED


def test_a_capture_of_another_amount_pays_nothing() -> None:
    order = placed_order("course")
    order.tell(StockReserved())

    assert order.tell(captured(999)) == []
    assert order.order.status is OrderStatus.PENDING_PAYMENT
    assert "not the order's amount" in (order.record().message or "")


def test_a_delivery_that_comes_after_the_cancellation_is_only_noted() -> None:
    order = paid_order("course")
    order.tell(CancelOrder())

    assert order.tell(delivered("1")) == []
    assert order.said()[-1] == "item.delivered"
    assert order.order.lines[0].delivery is DeliveryStatus.PENDING
    order.tell(ItemRevoked(item="1"))
    assert order.record().fulfilment_status is FulfilmentStatus.REVOKED


def test_what_is_over_is_not_cancelled() -> None:
    order = paid_order("course")
    order.tell(delivered("1"))
    assert order.refused(CancelOrder()).code == "not_cancellable"

    cancelled = placed_order("course")
    cancelled.tell(CancelOrder())
    assert cancelled.refused(CancelOrder()).code == "not_cancellable"


# 5. Refund


def test_a_refund_of_all_money_refunds_the_order() -> None:
    order = paid_order("course", "game")
    order.tell(delivered("1", under_way=1))
    order.tell(delivered("2"))

    (event,) = order.tell(refunded(3500, of=3500))
    assert isinstance(event, OrderRefunded)
    assert (event.whole, event.items) == (True, ("1", "2"))
    assert order.order.status is OrderStatus.REFUNDED
    assert [item.refunded for item in order.record().items] == [1000, 2500]


def test_a_partial_refund_names_the_items_that_are_wholly_refunded() -> None:
    order = paid_order("course", "game")
    order.tell(delivered("1"))
    order.tell(delivered("2"))
    lines = (RefundedLine(item="1", amount=1000, whole=True), RefundedLine(item="2", amount=500, whole=False))

    (event,) = order.tell(refunded(1500, of=3500, items=lines))
    assert isinstance(event, OrderRefunded)
    assert (event.whole, event.items, event.refunded) == (False, ("1",), 1500)
    assert order.order.status is OrderStatus.COMPLETED
    assert order.record().payment_status is PaymentStatus.PARTIALLY_REFUNDED
    assert [item.refunded for item in order.record().items] == [1000, 500]


def test_two_refunds_make_a_whole() -> None:
    order = paid_order("course", "game")
    order.tell(refunded(1500, of=3500))
    (event,) = order.tell(refunded(2000, of=3500, so_far=1500))

    assert isinstance(event, OrderRefunded)
    assert event.whole
    assert order.order.status is OrderStatus.REFUNDED


def test_a_refund_of_a_second_capture_is_not_the_orders() -> None:
    order = paid_order("course")

    assert order.tell(captured(1000, attempt=2)) == []
    assert order.tell(refunded(1000, of=2000)) == []
    assert order.order.refunded == 0
    assert order.record().payment_status is PaymentStatus.PAID


def test_a_second_charge_that_was_given_back_is_only_noted() -> None:
    order = paid_order("course")
    assert order.tell(PaymentSurplusRefunded(refund="r-9", attempt=2, amount=1000, currency="USD")) == []
    assert order.said()[-1] == "payment.surplus_refunded"


def test_a_refund_that_the_bank_sends_back_is_not_counted_any_more() -> None:
    order = paid_order("course", "game")
    order.tell(refunded(1000, of=3500, items=(RefundedLine(item="1", amount=1000, whole=True),)))
    order.tell(refunded(2500, of=3500, so_far=1000))
    assert order.order.status is OrderStatus.REFUNDED

    (told,) = order.tell(
        PaymentRefundFailed(refund="r-3500", amount=2500, code="account_closed", text="The account is closed.")
    )
    assert isinstance(told, OrderRefundFailed)
    assert (told.amount, told.refunded, told.text) == (2500, 1000, "The account is closed.")
    assert order.record().refunded == 1000
    assert [item.refunded for item in order.record().items] == [1000, 0]
    assert order.record().payment_status is PaymentStatus.PARTIALLY_REFUNDED
    assert order.record().message == "A refund of 25.00 USD failed."
    assert "account is closed" in order.timeline[-1].text

    order.tell(refunded(2500, of=3500, so_far=1000))
    assert order.record().payment_status is PaymentStatus.REFUNDED


def test_an_order_whose_stuck_item_was_refunded_completes() -> None:
    order = paid_order("course", "game")
    order.tell(delivered("1"))
    order.tell(ItemFailed(item="2", code="forbidden", text="Give the bot the right."))
    lines = (RefundedLine(item="2", amount=2500, whole=True),)

    events = order.tell(refunded(2500, of=3500, items=lines))
    assert [type(event) for event in events] == [OrderRefunded, OrderCompleted]


# 6. Delivery fails


def test_a_failed_delivery_fails_the_order_until_it_is_tried_again() -> None:
    order = paid_order("course", "game")
    order.tell(delivered("1", under_way=1))

    told, troubled, failed = order.tell(ItemFailed(item="2", code="http_403", text="Check the credentials."))[:3]
    assert {type(told), type(troubled), type(failed)} == {OrderItemsDelivered, OrderDeliveryFailed, OrderFailed}
    assert order.record().fulfilment_status is FulfilmentStatus.FAILED
    assert order.record().message == "Game: Check the credentials."

    assert order.tell(ItemRetried(item="2"), actor="staff:anna") == [OrderDeliveryResumed(item="2")]
    assert order.order.status is OrderStatus.PROCESSING
    assert OrderCompleted() in order.tell(delivered("2"))


def test_an_order_stays_failed_while_another_item_is_stuck() -> None:
    order = paid_order("course", "game")
    order.tell(ItemFailed(item="1", code="x", text="First.", under_way=1))
    assert order.tell(ItemFailed(item="2", code="x", text="Second.")) == [
        OrderDeliveryFailed(item="2", product="Game", code="x", text="Second.")
    ]

    order.tell(ItemRetried(item="1"))
    assert order.order.status is OrderStatus.FAILED
    assert order.record().message == "Game: Second."


def test_an_item_that_waits_for_a_code_goes_on_when_it_is_there() -> None:
    order = paid_order("course")
    order.tell(ItemWaiting(item="1", code="pool_empty", text="Add codes."))
    assert order.order.status is OrderStatus.PROCESSING
    assert order.record().items[0].delivery is DeliveryStatus.WAITING

    assert order.tell(ItemRetried(item="1")) == []
    assert OrderCompleted() in order.tell(delivered("1"))


def test_staff_complete_an_order_by_hand_and_its_deliveries_go_on() -> None:
    order = paid_order("course", "game")
    order.tell(delivered("1", under_way=1))

    told, completed = order.tell(CompleteOrder(note="Handed over."), actor="staff:anna")
    assert isinstance(told, OrderItemsDelivered)
    assert completed == OrderCompleted(by_hand=True)
    assert [type(event) for event in order.tell(delivered("2"))] == [OrderItemsDelivered]
    assert order.refused(CompleteOrder()).code == "not_completable"


def test_an_unpaid_order_is_not_completed_by_hand() -> None:
    assert placed_order("course").refused(CompleteOrder()).code == "not_completable"


def test_what_was_told_is_not_kept() -> None:
    order = paid_order("course", "game")
    secret = Instructions(kind="code", code="AAAA-BBBB")
    order.tell(delivered("2", under_way=1).model_copy(update={"instructions": secret}))
    assert order.order.lines[1].instructions == secret

    order.tell(delivered("1"))
    assert all(line.instructions is None for line in order.order.lines)
    assert "AAAA" not in str(order.timeline)


# 7. Sold out


def test_an_order_that_is_sold_out_is_cancelled_and_not_charged() -> None:
    order = placed_order("course", "game")

    (event,) = order.tell(StockRefused(skus=("game",)))
    assert event == OrderCancelled(reason="Sold out.", code="sold_out", sold_out=("game",))
    assert order.order.status is OrderStatus.CANCELLED
    assert not order.all(OrderPaymentRequested)
