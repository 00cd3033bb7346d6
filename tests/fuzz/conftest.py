"""One orderbus for all fuzz tests, with a worker per service and a few orders that they can do something to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from deploy.demo.basket import checkout, person
from deploy.demo.shop import Order
from services.fulfillment.gateways.links import Claim, Links
from shared.pay_links import PayLinks
from tests.faults.system import SCARCE, System, running_system

STORE = "lasting"
BASKETS = (("atlas", "tides"), ("atlas", "audiobook"), ("print",), ("atlas",))


@dataclass
class Ground:
    """A running orderbus, and the names of what is there."""

    system: System
    known: dict[str, Sequence[str]]


@pytest_asyncio.fixture(scope="session")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    async with running_system(tmp_path_factory.mktemp("fuzz") / "data") as system:
        orders = await asyncio.gather(*(bought(system, number, skus) for number, skus in enumerate(BASKETS)))
        await orders[0].is_refunded(100)
        hook = {"url": system.outside.hook_url("fuzz"), "events": ["order.updated"]}
        made = await system.edges.command("notifications", f"/stores/{STORE}/webhooks", hook)
        yield Ground(system, names(system, orders, made["endpoint"]))


async def bought(system: System, number: int, skus: Sequence[str]) -> Order:
    order = system.shop.order(STORE)
    await order.opens()
    basket = [(sku, 1) for sku in skus]
    await order.submits(checkout(system.catalogue, STORE, person(f"Fuzz Number{number}", f"f{number}"), basket))
    await order.becomes("processing" if "print" in skus else "completed", within=60)
    return order


def names(system: System, orders: Sequence[Order], endpoint: str) -> dict[str, Sequence[str]]:
    keys, numbers = [order.id for order in orders], [order.number for order in orders]
    links = Links(system.stack.secrets.link_secret, "")
    item = str(orders[0].latest["items"][0]["item"])
    expires = [datetime.now(UTC) + timedelta(hours=hours) for hours in (1, -1)]
    tokens = [links.url(Claim(keys[0], item, when)).rpartition("/")[2] for when in expires]
    pages = PayLinks("", (system.stack.secrets.pay_keys,))
    tokens += [pages.url(key, expires[0]).rpartition("/")[2] for key in keys[:2]]
    return {
        "store": [STORE, "hasty"],
        "sku": ["atlas", "audiobook", "print"],
        "product": ["coat", "atlas"],
        "pool": ["audiobook", SCARCE],
        "key": keys,
        "order": [*keys, *numbers],
        "number": numbers,
        "endpoint": [endpoint],
        "recipient": [f"{STORE}~staff", f"{STORE}~customer~c-f0"],
        "token": tokens,
    }
