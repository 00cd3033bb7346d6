"""What a store's settings do to its orders."""

from __future__ import annotations

from typing import Any

from shared.contracts.checkout import OrderPaymentRequested
from shared.contracts.fulfillment import StockReserved
from shared.contracts.storefront import PaymentChoice
from shared.contracts.values import TaxLine
from tests.unit.checkout.examples import OPENED, OrderScenario, captured, refunded, store, submission
from tests.unit.checkout.test_store_settings import change


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
