"""What an order's events bring: emails and feed entries, to whom, and what they say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.notifications.domain.email_draft import message_id_domain
from services.notifications.domain.feed import customer_recipient
from services.notifications.domain.notification_log import Customer as LogCustomer
from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import SendEmail
from services.notifications.gateways.templates import EmailTemplates
from shared.contracts.checkout import (
    DeliveredItem,
    OrderCancelled,
    OrderCompleted,
    OrderDeliveryFailed,
    OrderDeliveryWaiting,
    OrderExpired,
    OrderFailed,
    OrderItemsDelivered,
    OrderPaymentActionRequired,
    OrderPaymentDeclined,
    OrderRefunded,
    OrderRefundFailed,
    OrderStrayCharge,
    OrderSupplyLow,
)
from shared.contracts.notifications import EmailFailed, MessageStatusRecord
from shared.contracts.values import Customer, Instructions, OrderStatus
from tests.unit.notifications.examples import (
    ATLAS,
    CUSTOMER,
    DELIVERY,
    PAID,
    STAFF,
    STORE,
    OrderScenario,
    bodies,
    paid_order,
    placed,
    placed_order,
)

UNTIL = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)


def templates(order: OrderScenario) -> list[str]:
    return [email.template for email in order.emails]


def test_a_placed_order_appears_in_the_feed_but_is_not_emailed() -> None:
    order = placed_order()

    assert order.emails == []
    assert [entry.title for entry in order.feed(CUSTOMER)] == ["Order ORD-ABCDEFGH12 received"]


def test_a_paid_order_is_confirmed_to_the_customer_and_announced_to_staff() -> None:
    confirmation, alert = paid_order().emails

    assert (confirmation.template, confirmation.to, confirmation.reply_to) == (
        "order_confirmation",
        "ada@example.com",
        "help@northwind.example",
    )
    assert confirmation.data["sums"] == [
        {"name": "Subtotal", "amount": "€30.00"},
        {"name": "Discount", "amount": "-€3.00"},
    ]
    assert confirmation.data["amount"] == "€27.00"
    assert confirmation.data["order_url"] == "https://northwind.example/orders/o-1"
    assert (alert.to, alert.reply_to, alert.audience) == ("staff@northwind.example", "ada@example.com", "staff")
    assert alert.subject == "New order ORD-ABCDEFGH12: €27.00"


def test_a_confirmation_has_the_delivery_charge_and_says_what_tax_is_included() -> None:
    taxed = placed(items=(ATLAS, DELIVERY), subtotal=3490, tax=557, total=3490, discount=0, purchased=3490)
    exclusive, included = OrderScenario().hear(taxed), OrderScenario()
    included.hear(taxed.model_copy(update={"prices_include_tax": True}))

    data = exclusive.hear(PAID).emails[0].data
    assert [line["product"] for line in data["lines"]] == ["Field Atlas", "Express delivery"]
    assert [sum["name"] for sum in data["sums"]] == ["Subtotal", "Tax"]
    assert data["included_tax"] == ""
    data = included.hear(PAID).emails[0].data
    assert [sum["name"] for sum in data["sums"]] == ["Subtotal"]
    assert data["included_tax"] == "€5.57"


def test_a_repeated_event_brings_nothing() -> None:
    order = paid_order()

    assert order.hear(PAID).last.entries == []
    assert order.hear(placed()).last.entries == []
    assert templates(order) == ["order_confirmation", "new_order"]


def test_a_declined_card_brings_a_link_to_pay_again_for_each_attempt() -> None:
    order = placed_order()
    decline = OrderPaymentDeclined(
        attempt=1, code="card_declined", text="Your card was declined.", url="https://pay.example/1", until=UNTIL
    )
    order.hear(decline)
    order.hear(decline)
    order.hear(decline.model_copy(update={"attempt": 2}))

    assert templates(order) == ["payment_failed", "payment_failed"]
    assert order.emails[0].data["url"] == "https://pay.example/1"
    assert order.emails[0].data["until"] == "March\u00a010, 2026, 9:30\u00a0AM UTC"
    assert order.emails[0].message_id != order.emails[1].message_id
    assert order.feed(CUSTOMER)[-1].link == "https://pay.example/1"


def test_a_declined_customer_is_told_how_often_and_from_when_to_try_again() -> None:
    order = placed_order()
    decline = OrderPaymentDeclined(
        attempt=3, code="card_declined", text="Your card was declined.", url="https://pay.example/1", until=UNTIL
    )
    from_then = UNTIL - timedelta(days=1, seconds=59)

    order.hear(decline.model_copy(update={"tries_left": 5, "retry_after": from_then}))
    order.hear(decline.model_copy(update={"attempt": 7, "tries_left": 1}))
    order.hear(decline.model_copy(update={"attempt": 8, "tries_left": 0}))

    start, until = "March\u00a09, 2026, 9:30\u00a0AM UTC", "March\u00a010, 2026, 9:30\u00a0AM UTC"
    texts = [
        f"You can pay again from {start} until {until}, with the same card or another one. You can try 5 times more.",
        f"You can pay again until {until}, with the same card or another one. You can try once more.",
        f"The order cannot be paid again: no further try is left. Contact us before {until} if you still want it.",
    ]
    assert [email.data["next_try"] for email in order.emails] == texts
    assert [entry.text for entry in order.feed(CUSTOMER)][-3:] == [f"Your card was declined. {text}" for text in texts]
    templates = EmailTemplates()
    for email, with_link in zip(order.emails, (True, True, False), strict=True):
        mail = templates.render(email).replace(b"=\r\n", b"")
        assert (b"https://pay.example/1" in mail) == with_link


def test_times_are_those_of_the_store() -> None:
    order = OrderScenario().given(placed(store=STORE.model_copy(update={"time_zone": "Europe/Berlin"})))
    order.hear(OrderPaymentDeclined(attempt=1, code="card_declined", text="", url="https://p.example/1", until=UNTIL))
    assert order.emails[0].data["until"] == "March\u00a010, 2026, 10:30\u00a0AM CET"
    assert "March\u00a010, 2026, 10:30\u00a0AM CET" in order.feed(CUSTOMER)[-1].text


def test_an_email_that_an_older_build_left_can_still_be_rendered() -> None:
    order = placed_order().hear(
        OrderPaymentDeclined(attempt=1, code="card_declined", text="", url="https://pay.example/1", until=UNTIL)
    )
    (email,) = order.emails
    older = {name: value for name, value in email.data.items() if name not in ("next_try", "no_try_left")}

    text, _ = bodies(EmailTemplates().render(replace(email, data=older)))
    assert "You can pay again until March\u00a010, 2026" in text


def test_a_payment_to_confirm_brings_the_banks_link() -> None:
    order = placed_order()
    order.hear(OrderPaymentActionRequired(url="https://bank.example/3ds", until=UNTIL))

    assert templates(order) == ["confirm_payment"]
    assert order.emails[0].data["url"] == "https://bank.example/3ds"


def test_parcels_and_instructions_are_two_emails() -> None:
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
    order.hear(OrderItemsDelivered(items=items))

    delivery, shipment = order.emails[2:]
    assert (delivery.template, shipment.template) == ("delivery", "shipment")
    assert [item.get("link") or item.get("code") for item in delivery.data["items"]] == [
        "https://dl.example/x",
        "AB-12",
    ]
    assert delivery.data["items"][0]["expires"] == "March\u00a010, 2026, 9:30\u00a0AM UTC"
    assert shipment.data["items"][0]["tracking"] == "JD01"


def test_the_customer_reads_every_one_of_many_codes() -> None:
    """Also where they are only counted in `code`, being too long for one line."""
    codes = tuple(f"ABCDE-FGHIJ-KLMNO-{number:05}" for number in range(12))
    many = Instructions(kind="code", code="12 codes", codes=codes)
    one = Instructions(kind="code", code="AB-12")
    order, templates = paid_order(), EmailTemplates()
    order.hear(
        OrderItemsDelivered(
            items=(
                DeliveredItem(item="1", product="Keys", quantity=12, instructions=many),
                DeliveredItem(item="2", product="Gift card", quantity=1, instructions=one),
            )
        )
    )

    (email,) = order.emails[2:]
    mail = templates.render(email).decode()
    assert [mail.count(code) for code in (*codes, "AB-12")] == [2] * 13, "in text and HTML"
    older = [{name: value for name, value in item.items() if name != "codes"} for item in email.data["items"]]
    assert "AB-12" in templates.render(replace(email, data=email.data | {"items": older})).decode()


def test_each_refund_is_emailed_once() -> None:
    order = paid_order()
    refund = OrderRefunded(refund="r-1", amount=1000, currency="EUR", refunded=1000, whole=False)
    order.hear(refund)
    order.hear(refund)
    order.hear(OrderRefunded(refund="r-2", amount=1700, currency="EUR", refunded=2700, whole=True))

    refunds = order.emails[2:]
    assert [email.data["amount"] for email in refunds] == ["€10.00", "€17.00"]
    assert [email.data["whole"] for email in refunds] == [False, True]


def test_a_sold_out_order_says_that_nothing_was_charged() -> None:
    order = placed_order()
    order.hear(OrderCancelled(code="sold_out", sold_out=("atlas",)))

    assert order.emails[0].data["sold_out"] is True
    assert "not charged" in order.feed(CUSTOMER)[-1].text


def test_a_cancelled_paid_order_says_that_the_payment_is_refunded() -> None:
    order = paid_order()
    order.hear(OrderCancelled(reason="changed my mind"))

    assert order.emails[-1].data["paid"] is True
    assert "will be refunded" in order.feed(CUSTOMER)[-1].text
    assert order.feed(STAFF)[-1].text == "changed my mind"


def test_an_expired_order_is_emailed_unless_it_was_only_opened() -> None:
    order = placed_order()
    order.hear(OrderExpired(was=OrderStatus.PENDING_PAYMENT))
    opened = OrderScenario().given(OrderExpired(was=OrderStatus.CREATED))

    assert templates(order) == ["expiry"]
    assert opened.rows == {} and opened.all.entries == []


def test_staff_are_notified_of_a_failed_delivery_and_of_the_failed_order() -> None:
    order = paid_order()
    order.hear(OrderDeliveryFailed(item="1", product="Field Atlas", code="http_403", text="Give the key access."))
    order.hear(OrderFailed(reason="Field Atlas could not be delivered."))

    failure, failed, problem = order.emails[2:]
    assert (failure.template, failure.data["reason"]) == ("delivery_failure", "Give the key access.")
    assert (failed.template, failed.to) == ("order_failed", "staff@northwind.example")
    assert [entry.kind for entry in order.feed(STAFF)] == ["new_order", "delivery_failure", "order_failed"]
    assert order.feed(CUSTOMER)[-1].kind == "order_failed"
    assert (problem.template, problem.to) == ("order_problem", "ada@example.com")


def test_staff_are_notified_of_an_item_that_waits_for_them_and_the_customer_is_not() -> None:
    order = paid_order()
    order.hear(OrderDeliveryWaiting(item="1", product="Field Atlas", code="pool_empty", text="Add codes."))

    (waits,) = order.emails[2:]
    assert (waits.template, waits.to, waits.data["reason"]) == (
        "delivery_waiting",
        "staff@northwind.example",
        "Add codes.",
    )
    assert order.feed(STAFF)[-1].kind == "delivery_waiting"
    assert "delivery_waiting" not in [entry.kind for entry in order.feed(CUSTOMER)]


def test_staff_are_told_each_time_that_little_is_left() -> None:
    order = paid_order()
    for text in ("9 codes are left.", "4 codes are left."):
        order.hear(OrderSupplyLow(what="pool Game keys", text=text))

    first, second = order.emails[2:]
    assert (first.template, first.to, first.subject, second.data["reason"]) == (
        "supply_low",
        "staff@northwind.example",
        "Little is left: pool Game keys",
        "4 codes are left.",
    )
    assert order.feed(STAFF)[-1].kind == "supply_low"
    assert "supply_low" not in [entry.kind for entry in order.feed(CUSTOMER)]


def test_staff_are_notified_of_each_failed_refund() -> None:
    order = paid_order()
    for code in ("declined", "account_closed"):
        text = f"The bank says: {code}."
        order.hear(OrderRefundFailed(refund="r-1", amount=990, currency="EUR", refunded=0, code=code, text=text))

    first, second = order.emails[2:]
    assert (first.template, first.to, first.data["reason"]) == (
        "refund_failure",
        "staff@northwind.example",
        "The bank says: declined.",
    )
    assert second.data["reason"] == "The bank says: account_closed."
    assert [entry.kind for entry in order.feed(STAFF)] == ["new_order", "refund_failure", "refund_failure"]


def test_customer_and_staff_are_told_of_a_refund_that_the_bank_sent_back() -> None:
    order = paid_order()
    failed = OrderRefundFailed(refund="r-1", amount=990, currency="EUR", refunded=0, code="x", text="Returned.")
    order.hear(failed.model_copy(update={"returned": True}))

    to_staff, to_customer = order.emails[2:]
    assert (to_staff.template, to_staff.data["returned"]) == ("refund_failure", True)
    assert (to_customer.template, to_customer.audience) == ("refund_returned", "customer")
    assert order.feed(CUSTOMER)[-1].kind == "refund_returned"


def test_a_sent_email_brings_no_fact_of_its_own() -> None:
    order = paid_order()
    order.answer(order.emails[0], SendEmail.Done())

    assert [type(event) for event in order.published] == [MessageStatusRecord]
    assert [email.state for email in order.state.emails] == ["sent", "pending"]


def test_an_email_that_was_not_sent_alerts_staff_in_the_feed() -> None:
    order = paid_order()
    order.answer(order.emails[0], SendEmail.Failed("smtp_550", "No such mailbox."))
    order.let_time_pass(timedelta(hours=24))
    order.answer(order.emails[1], SendEmail.Unresolved("no answer"))

    assert [event.code for event in order.all.of(EmailFailed)] == ["smtp_550", "unresolved"]
    assert order.feed(STAFF)[1].text == "No such mailbox."
    assert order.state.pending() == 0


def test_message_ids_have_the_senders_domain_and_are_the_same_when_the_same_message_is_repeated() -> None:
    id = UUID("01900000-0000-7000-8000-0000000000aa")
    first, again = (placed_order().hear(PAID, message_id=id).emails for _ in range(2))

    assert [email.message_id for email in first] == [email.message_id for email in again]
    assert first[0].message_id.endswith("@northwind.example>")


def test_a_sender_domain_that_is_not_a_plain_host_name_is_not_in_the_message_id() -> None:
    assert message_id_domain('x@bücher>"' + "a" * 150) == "mail.invalid"


def test_a_customers_feed_is_named_after_their_id_or_else_a_hash_of_their_email() -> None:
    order = OrderScenario()
    order.hear(placed(customer=Customer(name="Ada", email="ada@example.com", id="c-7", signed_in=True)))

    assert len(order.feed("northwind~customer~c-7")) == len(order.records) == 1
    ada, also_ada = LogCustomer("x", "ADA@example.com"), LogCustomer("y", "ada@EXAMPLE.com")
    assert customer_recipient("s", ada) == customer_recipient("s", also_ada)
    assert "example" not in CUSTOMER


def test_events_of_an_order_that_was_never_placed_are_ignored() -> None:
    for event in (PAID, OrderCompleted(), OrderCancelled(), OrderFailed(reason="x"), OrderItemsDelivered(items=())):
        order = OrderScenario().given(event)
        assert order.row(NotificationLog) is None and order.all.entries == []


def test_texts_for_staff_reach_no_customer() -> None:
    """What a provider or a course platform said is about how the store is set up, or about others."""
    secret = "courses.example answers 403: the credentials lack the permission"
    order = paid_order()
    order.hear(OrderDeliveryFailed(item="1", product="Field Atlas", code="x", text=secret))
    order.hear(OrderFailed(reason=secret))
    order.hear(OrderRefundFailed(refund="r-1", amount=1, currency="EUR", refunded=0, code="x", text=secret))
    order.answer(order.emails[0], SendEmail.Failed("smtp_554", secret))
    order.answer(order.emails[1], SendEmail.Failed("gave_up", secret), after=[secret])

    assert len(order.feed(CUSTOMER)) == 3
    shown = [*order.feed(CUSTOMER), *(email for email in order.emails if email.audience == "customer")]
    said = "answers 403"  # the bare number may occur in an id
    assert not [one for one in shown if said in str(one) or said in str(getattr(one, "data", ""))]
    assert said in str(order.feed(STAFF)), "staff read it"


def test_staff_are_told_once_of_each_stray_charge() -> None:
    order = paid_order()
    stray = OrderStrayCharge(amount=50, currency="EUR", transaction="pi_x")
    order.hear(stray).hear(stray).hear(OrderStrayCharge(amount=50, currency="EUR", transaction="pi_y"))
    assert templates(order)[2:] == ["stray_charge", "stray_charge"]
    assert order.emails[2].to == "staff@northwind.example"
    assert [entry.kind for entry in order.feed(STAFF)] == ["new_order", "stray_charge", "stray_charge"]
