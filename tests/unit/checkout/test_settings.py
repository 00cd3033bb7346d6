"""Stores, SKUs, numbers, and the columns of a row."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.checkout import storage
from services.checkout.domain import CORES
from services.checkout.domain.numbers import order_number
from services.checkout.domain.sku import skus
from services.checkout.domain.store import stores
from services.checkout.queries import read_cursor, write_cursor
from shared.contracts import checkout, fulfillment, payments, storefront
from shared.contracts.stores import DefineSku
from shared.core import MESSAGES, Scenario
from tests.unit.checkout.examples import START, paid_order, placed_order, sku, store


def test_a_store_and_a_sku_are_stored() -> None:
    configured = Scenario(stores, key="northwind").hear(store(grace=timedelta(seconds=3), require_sign_in=True))
    assert (configured.state.card.id, configured.state.grace) == ("northwind", timedelta(seconds=3))
    shop = Scenario(skus, stores, key="northwind/atlas").hear(store(), "northwind")
    defined = shop.hear(sku("atlas", shippable=True, thumbnail="https://img.example"))
    assert (defined.state.store, defined.state.sku) == ("northwind", "atlas")


def test_an_order_url_that_would_become_too_long_is_refused() -> None:
    refused = Scenario(stores, key="northwind").refuses(store(order_url="https://x.example/" + "{order}" * 40))
    assert [problem.code for problem in refused.problems] == ["too_long"]


def test_keys_must_fit_what_they_name() -> None:
    Scenario(stores, key="a/b").refuses(store())
    for key in ("northwind", "northwind/", "northwind/a/b"):
        Scenario(skus, key=key).refuses(DefineSku(product="X", prices={}))


@given(st.text(min_size=1, max_size=64))
def test_an_order_number_is_a_hash_of_the_order_id(order: str) -> None:
    number = order_number(order)
    assert re.fullmatch(r"ORD-[A-Z0-9]{10}", number)
    assert number == order_number(order)
    assert len({order_number(order, candidate) for candidate in range(8)}) == 8


def test_order_numbers_differ_and_never_change() -> None:
    assert len({order_number(f"o-{i}") for i in range(10_000)}) == 10_000
    assert order_number("o-1") == "ORD-SL0W3ZEIYV"


def test_a_row_has_a_value_for_each_of_its_columns() -> None:
    shells = {"key", "version", "sequence", "data", "shape", "changed_at"}
    for order in (placed_order().state, paid_order().state):
        columns = storage.order_columns(order)
        assert set(columns) == {column.name for column in storage.orders.columns} - shells
    assert storage.order_columns(placed_order().state)["email"] == "ada@example.com"


NOTHING_FOLLOWS = {
    *("payment.refund_needed", "payment.settlement_contradicted"),
    *("stock.released", "item.settled", "fulfillment.refused"),
}
"""Facts from which nothing follows for the order: they are in its timeline, and a fact of its own says what does."""


def test_every_message_of_the_consumed_topics_is_handled() -> None:
    topics = {payments.EVENTS, fulfillment.EVENTS, storefront.CHECKOUTS, checkout.COMMANDS}
    handled = {kind for core in CORES for kind in core.handlers}
    unhandled = {kind.type for kind in MESSAGES.values() if kind.topic in topics and kind not in handled}
    assert unhandled == NOTHING_FOLLOWS


def test_the_cursor_of_a_page_can_be_read() -> None:
    assert read_cursor(write_cursor(START, "o-1")) == (START, "o-1")
    for wrong in ("", "x", "!!!!", "AAAA", "MjAyNi0wMS0wMQ=="):
        with pytest.raises(ValueError):
            read_cursor(wrong)
