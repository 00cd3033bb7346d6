"""Stores, SKUs, numbers, and how the service is put together."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.checkout import storage
from services.checkout.domain.cores import CORES
from services.checkout.domain.numbers import order_number
from services.checkout.domain.order import TRANSITIONS, IllegalTransition, Order, moved
from services.checkout.domain.sku import Sku, skus
from services.checkout.domain.store import Store, stores
from services.checkout.queries import read_cursor, write_cursor
from shared.contracts import checkout, fulfillment, notifications, payments, storefront
from shared.contracts.checkout import ConfigureStore, DefineSku
from shared.contracts.values import OrderStatus
from shared.core import MESSAGES, Context, Decision, Refused, codec
from tests.unit.checkout.conversation import SETTINGS, START, configured, paid_order, placed_order, sku


def context(key: str) -> Context:
    return Context(START, key, UUID(int=1))


def test_a_store_and_a_sku_survive_being_stored() -> None:
    store = configured(grace=timedelta(seconds=3), require_sign_in=True)
    assert codec.load(Store, codec.dump(store)) == store
    _, stored = sku("atlas", shippable=True, thumbnail="https://img.example/atlas")
    assert codec.load(Sku, codec.dump(stored)) == stored


def test_an_address_that_an_order_would_make_too_long_is_refused() -> None:
    long = ConfigureStore(**(SETTINGS | {"order_url": "https://x.example/" + "{order}" * 40}))
    answer = stores.decide(None, long, context("northwind"))
    assert isinstance(answer, Refused)
    assert [problem.code for problem in answer.problems] == ["too_long"]


def test_keys_say_what_they_name() -> None:
    assert isinstance(stores.decide(None, ConfigureStore(**SETTINGS), context("a/b")), Refused)
    for key in ("northwind", "northwind/", "northwind/a/b"):
        assert isinstance(skus.decide(None, DefineSku(product="X", prices={}), context(key)), Refused)


@given(st.text(min_size=1, max_size=64))
def test_an_order_number_is_a_hash_of_the_order_id(order: str) -> None:
    number = order_number(order)
    assert re.fullmatch(r"ORD-[A-Z0-9]{10}", number)
    assert number == order_number(order)


def test_order_numbers_differ_and_never_change() -> None:
    assert len({order_number(f"o-{i}") for i in range(10_000)}) == 10_000
    assert order_number("o-1") == "ORD-SL0W3ZEIYV"


def test_only_the_table_of_transitions_is_walked() -> None:
    order = placed_order().order
    for status in OrderStatus:
        start = Order(order.number, order.store, "USD", order.grace, START, START, status=status)
        for target in OrderStatus:
            if target in TRANSITIONS[status]:
                assert moved(start, target, START).status is target
            else:
                with pytest.raises(IllegalTransition):
                    moved(start, target, START)


def test_a_row_has_a_value_for_each_of_its_columns() -> None:
    shells = {"key", "version", "sequence", "data", "changed_at"}
    for order in (placed_order().order, paid_order().order):
        columns = storage.order_columns(order)
        assert set(columns) == {column.name for column in storage.orders.columns} - shells
    assert storage.order_columns(placed_order().order)["email"] == "ada@example.com"


def test_every_fact_of_the_consumed_topics_has_an_answer() -> None:
    """A type that is read but not handled would leave a hole in the timeline."""
    topics = {payments.EVENTS, fulfillment.EVENTS, notifications.EVENTS, storefront.CHECKOUTS, checkout.COMMANDS}
    handled = {kind for core in CORES for kind in core.handlers}
    assert {kind.type for kind in MESSAGES.values() if kind.topic in topics and kind not in handled} == set()


def test_the_cursor_of_a_page_is_read_back() -> None:
    assert read_cursor(write_cursor(START, "o-1")) == (START, "o-1")
    for wrong in ("", "x", "!!!!", "AAAA", "MjAyNi0wMS0wMQ=="):
        with pytest.raises(ValueError):
            read_cursor(wrong)


def test_the_store_answers_with_itself() -> None:
    answer = stores.decide(None, ConfigureStore(**SETTINGS), context("northwind"))
    assert isinstance(answer, Decision)
    assert answer.state is not None
    assert answer.state.card.id == "northwind"
