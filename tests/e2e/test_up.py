"""`orderbus up` on a folder of its own: killed in the middle of orders, it goes on where it was; `orderbus demo`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploy.check.run import check
from deploy.client.http import ApiClient
from deploy.client.local_stack import running
from deploy.client.storefront import Storefront, uuid7
from deploy.demo import catalogue as shipped
from deploy.demo.basket import checkout, person
from deploy.demo.catalogue import Catalogue, open_shop
from deploy.demo.shop import Shop
from deploy.sandboxes.client import OutsideWorld, StripeSandbox
from deploy.settings import load_all_settings
from shared.contracts.storefront import CheckoutOpened
from shared.settings import Settings
from tests.e2e.conversation import eventually

KEYS = (
    "orders by_status orders_per_second orders_per_second_until_ended latency_ms lost unsettled double_charged "
    "invariants emails webhooks versions"
).split()


@contextlib.asynccontextmanager
async def orderbus_up(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of `orderbus up`, once it is up."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERBUS_")}
    command = [sys.executable, "-m", "deploy.cli.main", "up", "--data", str(folder)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)
    assert process.stderr is not None
    try:
        said = b""
        async with asyncio.timeout(90):
            while b"orderbus is up" not in said:
                line = await process.stderr.readline()
                assert line, said.decode()
                said += line
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.communicate()


def settings_at(folder: Path) -> tuple[Settings, dict[str, str]]:
    environment = running(folder)
    assert environment is not None
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return load_all_settings(), environment


async def place_orders(settings: Settings, catalogue: Catalogue, count: int) -> list[str]:
    orders = [str(uuid7()) for _ in range(count)]
    async with Storefront(settings.kafka) as storefront:
        for number, order in enumerate(orders):
            basket = checkout(catalogue, catalogue.main, person("Jim Gray", f"u{number}"), [("atlas", 1), ("tides", 1)])
            await storefront.publish(CheckoutOpened(store=catalogue.main, currency="EUR"), order)
            await storefront.publish(basket, order)
    return orders


@pytest.mark.slow
async def test_up_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with orderbus_up(folder) as process:
        settings, environment = settings_at(folder)
        url, token = environment["ORDERBUS_DEMO__OUTSIDE_URL"], environment["ORDERBUS_DEMO__OUTSIDE_TOKEN"]
        catalogue = shipped.load(url, codes=10)
        async with ApiClient.of(settings) as edges, OutsideWorld(url, token) as outside:
            await open_shop(edges, outside, catalogue)
        orders = await place_orders(settings, catalogue, 40)
        process.kill()

    async with orderbus_up(folder) as process:
        settings, environment = settings_at(folder)
        async with ApiClient.of(settings) as edges, Shop(settings, catalogue):

            async def completed() -> set[str]:
                page = await edges.orders(status="completed", limit=100)
                return {order["key"] for order in page["orders"]}

            await eventually(completed, lambda seen: seen == set(orders), "all orders completed", within=60)
        assert (await check(settings)).ok
        stripe = environment["ORDERBUS_DEMO__STRIPE_URL"], environment["ORDERBUS_DEMO__STRIPE_CONTROL_TOKEN"]
        async with StripeSandbox(*stripe) as bank:
            intents = (await bank.books())["payment_intents"]
        assert [intent["effects"]["charges"] for intent in intents] == [1] * len(orders)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    assert running(folder) is None


@pytest.mark.slow
async def test_the_demo_prints_one_json_object(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "deploy.cli.main",
        "demo",
        "--orders",
        "40",
        "--data",
        str(tmp_path / "demo"),
        "--json",
    ]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(), 150)

    assert process.returncode == 0, err.decode()
    result: dict[str, Any] = json.loads(out)
    assert list(result) == KEYS
    assert (result["orders"], result["lost"], result["unsettled"], result["double_charged"]) == (40, 0, 0, 0)
    assert 0 < result["orders_per_second"] <= result["orders_per_second_until_ended"]
    assert sum(result["by_status"].values()) == 40
    assert result["invariants"] and all(result["invariants"].values())
    assert result["latency_ms"]["p50"] <= result["latency_ms"]["p99"]
    assert result["emails"] > 40
    assert result["webhooks"] > 40
