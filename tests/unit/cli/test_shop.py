"""`orderbus shop`: what can be bought, and by which card."""

from __future__ import annotations

import json

from deploy.cli.shop import COLUMNS, rows_of
from deploy.demo.catalogue import load
from deploy.sandboxes.stripe.cards import CARDS
from tests.unit.cli.conftest import Orderbus


def test_each_product_names_the_stores_that_sell_it() -> None:
    catalogue = load("http://127.0.0.1:1")
    stores = {row[COLUMNS.index("sku")]: row[COLUMNS.index("stores")].split(", ") for row in rows_of(catalogue)}
    assert set(stores) == set(catalogue.products)
    for store in catalogue.stores:
        assert {sku for sku, names in stores.items() if store in names} == {it.sku for it in catalogue.sold_by(store)}


def test_the_cards_are_listed_without_a_stack(orderbus: Orderbus) -> None:
    said = orderbus("shop", "--cards")
    listed = {line.split()[0]: line for line in said.out.splitlines()[1:]}
    assert set(listed) == {f"pm_card_{name}" for name in CARDS}
    for card, what in (
        ("visa", "pays"),
        ("visa_chargeDeclinedInsufficientFunds", "is declined: insufficient_funds"),
        ("threeDSecure2Required", "asks for 3-D Secure, then pays"),
        ("threeDSecureRequiredChargeDeclined", "asks for 3-D Secure, then is declined: generic_decline"),
        ("authenticationRequiredOnSetup", "asks for 3-D Secure unless it was kept before, then pays"),
        ("chargeCustomerFail", "can be kept, and is declined when it is charged: generic_decline"),
        ("refundFail", "pays; its refunds come back from the bank"),
        ("pendingRefund", "pays; its refunds are pending at first"),
    ):
        assert listed[f"pm_card_{card}"].endswith(f"{CARDS[card].number}  {what}")
    assert len(json.loads(orderbus("shop", "--cards", "--json").out)["cards"]) == len(CARDS)
