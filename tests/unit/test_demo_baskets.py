"""The demo's checkouts: two rates of tax, a delivery charge, prices with and without tax."""

from __future__ import annotations

import pytest

from deploy.demo.basket import COUNTRIES, checkout, person
from deploy.demo.catalogue import load
from deploy.demo.stories import STORIES
from services.checkout.domain.sums import line_sums, problems

SHIPPED = load("http://outside.example")
ADA = person("Ada Lovelace", "1")


@pytest.mark.parametrize("country", COUNTRIES)
def test_a_basket_of_everything_adds_up(country: str) -> None:
    skus = [(sku, 2) for sku in SHIPPED.products]
    assert list(problems(checkout(SHIPPED, SHIPPED.main, ADA, skus, country=country, discount=100))) == []


def test_a_book_is_taxed_at_the_reduced_rate_and_a_parcel_is_charged() -> None:
    message = checkout(SHIPPED, SHIPPED.main, ADA, [("atlas", 1), ("print", 1)])
    assert [(line.tax.rate, line.purchased) for line in line_sums(message)] == [("7", 2033), ("19", 4998), ("19", 583)]


def test_what_is_not_shipped_has_no_delivery_charge() -> None:
    assert checkout(SHIPPED, SHIPPED.main, ADA, [("atlas", 1)]).deliveries == ()


def test_the_stories_are_all_customers() -> None:
    assert sum(story.share for story in STORIES) == 100
    assert {sku for story in STORIES for sku in story.skus} <= SHIPPED.products.keys()
