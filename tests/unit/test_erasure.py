"""Erasure: what each service knows of a customer is out of its states and status records, and late messages do not
bring it back. Amounts stay."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from services.checkout.domain.erasure import why_not
from services.checkout.domain.order import ChargeState, Order
from services.checkout.domain.person import OrderKept
from services.fulfillment.domain.delivery import Delivery
from services.fulfillment.domain.operations import SignDownload
from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import PostWebhook, SendEmail
from services.payments.domain.payment import Payment
from shared.contracts.checkout import OrderCancelled, OrderItemsDelivered, OrderRefunded
from shared.contracts.erasure import EraseCustomer, OrderErased
from shared.contracts.fulfillment import StockReserved
from shared.contracts.order_work import MessageOrder, NoteOrder
from shared.contracts.payments import RefundPayment
from shared.contracts.storefront import CheckoutAsked, SubmittedItem
from shared.contracts.values import Address, BillingField, Customer, Instructions, OrderStatus, PaymentStatus
from shared.core import Event, codec
from shared.core.erasure import Erasure
from tests.unit.checkout import examples as checkout
from tests.unit.fulfillment import examples as fulfillment
from tests.unit.notifications import examples as notifications
from tests.unit.payments import examples as payments

MARK = "Xenoclea"
PERSON = Customer(
    name=f"{MARK} Delphi",
    email=f"{MARK}@example.org",
    id=f"c-{MARK}",
    phone=f"+30 {MARK}",
    signed_in=True,
    account_link=f"https://store.example/{MARK}",
)
HOME = Address(name=MARK, line1=f"{MARK} Street", city=f"{MARK}polis", country="GR", phone=MARK)
ERASED = OrderErased(number="ORD-ABCDEFGH12", store="northwind")


def is_in(*values: object) -> bool:
    texts = (value.model_dump_json() if isinstance(value, Event) else codec.dump(value).decode() for value in values)
    return any(MARK.lower() in text.lower() for text in texts)


def bought(*skus: str) -> checkout.OrderScenario:
    items = tuple(
        SubmittedItem(sku=sku, quantity=1, unit_price=checkout.PRICES[sku], custom_fields={"Name": MARK})
        for sku in skus
    )
    opened = checkout.OPENED.model_copy(update={"email": PERSON.email, "locale": "el"})
    submitted = checkout.submission(
        *skus,
        customer=PERSON,
        items=items,
        billing=HOME,
        shipping=HOME,
        company=f"{MARK} Ltd",
        vat_number=f"EL{MARK}",
        billing_fields=(BillingField(label="Who", value=MARK),),
    )
    order = checkout.OrderScenario(opened, submitted)
    return order.given(StockReserved(), checkout.captured(order.state.purchased))


def completed() -> checkout.OrderScenario:
    order = bought("course")
    order.given(NoteOrder(text=MARK), checkout.delivered("1"))
    assert order.state.status is OrderStatus.COMPLETED
    return order


def test_an_order_forgets_its_customer_and_keeps_its_amounts() -> None:
    order = completed()
    before = order.state
    assert is_in(order.state, order.record())

    order.hear(EraseCustomer())

    assert not is_in(order.state, order.record(), *order.facts)
    assert [type(fact) for fact in order.facts] == [OrderErased]
    assert order.record().erased_at == order.at
    amounts = ("purchased", "paid", "refunded", "total", "tax", "subtotal", "taxes", "discounts", "country", "number")
    assert [getattr(order.state, name) for name in amounts] == [getattr(before, name) for name in amounts]
    assert len(order.all.of(Erasure)) == 1
    assert order.state.status is OrderStatus.COMPLETED


def test_no_later_message_brings_it_back() -> None:
    order = completed().given(EraseCustomer())
    order.given(checkout.refunded(1000, 1000))
    order.given(checkout.delivered("1"))
    assert not is_in(order.state, order.record())
    assert order.state.status is OrderStatus.REFUNDED
    assert order.state.erased_at is not None
    for late in (
        NoteOrder(text=MARK),
        MessageOrder(sender="customer", text=MARK, written_at=order.at),
        CheckoutAsked(wants="refund", text=MARK),
    ):
        assert order.refuses(late).code == "erased"


def test_it_is_erased_by_itself_when_it_was_kept_long_enough() -> None:
    order = bought("course")
    card = order.state.store.model_copy(update={"keep_orders": timedelta(days=30)})
    order.put(Order, order.key, dataclasses.replace(order.state, store=card))
    order.given(checkout.delivered("1"))
    order.let_time_pass(timedelta(days=29))
    assert order.state.erased_at is None
    order.let_time_pass(timedelta(days=1))
    assert order.state.erased_at is not None
    assert not is_in(order.state, order.record())
    assert order.timer(OrderKept) is None


def test_it_may_be_erased_once_more() -> None:
    order = completed().given(EraseCustomer())
    first = order.state.erased_at
    order.hear(EraseCustomer())
    assert order.state.erased_at == first
    assert len(order.all.of(Erasure)) == 2


def test_a_checkout_that_was_only_opened_expires_with_it() -> None:
    order = checkout.OrderScenario(checkout.OPENED.model_copy(update={"email": PERSON.email}))
    order.hear(EraseCustomer())
    assert order.state.status is OrderStatus.EXPIRED
    assert not is_in(order.state, order.record())


def test_an_order_under_way_is_refused() -> None:
    order = bought("course")
    assert order.refuses(EraseCustomer()).code == "under_way"
    assert is_in(order.state)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"payment_status": PaymentStatus.DISPUTED}, "disputed"),
        ({"charge": ChargeState.UNRESOLVED}, "under_way"),
        ({"under_way": 1}, "under_way"),
        ({"status": OrderStatus.CANCELLED}, "money_owed"),
        ({}, ""),
    ],
)
def test_what_refuses_it(changed: dict[str, Any], code: str) -> None:
    refused = why_not(dataclasses.replace(completed().state, **changed))
    assert (refused.code if refused else "") == code


def test_a_payment_forgets_card_and_texts_and_keeps_amounts() -> None:
    payment = payments.PaymentScenario(payments.requested(customer_email=PERSON.email)).pay()
    payment.given(RefundPayment(amount=500, note=MARK)).make_refund()
    assert payment.told().attempts[0].card
    before = payment.state

    payment.hear(ERASED)

    assert not is_in(payment.state, payment.told())
    assert payment.told().attempts[0].card is None
    sums = ("captured", "refunded", "pending", "owed", "status", "authorised")
    assert [getattr(payment.state, name) for name in sums] == [getattr(before, name) for name in sums]
    assert payment.ledger() == {"provider_balance": 4500, "sales": -4500}
    payment.given(RefundPayment(note=MARK)).make_refund()
    assert not is_in(payment.state, payment.told())
    assert payment.state.refunded == 5000


def test_a_delivery_forgets_who_got_it() -> None:
    shop = fulfillment.Shop()
    item = fulfillment.line("1", "ebook").model_copy(update={"custom_fields": {"Name": MARK}})
    shop.given(fulfillment.placed(item).model_copy(update={"customer": PERSON}), fulfillment.PAID)
    shop.answer(SignDownload, SignDownload.Done(f"https://get.example/{MARK}"))
    assert is_in(shop.state)

    shop.hear(ERASED)

    assert not is_in(shop.state, *shop.told()[-1:])
    assert shop.item().instructions == Instructions(kind="download")
    shop.hear(OrderCancelled())
    assert not is_in(shop.state, *shop.told()[-1:])


def notified() -> notifications.OrderScenario:
    order = notifications.OrderScenario(notifications.webhook())
    order.given(notifications.placed(customer=PERSON), notifications.PAID)
    return order


def test_nothing_more_is_sent_of_an_erased_order() -> None:
    order = notified()
    order.answer(order.emails[0], SendEmail.Failed("refused", f"no mailbox {PERSON.email}"))
    assert is_in(order.state)

    order.hear(ERASED)

    assert not is_in(order.state)
    assert order.state.pending() == 0
    emails, posts = len(order.emails), len(order.posts())
    order.hear(OrderRefunded(refund="r", amount=1, currency="EUR", refunded=1, whole=False))
    order.hear(OrderItemsDelivered(items=()))
    assert (len(order.emails), len(order.posts())) == (emails, posts)


def test_what_was_being_sent_ends_and_brings_nothing_back() -> None:
    order = notified()
    email, post = order.emails[-1], order.posts()[0]
    order.hear(ERASED)
    order.answer(email, SendEmail.Failed("refused", f"no mailbox {PERSON.email}"))
    order.answer(post, PostWebhook.Done(200))
    assert not is_in(order.state)


KEPT = {
    Order: """number store currency grace created_at updated_at status payment_status revision statement_descriptor
        lines extras under_way subtotal discount tax total purchased prices_include_tax paid refunded refunds
        failed_refunds discounts taxes country offer origin reserved attempts payment_providers payment_tries
        payment_cool_down show_partial_refund_as_refunded declines declined_at retry_after charge deadline closing
        placed_at paid_at completed_at closed_at return_refunds payment_methods complete_by_hand to_start reminders
        reminded verification verification_amount card_check verifications payable_since accepted_by_rule elsewhere
        given restored other_amount in_ledger erased_at""",
    Payment: """number store provider currency items attempts refunds closing closed_as strays early_refunds revision
        updated_at verifications erased_at""",
    Delivery: """stage store items revision updated_at number held held_since reminder to_start pause_told
        erased_at""",
    NotificationLog: """number store lines currency subtotal discount tax total purchased prices_include_tax paid
        failed facts emails deliveries revision updated_at amount_paid erased_at""",
}
"""Of these fields nothing, or a part, is erased. A new field is to be in one of the two lists."""
EMPTIED = {
    Order: """customer billing shipping locale choice pay_url message held return_refused refused_refunds completion
        opened details notes messages asked terms_accepted_at""",
    Payment: "waiting page",
    Delivery: "customer",
    NotificationLog: "customer locale",
}


@pytest.mark.parametrize("kind", KEPT)
def test_of_every_field_it_is_decided_whether_it_is_erased(kind: type[Any]) -> None:
    fields = {field.name for field in dataclasses.fields(kind)}
    kept, emptied = set(KEPT[kind].split()), set(EMPTIED[kind].split())
    assert fields == kept | emptied
    assert not kept & emptied
