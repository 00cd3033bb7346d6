"""What a store's settings do to its orders."""

from __future__ import annotations

from typing import Any

import pytest

from services.checkout.domain.delivery import TO_COMPLETE
from shared.contracts.checkout import CompleteOrder, OrderItemsDelivered, OrderPaymentRequested, OrderPlaced
from shared.contracts.delivery_work import DeliveryNoted
from shared.contracts.fulfillment import StockReserved
from shared.contracts.storefront import CheckoutSubmitted, PaymentChoice
from shared.contracts.values import OrderStatus, TaxLine
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


def test_staff_hold_and_release_an_order_by_hand() -> None:
    one = order().hear(submission("course")).hear(DeliveryNoted(action="held", text="The address looks odd."))
    assert one.record().held == "The address looks odd."


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
