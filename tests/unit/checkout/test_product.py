"""Products that are sold as several SKUs."""

from __future__ import annotations

from typing import Any

from services.checkout.domain.product import Product, products
from services.checkout.domain.sku import Sku, skus
from services.checkout.domain.store import stores
from shared.contracts.stores import DefineProduct, ProductSku
from shared.core import Scenario
from tests.unit.checkout.examples import HOME, OrderScenario, sku, store, submission

SIZES = {"coat-s": ProductSku(prices={"USD": 1000}), "coat-l": ProductSku(prices={"USD": 1200})}


def coat(**changes: Any) -> DefineProduct:
    fields: dict[str, Any] = {"name": "Oilskin coat", "skus": SIZES, "shippable": True}
    return DefineProduct(**(fields | changes))


def shop() -> Scenario[Product]:
    return empty_shop().hear(coat(), "northwind/coat")


def empty_shop() -> Scenario[Product]:
    return Scenario(products, skus, stores, key="northwind/coat").hear(store(), "northwind")


def found(scenario: Scenario[Product], name: str) -> Sku:
    row = scenario.row(Sku, f"northwind/{name}")
    assert row is not None
    return row


def test_its_name_thumbnail_and_shipping_are_those_of_all_its_skus() -> None:
    scenario = shop()
    small, large = found(scenario, "coat-s"), found(scenario, "coat-l")
    assert (small.product, small.shippable, small.of, small.prices) == ("Oilskin coat", True, "coat", {"USD": 1000})
    assert large.prices == {"USD": 1200}

    scenario.hear(coat(name="Rain coat", shippable=False, thumbnail="https://img.example/coat.jpg"), "northwind/coat")
    for name in SIZES:
        one = found(scenario, name)
        assert (one.product, one.shippable, one.thumbnail) == ("Rain coat", False, "https://img.example/coat.jpg")


def test_a_sku_that_it_has_no_more_is_sold_no_more_until_it_has_it_again() -> None:
    scenario = shop().hear(coat(skus={"coat-s": SIZES["coat-s"]}), "northwind/coat")
    assert [found(scenario, name).active for name in ("coat-s", "coat-l")] == [True, False]
    assert found(scenario, "coat-l").prices == {"USD": 1200}
    assert found(scenario.hear(coat(), "northwind/coat"), "coat-l").active


def test_a_sku_belongs_to_one_product() -> None:
    scenario = shop()
    assert scenario.refuses(sku("course"), "northwind/coat-s").code == "sku_of_product"
    other = coat(skus={"coat-l": SIZES["coat-l"], "hat": ProductSku(prices={"USD": 500})})
    refused = scenario.refuses(other, "northwind/hats")
    assert [(problem.field, problem.code) for problem in refused.problems] == [("skus.coat-l", "other_product")]
    assert scenario.row(Sku, "northwind/hat") is None


def test_a_sku_that_was_defined_by_itself_can_become_one_of_a_product() -> None:
    scenario = empty_shop().hear(sku("course"), "northwind/coat-s")
    assert found(scenario.hear(coat(), "northwind/coat"), "coat-s").product == "Oilskin coat"


def test_what_is_wrong_is_refused() -> None:
    many = {f"coat-{number}": SIZES["coat-s"] for number in range(201)}
    for wrong, code in ((coat(skus={}), "missing"), (coat(skus=many), "too_many")):
        assert [problem.code for problem in shop().refuses(wrong, "northwind/coat").problems] == [code]
    assert shop().refuses(coat(), "northwind/a/b").code == "bad_product_key"


def test_its_skus_are_bought_like_any_other() -> None:
    rows = shop().rows
    order = OrderScenario()
    for ref, row in rows.items():
        order.put(ref.kind, ref.key, row)
    checkout = submission("coat-s", subtotal=1000, total=1000, purchased=1000, shipping=HOME)
    items = (checkout.items[0].model_copy(update={"unit_price": 1000}),)
    order.hear(checkout.model_copy(update={"items": items}))
    assert [(line.item.product, line.item.shippable) for line in order.state.lines] == [("Oilskin coat", True)]


def test_nothing_is_defined_for_a_store_that_does_not_exist() -> None:
    nowhere = Scenario(products, skus, stores, key="northwind/coat")
    for command in (coat(), sku("course")):
        refused = nowhere.refuses(command, "northwind/coat")
        assert (refused.code, refused.text) == ("unknown_store", "There is no store northwind: define it first.")
