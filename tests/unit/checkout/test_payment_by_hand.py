"""A store whose customers may pay by hand: an order waits for the money, and can be paid by card instead."""

from __future__ import annotations

from typing import Any

import pytest

from services.checkout.domain.order import ChargeState
from services.checkout.domain.store import stores
from shared.contracts.checkout import OrderPaymentRequested
from shared.contracts.fulfillment import StockReserved
from shared.contracts.storefront import CheckoutPaymentRetried, PaymentChoice
from shared.contracts.values import OrderStatus
from shared.core import Refused, Scenario
from tests.unit.checkout.examples import OPENED, OrderScenario, captured, store, submission

BY_HAND = PaymentChoice(provider="manual", method="cash")
CARD = CheckoutPaymentRetried(payment=PaymentChoice(provider="stripe", payment_method="pm_card_visa"))


def order_of(payment: PaymentChoice, *providers: str, **more: Any) -> OrderScenario:
    order = OrderScenario().hear(store(payment_providers=providers or ("stripe", "manual")), "northwind")
    return order.given(OPENED, submission("course", payment=payment, **more), StockReserved())


def requests(order: OrderScenario) -> list[tuple[str | None, str | None]]:
    return [(it.provider, it.method) for it in order.all.of(OrderPaymentRequested)]


def problems(refused: Refused) -> list[tuple[str, str]]:
    return [(problem.field, problem.code) for problem in refused.problems]


def test_the_order_waits_for_the_money() -> None:
    order = order_of(BY_HAND)
    assert requests(order) == [("manual", "cash")]
    assert order.state.charge is ChargeState.ACTION_REQUIRED
    assert order.record().message == "Waits for the payment: cash."
    order.hear(captured(1000))
    assert order.state.status is OrderStatus.PROCESSING


def test_the_customer_may_pay_by_card_instead() -> None:
    order = order_of(BY_HAND).hear(CARD)
    assert requests(order) == [("manual", "cash"), ("stripe", "card")]
    assert order.state.charge is ChargeState.IN_PROGRESS


def test_the_first_provider_of_the_store_is_meant_where_none_is_named() -> None:
    assert requests(order_of(PaymentChoice(payment_method="pm_card_visa"))) == [("stripe", "card")]
    assert requests(order_of(PaymentChoice(), "manual")) == [("manual", "bank_transfer")]


@pytest.mark.parametrize(
    ("payment", "offered", "wrong"),
    [
        (BY_HAND, ("stripe",), [("payment.provider", "provider_not_offered")]),
        (PaymentChoice(provider="paypal"), ("stripe", "manual"), [("payment.provider", "provider_not_offered")]),
        (
            PaymentChoice(provider="manual", method="card", token="tok_visa"),  # Stripe's test token
            ("stripe", "manual"),
            [("payment.method", "unknown_method"), ("payment.token", "payment_ambiguous")],
        ),
        (PaymentChoice(provider="stripe"), ("stripe", "manual"), [("payment", "payment_missing")]),
    ],
)
def test_what_does_not_fit_is_named(payment: PaymentChoice, offered: tuple[str, ...], wrong: object) -> None:
    order = OrderScenario().hear(store(payment_providers=offered), "northwind").hear(OPENED)
    assert problems(order.refuses(submission("course", payment=payment))) == wrong


def test_what_no_card_can_pay_can_be_paid_by_hand() -> None:
    """Its amount is checked when the customer changes to a card, too."""
    order = OrderScenario().hear(store(payment_providers=("stripe", "manual")), "northwind")
    cheap = submission("course", discount=970, payment=PaymentChoice(payment_method="pm_card_visa"))
    assert problems(order.given(OPENED).refuses(cheap)) == [("purchased", "amount_too_small")]
    order.given(cheap.model_copy(update={"payment": BY_HAND}), StockReserved())
    assert problems(order.refuses(CARD)) == [("payment.provider", "amount_too_small")]


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"payment_providers": ()}, [("payment_providers", "missing")]),
        ({"payment_providers": ("stripe", "paypal")}, [("payment_providers.1", "unknown_provider")]),
        ({"currencies": ("USD", "SYP")}, [("currencies.1", "currency_not_chargeable")]),
    ],
)
def test_a_store_offers_providers_that_there_are(settings: dict[str, Any], wrong: object) -> None:
    assert problems(Scenario(stores).refuses(store(**settings), "northwind")) == wrong


def test_a_store_without_cards_may_have_any_currency() -> None:
    Scenario(stores).hear(store(currencies=("SYP",), payment_providers=("manual",)), "northwind")
