"""The presets in `deploy/stores/`: their settings are valid, and their stories use what there is."""

from __future__ import annotations

import orjson
import pytest

from deploy.demo.basket import COUNTRIES, FIELDS
from deploy.demo.preset import Preset, load_preset, names
from deploy.demo.preset_stories import STEPS
from services.checkout.domain.store import stores
from shared.contracts.envelope import decode
from shared.contracts.fulfillment import ConfigureProduct
from shared.contracts.store_settings import ChangeStore
from shared.contracts.stores import DefineProduct, DefineSku
from shared.core import Scenario


@pytest.fixture(params=names())
def preset(request: pytest.FixtureRequest) -> Preset:
    return load_preset(request.param, "http://outside.example")


def test_there_is_one_for_each_kind_of_store() -> None:
    assert names() == ["checkout", "course", "game", "request", "sku"]


def test_its_settings_are_accepted(preset: Preset) -> None:
    command = decode(ChangeStore, orjson.dumps({"settings": preset.settings}))
    assert Scenario(stores, key=preset.id).hear(command).state.card.id == preset.id


def test_it_differs_from_the_others_by_settings_and_sells_for_them(preset: Preset) -> None:
    currencies = set(preset.settings["payment"]["currencies"])
    for product in preset.catalogue.products.values():
        assert currencies <= product.prices.keys()
        assert set(product.fields) <= FIELDS.keys()
        decode(ConfigureProduct, orjson.dumps({"action": product.action, "further": product.further}))
        decode(DefineSku, orjson.dumps({"product": product.product, "prices": product.prices}))


def test_its_stories_can_be_told(preset: Preset) -> None:
    assert preset.stories
    for story in preset.stories:
        assert story.country in COUNTRIES and {step.partition(" ")[0] for step in story.steps} <= STEPS.keys()
        assert {sku for sku, _ in story.buys} <= preset.catalogue.products.keys()


def test_a_product_has_several_skus() -> None:
    preset = load_preset("sku", "")
    command = decode(DefineProduct, orjson.dumps(preset.products["coat"]))
    assert isinstance(command, DefineProduct) and [*command.skus] == ["coat-s", "coat-l"]
    assert {product.product for product in preset.catalogue.products.values()} == {command.name}
