"""What a store's settings do to its orders."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.checkout.domain.delivery import TO_COMPLETE
from services.checkout.domain.order import PaymentOverdue, PaymentReminder
from services.checkout.domain.store import Store
from services.checkout.domain.verification import BoughtBefore, bought_before, needed_to_hold
from shared.contracts.checkout import (
    CancelOrder,
    CompleteOrder,
    OrderItemsDelivered,
    OrderPaymentReminder,
    OrderPaymentRequested,
    OrderPlaced,
)
from shared.contracts.delivery_work import DeliveryNoted
from shared.contracts.fulfillment import StockReserved
from shared.contracts.payments import PaymentDeclined
from shared.contracts.storefront import CheckoutSubmitted, PaymentChoice
from shared.contracts.values import OrderStatus, TaxLine
from shared.core import Ref
from tests.unit.checkout.examples import (
    ADA,
    HOME,
    OPENED,
    OrderScenario,
    captured,
    delivered,
    refunded,
    store,
    submission,
)
from tests.unit.checkout.test_store_settings import change, problems, shop


def order(of: dict[str, Any] | None = None, **groups: Any) -> OrderScenario:
    """An order of a store with these settings. `of`: fields of `store.configure`."""
    scenario = OrderScenario()
    scenario.hear(store(**(of or {})), "northwind").hear(change(**groups), "northwind")
    return scenario


def test_a_checkout_gives_its_prices_as_the_store_does() -> None:
    taxes = (TaxLine(rate="19", country="DE", amount=190),)
    included = submission("course", tax=190, taxes=taxes, prices_include_tax=True, total=1000, purchased=1000)
    added = submission("course", tax=190, taxes=taxes)
    for wanted, right, wrong in ((True, included, added), (False, added, included)):
        one = order(money={"prices_include_tax": wanted})
        assert [problem.code for problem in one.refuses(wrong).problems] == ["other_prices"]
        assert one.hear(right).state.prices_include_tax is wanted
    order().hear(included)
    order().hear(added)


def test_only_the_methods_of_the_store_can_be_chosen() -> None:
    offer = {"payment_providers": ("stripe", "manual")}
    one = order(of=offer, payment={"methods": {"manual": ("cash", "bank_transfer")}})
    refused = one.refuses(submission(payment=PaymentChoice(provider="manual", method="other")))
    assert [(problem.field, problem.code) for problem in refused.problems] == [("payment.method", "unknown_method")]

    one.hear(submission(payment=PaymentChoice(provider="manual"))).hear(StockReserved(), actor="system")
    assert [request.method for request in one.last.of(OrderPaymentRequested)] == ["cash"], "the first is the usual one"


def test_the_store_has_words_of_its_own_for_what_people_see() -> None:
    words = {"processing": "Paid", "refunded": "Money back"}
    one = order(words={"statuses": words}, money={"show_partial_refund_as_refunded": True})
    one.given(OPENED, submission("course", "game"), StockReserved())
    assert one.record().status_word is None
    assert one.hear(captured(3500)).record().status_word == "Paid"
    assert one.hear(refunded(500, of=3500)).record().status_word == "Money back"


# Held for verification


HELD = {
    "hold_total_above": {"USD": 3400},
    "hold_other_country": True,
    "hold_email_domains": ("throwaway.example", "bücher.example"),
}


def test_an_order_is_held_with_every_reason_and_told_so() -> None:
    one = order(fulfilment=HELD)
    customer = ADA.model_copy(update={"email": "ada@mail.Throwaway.example"})
    berlin = HOME.model_copy(update={"country": "DE"})
    one.hear(submission("course", "game", "atlas", customer=customer, billing=berlin))
    why = "65.00 USD is above 34.00 USD; billed in DE, shipped to GB; an email address at throwaway.example"
    assert one.last.of(OrderPlaced)[0].held == one.record().held == why
    assert f"Held for verification: {why}." in one.timeline[-1].text and "ada@" not in one.timeline[-1].text

    one.hear(StockReserved(), actor="system").hear(captured(6500))
    assert one.record().message == f"Held for verification: {why}."
    one.hear(DeliveryNoted(action="released", text="Ada called."))
    assert (one.record().held, one.record().message) == (None, None)


@pytest.mark.parametrize(
    "checkout",
    [
        submission("course"),
        submission("game", customer=ADA.model_copy(update={"email": "ada@notthrowaway.example"})),
        submission("atlas", billing=HOME),
        submission("atlas", country="GB"),
        submission("course", billing=HOME),
    ],
)
def test_what_breaks_no_rule_is_not_held(checkout: CheckoutSubmitted) -> None:
    one = order(fulfilment=HELD).hear(checkout)
    assert one.last.of(OrderPlaced)[0].held is one.record().held is None


def test_an_address_is_at_a_domain_also_in_other_letters() -> None:
    customer = ADA.model_copy(update={"email": "ada@xn--bcher-kva.example"})
    assert order(fulfilment=HELD).hear(submission("course", customer=customer)).record().held


def test_what_is_cancelled_is_held_no_more() -> None:
    one = order(fulfilment=HELD | {"start_by_hand": True}).hear(submission("course", "game"))
    assert one.record().held
    assert one.hear(CancelOrder()).record().held is None


def test_the_reason_fits_whatever_the_rules_are() -> None:
    many = tuple(f"{'x' * 60}.{number}.throwaway.example" for number in range(100))
    one = order(fulfilment={"hold_email_domains": ("throwaway.example", "example", *many)})
    customer = ADA.model_copy(update={"email": "ada@throwaway.example"})
    assert one.hear(submission("course", customer=customer)).record().held == "an email address at throwaway.example"
    too_many = change(fulfilment={"hold_email_domains": tuple(f"d{number}.example" for number in range(201))})
    assert problems(shop(), too_many) == {("fulfilment.hold_email_domains", "too_many")}


def test_staff_hold_and_release_an_order_by_hand() -> None:
    one = order().hear(submission("course")).hear(DeliveryNoted(action="held", text="The address looks odd."))
    assert one.record().held == "The address looks odd."


def test_what_is_cancelled_is_not_held_again() -> None:
    one = order().given(
        submission("course"), CancelOrder(), DeliveryNoted(action="held", text="The address looks odd.")
    )
    assert one.record().held is None
    assert one.timeline[-1].text.endswith("(No effect: the order is cancelled.)")


# First orders

FIRST = {"hold_first_order": True}
GRACE = ADA.model_copy(update={"name": "Grace Hopper", "email": "grace@example.com", "id": "c-7", "signed_in": True})
NEVER_BOUGHT = "the customer has not bought here before"


def test_the_first_order_of_a_customer_is_held() -> None:
    one = order(fulfilment=FIRST).hear(submission("course"))
    assert one.last.of(OrderPlaced)[0].held == one.record().held == NEVER_BOUGHT

    one.hear(StockReserved(), actor="system").hear(captured(1000))
    assert one.record().message == f"Held for verification: {NEVER_BOUGHT}."


def test_who_has_bought_before_is_not_held() -> None:
    one = order(fulfilment=FIRST)
    one.answers[BoughtBefore("northwind", "ada@example.com", "")] = True
    assert one.hear(submission("course")).record().held is None


def test_a_customer_is_known_by_the_address_in_any_letters_and_by_the_account_if_signed_in() -> None:
    asked = [
        bought_before("northwind", customer) for customer in (ADA, GRACE, GRACE.model_copy(update={"signed_in": False}))
    ]
    assert asked == [
        BoughtBefore("northwind", "ada@example.com", ""),
        BoughtBefore("northwind", "grace@example.com", "c-7"),
        BoughtBefore("northwind", "grace@example.com", ""),
    ]


def test_a_first_order_that_breaks_other_rules_is_held_with_every_reason() -> None:
    one = order(fulfilment=FIRST | {"hold_total_above": {"USD": 999}}).hear(submission("course"))
    assert one.record().held == f"{NEVER_BOUGHT}; 10.00 USD is above 9.99 USD"


def test_a_store_without_the_rule_asks_for_no_other_orders() -> None:
    without, of = order().row(Store, "northwind"), order(fulfilment=FIRST).row(Store, "northwind")
    asked = [[*needed_to_hold(submission(), "o-1", None, {Ref(Store, "northwind"): it})] for it in (without, of, None)]
    assert asked == [[], [BoughtBefore("northwind", "ada@example.com", "")], []]


def test_a_held_first_order_is_not_accepted_by_rule() -> None:
    by_rule = {"approval": "rule", "capture": "approval", "accept_up_to": {"USD": 5000}}
    one = order(orders=by_rule, fulfilment=FIRST).given(submission("course"), StockReserved())
    assert one.state.status is OrderStatus.RECEIVED


# By hand


def test_an_order_says_that_staff_start_its_delivery() -> None:
    one = order(fulfilment={"start_by_hand": True})
    one.given(submission("course"), StockReserved(), captured(1000))
    assert one.all.of(OrderPlaced)[0].store.start_by_hand
    assert one.record().message == "Waits for staff to start its delivery."
    assert one.hear(DeliveryNoted(action="started")).record().message is None


def test_an_order_is_completed_by_hand_only() -> None:
    one = order(fulfilment={"complete_by_hand": True})
    one.given(submission("course", "game"), StockReserved(), captured(3500), delivered("1"))
    one.hear(delivered("2"))
    assert (one.record().status, one.record().message) == (OrderStatus.PROCESSING, TO_COMPLETE)
    assert [len(sent.items) for sent in one.all.of(OrderItemsDelivered)] == [1, 1], "the customer has it all the same"
    assert one.record().fulfilment_status == "fulfilled"
    assert one.hear(CompleteOrder()).record().status is OrderStatus.COMPLETED


def test_rules_that_contradict_others_are_named() -> None:
    wrong = {"hold_total_above": {"USD": 1, "EUR": 1}, "hold_email_domains": ("ok.example", "not ok")}
    assert problems(shop(), change(fulfilment=wrong)) == {
        ("fulfilment.hold_total_above.EUR", "contradiction"),
        ("fulfilment.hold_email_domains.1", "bad_domain"),
    }


# Reminders

DAY = timedelta(days=1)
REMINDERS = {"reminders": (1 * DAY, 3 * DAY, 6 * DAY)}
DECLINED = PaymentDeclined(attempt=1, code="card_declined", text="Your card was declined.", provider="stripe")


def reminded(one: OrderScenario) -> list[tuple[int, bool]]:
    return [(sent.reminder, sent.declined) for sent in one.all.of(OrderPaymentReminder)]


def test_a_declined_customer_is_reminded_from_the_first_decline_on() -> None:
    one = order(payment=REMINDERS)
    one.given(submission("course"), StockReserved()).let_time_pass(timedelta(hours=2)).hear(DECLINED)
    so_far = []
    for days in (0.9, 0.2, 1.8, 0.2, 2.8, 0.2):  # to a little before and after days 1, 3 and 6
        so_far.append(len(reminded(one.let_time_pass(days * DAY))))
    assert so_far == [0, 1, 1, 2, 2, 3]
    assert reminded(one) == [(1, True), (2, True), (3, True)]
    assert {sent.url for sent in one.all.of(OrderPaymentReminder)} == {one.state.page(one.key)}
    one.let_time_pass(DAY)
    assert one.state.status is OrderStatus.EXPIRED


def test_who_pays_by_bank_transfer_is_reminded_from_the_submission_on_until_it_is_paid() -> None:
    one = order({"payment_providers": ("manual",)}, payment=REMINDERS)
    one.given(submission("course", payment=PaymentChoice(provider="manual")), StockReserved()).let_time_pass(1.5 * DAY)
    assert reminded(one) == [(1, False)]
    assert "Reminder 1" in one.timeline[-1].text
    one.hear(captured(1000)).let_time_pass(5 * DAY)
    assert reminded(one) == [(1, False)]


def test_who_cannot_pay_is_not_reminded() -> None:
    one = order(payment=REMINDERS | {"tries": 1, "providers": ("stripe", "manual")})
    one.given(submission("course"), StockReserved(), DECLINED)
    one.hear(PaymentReminder()).let_time_pass(6.5 * DAY)
    assert reminded(one) == []
    assert one.timeline[-1].text == "Time to remind of the payment. (No effect: the order is failed.)"


def test_a_reminder_that_comes_too_late_says_why_it_is_left_out() -> None:
    one = order(payment=REMINDERS).given(submission("course"), StockReserved())
    assert one.let_go_off(PaymentOverdue).hear(PaymentReminder()).facts == []
    assert one.timeline[-1].text == "Time to remind of the payment. (No effect: the time to pay is over.)"
    one.hear(CancelOrder()).hear(PaymentReminder())
    assert one.timeline[-1].text == "Time to remind of the payment. (No effect: the order is cancelled.)"


def test_reminders_come_within_the_grace_one_after_the_other() -> None:
    wrong = {"reminders": (3 * DAY, 1 * DAY, 7 * DAY), "tries": 1}
    assert problems(shop(), change(payment=wrong)) == {
        ("payment.reminders", "out_of_order"),
        ("payment.reminders", "contradiction"),
    }
    texts = [problem.text for problem in shop().refuses(change(payment=wrong)).problems]
    assert sum("payment.grace" in text or "payment.tries" in text for text in texts) == 2
    assert problems(shop(), change(payment={"reminders": tuple(n * DAY / 2 for n in range(1, 12))})) == {
        ("payment.reminders", "too_many")
    }


def test_an_order_of_a_store_without_reminders_has_none() -> None:
    one = order().given(submission("course"), StockReserved(), DECLINED).let_time_pass(6.5 * DAY)
    assert reminded(one) == []
