"""Which mails an order's facts bring, to whom, and what they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.notifications.domain.feed import recipient_of
from services.notifications.domain.operations import SendEmail
from services.notifications.domain.state import Person
from shared.contracts.checkout import (
    DeliveredItem,
    OrderCancelled,
    OrderCompleted,
    OrderDeliveryFailed,
    OrderExpired,
    OrderFailed,
    OrderItemsDelivered,
    OrderPaymentActionRequired,
    OrderPaymentDeclined,
    OrderRefunded,
    OrderRefundFailed,
)
from shared.contracts.notifications import EmailFailed, EmailSent
from shared.contracts.values import Customer, Instructions, OrderStatus
from tests.unit.notifications.conversation import PAID, STORE, Conversation, paid_order, placed

UNTIL = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
CUSTOMER = recipient_of(STORE.id, Person("Ada Lovelace", "ada@example.com"))
STAFF = "northwind~staff"


def templates(order: Conversation) -> list[str]:
    return [mail.template for mail in order.mails()]


def test_a_placed_order_is_remembered_and_shown_in_the_feed_but_not_mailed() -> None:
    order = Conversation()
    order.told(placed())

    assert order.mails() == []
    assert [entry.title for entry in order.feed(CUSTOMER)] == ["Order ORD-ABCDEFGH12 received"]


def test_a_paid_order_is_confirmed_to_the_customer_and_announced_to_staff() -> None:
    confirmation, alert = paid_order().mails()

    assert (confirmation.template, confirmation.to, confirmation.reply_to) == (
        "order_confirmation",
        "ada@example.com",
        "help@northwind.example",
    )
    assert confirmation.data["sums"] == [
        {"name": "Subtotal", "amount": "30.00 EUR"},
        {"name": "Discount", "amount": "-3.00 EUR"},
    ]
    assert confirmation.data["amount"] == "27.00 EUR"
    assert confirmation.data["order_url"] == "https://northwind.example/orders/o-1"
    assert (alert.to, alert.reply_to, alert.audience) == ("staff@northwind.example", "ada@example.com", "staff")
    assert alert.subject == "New order ORD-ABCDEFGH12: 27.00 EUR"


def test_the_same_fact_is_told_once() -> None:
    order = paid_order()
    again = order.told(PAID)
    placed_again = order.told(placed())

    assert not (again.operations or again.records or placed_again.operations)
    assert templates(order) == ["order_confirmation", "new_order"]


def test_a_declined_card_brings_a_link_to_pay_again_for_each_attempt() -> None:
    order = Conversation()
    order.told(placed())
    decline = OrderPaymentDeclined(
        attempt=1, code="card_declined", text="Your card was declined.", url="https://pay.example/1", until=UNTIL
    )
    order.told(decline)
    order.told(decline)
    order.told(decline.model_copy(update={"attempt": 2}))

    assert templates(order) == ["payment_failed", "payment_failed"]
    assert order.mails()[0].data["url"] == "https://pay.example/1"
    assert order.mails()[0].data["until"] == "10 March 2026, 09:30 UTC"
    assert order.mails()[0].message_id != order.mails()[1].message_id
    assert order.feed(CUSTOMER)[-1].link == "https://pay.example/1"


def test_a_payment_to_confirm_brings_the_banks_link() -> None:
    order = Conversation()
    order.told(placed())
    order.told(OrderPaymentActionRequired(url="https://bank.example/3ds", until=UNTIL))

    assert templates(order) == ["confirm_payment"]
    assert order.mails()[0].data["url"] == "https://bank.example/3ds"


def test_parcels_and_instructions_go_out_as_two_mails() -> None:
    order = paid_order()
    items = (
        DeliveredItem(
            item="1",
            product="Field Atlas",
            quantity=1,
            instructions=Instructions(kind="shipment", carrier="DHL", tracking="JD01"),
        ),
        DeliveredItem(
            item="2",
            product="Map pack",
            quantity=1,
            instructions=Instructions(kind="download", link="https://dl.example/x", expires=UNTIL),
        ),
        DeliveredItem(item="3", product="Gift card", quantity=1, instructions=Instructions(kind="code", code="AB-12")),
    )
    order.told(OrderItemsDelivered(items=items))

    delivery, shipment = order.mails()[2:]
    assert (delivery.template, shipment.template) == ("delivery", "shipment")
    assert [item.get("link") or item.get("code") for item in delivery.data["items"]] == [
        "https://dl.example/x",
        "AB-12",
    ]
    assert delivery.data["items"][0]["expires"] == "10 March 2026, 09:30 UTC"
    assert shipment.data["items"][0]["tracking"] == "JD01"


def test_a_refund_is_told_once_per_refund() -> None:
    order = paid_order()
    refund = OrderRefunded(refund="r-1", amount=1000, currency="EUR", refunded=1000, whole=False)
    order.told(refund)
    order.told(refund)
    order.told(OrderRefunded(refund="r-2", amount=1700, currency="EUR", refunded=2700, whole=True))

    refunds = order.mails()[2:]
    assert [mail.data["amount"] for mail in refunds] == ["10.00 EUR", "17.00 EUR"]
    assert [mail.data["whole"] for mail in refunds] == [False, True]


def test_a_sold_out_order_says_that_nothing_was_charged() -> None:
    order = Conversation()
    order.told(placed())
    order.told(OrderCancelled(code="sold_out", sold_out=("atlas",)))

    assert order.mails()[0].data["sold_out"] is True
    assert "not charged" in order.feed(CUSTOMER)[-1].text


def test_a_cancelled_paid_order_says_that_the_money_comes_back() -> None:
    order = paid_order()
    order.told(OrderCancelled(reason="changed my mind"))

    assert order.mails()[-1].data["paid"] is True
    assert "get back" in order.feed(CUSTOMER)[-1].text
    assert order.feed(STAFF)[-1].text == "changed my mind"


def test_an_expired_order_is_told_and_a_merely_opened_one_is_not() -> None:
    order = Conversation()
    order.told(placed())
    order.told(OrderExpired(was=OrderStatus.PENDING_PAYMENT))
    opened = Conversation()
    opened.told(OrderExpired(was=OrderStatus.CREATED))

    assert templates(order) == ["expiry"]
    assert opened.thread is None and opened.operations == []


def test_staff_hear_of_a_failed_delivery_and_of_the_failed_order() -> None:
    order = paid_order()
    order.told(OrderDeliveryFailed(item="1", product="Field Atlas", code="http_403", text="Give the key access."))
    order.told(OrderFailed(reason="Field Atlas could not be delivered."))

    failure, failed = order.mails()[2:]
    assert (failure.template, failure.data["reason"]) == ("delivery_failure", "Give the key access.")
    assert (failed.template, failed.to) == ("order_failed", "staff@northwind.example")
    assert [entry.kind for entry in order.feed(STAFF)] == ["new_order", "delivery_failure", "order_failed"]
    assert order.feed(CUSTOMER)[-1].kind == "order_failed"


def test_staff_hear_of_a_refund_that_failed_each_time() -> None:
    order = paid_order()
    for code in ("declined", "account_closed"):
        text = f"The bank says: {code}."
        order.told(OrderRefundFailed(refund="r-1", amount=990, currency="EUR", refunded=0, code=code, text=text))

    first, second = order.mails()[2:]
    assert (first.template, first.to, first.data["reason"]) == (
        "refund_failure",
        "staff@northwind.example",
        "The bank says: declined.",
    )
    assert second.data["reason"] == "The bank says: account_closed."
    assert [entry.kind for entry in order.feed(STAFF)] == ["new_order", "refund_failure", "refund_failure"]


def test_a_mail_that_went_out_is_a_fact_without_its_text() -> None:
    order = paid_order()
    confirmation = order.mails()[0]
    order.came(confirmation, SendEmail.Done())

    assert order.events == [
        EmailSent(message=confirmation.message_id, template="order_confirmation", audience="customer")
    ]
    assert order.thread and [mail.state for mail in order.thread.mails] == ["sent", "pending"]


def test_a_mail_that_did_not_go_out_alerts_staff_in_the_feed() -> None:
    order = paid_order()
    order.came(order.mails()[0], SendEmail.Failed("smtp_550", "No such mailbox."))
    order.at += timedelta(hours=24)
    order.came(order.mails()[1], SendEmail.Unresolved("no answer"))

    assert [event.code for event in order.events if isinstance(event, EmailFailed)] == ["smtp_550", "unresolved"]
    assert order.feed(STAFF)[1].text == "No such mailbox."
    assert order.thread and order.thread.pending() == 0


def test_message_ids_belong_to_the_senders_domain_and_come_again_with_the_same_message() -> None:
    first, again = Conversation(), Conversation()
    identity = UUID("01900000-0000-7000-8000-0000000000aa")
    for order in (first, again):
        order.told(placed())
        order.answer(PAID, identity)

    assert [mail.message_id for mail in first.mails()] == [mail.message_id for mail in again.mails()]
    assert first.mails()[0].message_id.endswith("@northwind.example>")


def test_a_sender_domain_that_is_no_plain_host_name_stays_out_of_the_message_id() -> None:
    order = Conversation()
    order.told(placed(store=STORE.model_copy(update={"sender": 'x@bücher>"' + "a" * 150})))
    order.told(PAID)

    assert order.mails()[0].message_id.endswith("@mail.invalid>")


def test_customers_are_recipients_by_id_where_they_have_one_and_by_a_hash_of_the_email_otherwise() -> None:
    order = Conversation()
    order.told(placed(customer=Customer(name="Ada", email="ada@example.com", id="c-7", signed_in=True)))

    assert [entry.key for entry in order.records] == ["northwind~customer~c-7"]  # type: ignore[attr-defined]
    assert recipient_of("s", Person("x", "ADA@example.com")) == recipient_of("s", Person("y", "ada@EXAMPLE.com"))
    assert "example" not in CUSTOMER


def test_facts_about_an_order_that_was_never_placed_tell_nobody_anything() -> None:
    for fact in (PAID, OrderCompleted(), OrderCancelled(), OrderFailed(reason="x"), OrderItemsDelivered(items=())):
        decision = Conversation().told(fact)
        assert decision.state is None and not decision.operations and not decision.records


def test_what_is_for_staff_reaches_no_customer() -> None:
    """What a provider or a course platform said is about how we are set up, or about others."""
    secret = "courses.example answers 403: the credentials lack the permission"
    order = paid_order()
    order.told(OrderDeliveryFailed(item="1", product="Field Atlas", code="x", text=secret))
    order.told(OrderFailed(reason=secret))
    order.told(OrderRefundFailed(refund="r-1", amount=1, currency="EUR", refunded=0, code="x", text=secret))
    order.came(order.mails()[0], SendEmail.Failed("smtp_554", secret))
    order.came(order.mails()[1], SendEmail.Failed("gave_up", secret), secret)
    assert order.thread

    customer = recipient_of(STORE.id, order.thread.customer)
    assert len(order.feed(customer)) == 3
    shown = [*order.feed(customer), *(mail for mail in order.mails() if mail.audience == "customer")]
    assert not [one for one in shown if "403" in str(one) or "403" in str(getattr(one, "data", ""))]
    assert "403" in str(order.feed(STAFF)), "staff read it"
