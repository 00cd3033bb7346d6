"""A submission of which not all can be read: what can be is checked, so that all problems are said at once."""

from __future__ import annotations

import random
import time
from typing import Any

import orjson
import pytest

from services.declared import declared
from shared.contracts.checkout import CheckoutRefused
from shared.contracts.envelope import Envelope, encode, to_headers
from shared.contracts.readable import readable_part
from shared.contracts.storefront import CheckoutSubmitted
from shared.core import Command, derived_id, hashed_id
from shared.shell.batch.batcher import Batcher
from shared.shell.batch.leases import NoCapacity
from shared.shell.inbound.records import inbound_of
from shared.shell.observability.metrics import Metrics
from shared.shell.ports.bus import BusRecord
from shared.shell.service.registry import HandlerRegistry
from shared.simulation.memory_database import OUTBOX, PARKED
from shared.simulation.memory_store import MemoryStore
from tests.unit.checkout.examples import sku, store, submission
from tests.unit.shell.harness import START, HandClock


class Checkout:
    """The service over a store in memory, and a shop."""

    def __init__(self) -> None:
        self.registry, self.store, self.number = HandlerRegistry(declared()["checkout"]), MemoryStore(), 0
        self.batcher = Batcher(
            *(self.registry, self.store, HandClock(), "checkout-0"),
            batch=10,
            metrics=Metrics("checkout", "checkout-0"),
            rng=random.Random(1),
            after=lambda result: None,
            capacity=NoCapacity(),
        )

    async def hears(self, command: Command, key: str, body: bytes | None = None) -> None:
        self.number += 1
        id = derived_id(hashed_id("a test"), self.number, START)
        headers = tuple(to_headers(Envelope(id, command.type, "shop", key, START)))
        record = BusRecord(command.topic.name, 0, self.number, key.encode(), headers, body or encode(command), START)
        inbound = inbound_of(self.registry, record)
        assert inbound is not None
        await self.batcher.handle([inbound])

    async def refuses(self, body: dict[str, Any], order: str = "o-1") -> list[tuple[str, str]]:
        """Fields and codes of the problems."""
        await self.hears(submission(), order, orjson.dumps(body))
        assert not self.store.rows(PARKED)
        row, _ = [*self.store.rows(OUTBOX).values()][-1]
        refused = CheckoutRefused.model_validate_json(row.body)
        assert refused.code == "malformed"
        return [(problem.field, problem.code) for problem in refused.problems]


@pytest.fixture
async def checkout() -> Checkout:
    checkout = Checkout()
    await checkout.hears(store(), "northwind")
    for name in ("course", "game", "old"):
        await checkout.hears(sku(name, active=name != "old"), f"northwind/{name}")
    return checkout


def body(**changes: Any) -> dict[str, Any]:
    """That of a good submission, with these fields."""
    good: dict[str, Any] = orjson.loads(encode(submission()))
    return good | changes


async def test_a_malformed_field_hides_no_unknown_sku(checkout: Checkout) -> None:
    items = [
        {"sku": "vanished", "quantity": "two", "unit_price": 1000},
        {"sku": "game", "quantity": 0, "unit_price": 2500},
        {"sku": "old", "quantity": 1, "unit_price": 1000, "colour": "red"},
    ]
    assert await checkout.refuses(body(items=items)) == [
        ("items.0.quantity", "wrong_type"),
        ("items.2.colour", "unknown_field"),
        ("items.0.sku", "unknown_sku"),
        ("items.1.quantity", "quantity_not_positive"),
        ("items.2.sku", "inactive_sku"),
    ]


async def test_sums_are_checked_where_all_amounts_can_be_read(checkout: Checkout) -> None:
    good = body()
    assert await checkout.refuses(body(locale=5, total=good["total"] + 1)) == [
        ("locale", "wrong_type"),
        ("total", "wrong_sum"),
    ]
    assert await checkout.refuses(body(tax="none", total=good["total"] + 1)) == [("tax", "wrong_type")]


@pytest.mark.parametrize("field", ["store", "customer", "items", "currency", "subtotal", "total", "purchased"])
async def test_nothing_is_said_of_what_is_missing_but_that_it_is(checkout: Checkout, field: str) -> None:
    given = body()
    del given[field]
    assert await checkout.refuses(given) == [(field, "missing")]


async def test_a_store_that_does_not_exist_is_named_with_what_is_malformed(checkout: Checkout) -> None:
    assert await checkout.refuses(body(store="nowhere", more=1)) == [
        ("more", "unknown_field"),
        ("store", "unknown_store"),
    ]


async def test_an_order_that_is_placed_already_says_so(checkout: Checkout) -> None:
    await checkout.hears(submission(), "o-1")
    assert await checkout.refuses(body(more=1)) == [("more", "unknown_field"), ("", "already_submitted")]


@pytest.mark.parametrize(
    "wrong", [b"[]", b"{", b"5", b'{"items": [[[]]]}', b"{}", b'{"items": {"x": 1}, "payment": 7}']
)
async def test_whatever_the_body_it_is_refused(checkout: Checkout, wrong: bytes) -> None:
    await checkout.hears(submission(), "o-1", wrong)
    assert not checkout.store.rows(PARKED)


async def test_nothing_is_said_of_the_methods_of_a_provider_that_cannot_be_read(checkout: Checkout) -> None:
    await checkout.hears(store(payment_providers=("stripe", "manual")), "northwind")
    payment = {"provider": 5, "method": "bank_transfer"}
    assert await checkout.refuses(body(payment=payment)) == [("payment.provider", "wrong_type")]
    await checkout.hears(store(payment_providers=("manual", "stripe")), "northwind")
    payment = {"provider": 5, "token": "tok_visa"}
    assert await checkout.refuses(body(payment=payment)) == [("payment.provider", "wrong_type")]


@pytest.mark.parametrize("item", [1, {}])
def test_a_body_of_which_nothing_is_right_is_given_up_at_once(item: object) -> None:
    started = time.process_time()
    assert readable_part(CheckoutSubmitted, orjson.dumps({"items": [item] * 50_000})) is None
    assert time.process_time() - started < 5
