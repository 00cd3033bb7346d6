from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from services.monitor.app import Monitor
from services.monitor.domain.figures import OrderFigures
from services.monitor.domain.minutes import minute_of
from services.monitor.domain.picture import SeenOrder
from services.monitor.settings import MonitorSettings
from shared.api_clients import ApiClientSettings
from shared.settings import KafkaSettings
from shared.shell.http.access import PROBE, PUBLIC, access_of

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
CLIENTS = {
    "everything": (("*",), ("*",)),
    "reader": (("*",), ("monitor.read",)),
    "north": (("north",), ("*.read",)),
    "other": (("*",), ("order.read",)),
}
ORDERS = "/monitor/orders-per-minute"


@pytest.fixture
def monitor() -> Monitor:
    clients = tuple(
        ApiClientSettings(
            name=name,
            token_sha256=(hashlib.sha256(f"token-of-{name}".encode()).hexdigest(),),
            stores=stores,
            permissions=permissions,
        )
        for name, (stores, permissions) in CLIENTS.items()
    )
    settings = MonitorSettings(kafka=KafkaSettings(bootstrap_servers="nowhere:9092"), api_clients=clients)
    made = Monitor(settings, "monitor-0", lambda: NOON)
    for number, (store, minutes) in enumerate([("north", 1), ("north", 1), ("south", 1), ("south", 90), ("north", 0)]):
        placed = minute_of(NOON - timedelta(minutes=minutes))
        made.picture.order(f"o-{number}", 1, SeenOrder(placed, OrderFigures(store, placed)))
    return made


@pytest_asyncio.fixture
async def client(monitor: Monitor) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(monitor.application())) as client:
        yield client


async def ask(client: TestClient[Any, Any], path: str, who: str = "everything") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer token-of-{who}"} if who else {}
    async with client.get(path, headers=headers) as response:
        return response.status, await (response.json() if "json" in response.content_type else response.text())


async def test_orders_per_minute(client: TestClient[Any, Any]) -> None:
    status, answer = await ask(client, ORDERS)
    assert status == 200
    assert answer == {
        "first": "2026-03-03T11:01:00+00:00",
        "last": "2026-03-03T12:00:00+00:00",
        "complete": False,
        "lag": None,
        "minutes": [
            {"minute": "2026-03-03T11:59:00+00:00", "store": "north", "orders": 2},
            {"minute": "2026-03-03T11:59:00+00:00", "store": "south", "orders": 1},
            {"minute": "2026-03-03T12:00:00+00:00", "store": "north", "orders": 1},
        ],
    }


@pytest.mark.parametrize(
    ("query", "orders"),
    [
        ("?store=south", 1),
        ("?store=unknown", 0),
        ("?minutes=1", 1),
        ("?minutes=1440", 5),
        ("?minutes=2&store=north", 3),
    ],
)
async def test_of_a_store_and_a_time(client: TestClient[Any, Any], query: str, orders: int) -> None:
    _, answer = await ask(client, ORDERS + query)
    assert sum(row["orders"] for row in answer["minutes"]) == orders


@pytest.mark.parametrize("minutes", ["0", "-1", "1441", "x", "1e3", "%C2%B2", "%00"])
async def test_other_numbers_of_minutes_are_refused(client: TestClient[Any, Any], minutes: str) -> None:
    assert (await ask(client, f"{ORDERS}?minutes={minutes}"))[0] == 400


@pytest.mark.parametrize(
    ("who", "query", "status"),
    [
        ("", "", 401),
        ("unknown", "", 401),
        ("other", "", 403),
        ("reader", "", 200),
        ("north", "", 403),
        ("north", "?store=south", 403),
        ("north", "?store=north", 200),
    ],
)
async def test_who_may_read(client: TestClient[Any, Any], who: str, query: str, status: int) -> None:
    assert (await ask(client, ORDERS + query, who))[0] == status


async def test_it_is_ready_once_it_has_read_what_is_there(client: TestClient[Any, Any], monitor: Monitor) -> None:
    assert (await ask(client, "/health", ""))[0] == 200
    for answering, complete, missing in ((False, False, ["kafka"]), (True, False, ["history"]), (True, True, [])):
        monitor.reader.answering, monitor.reader.complete = answering, complete
        status, answer = await ask(client, "/ready", "")
        assert (status, answer["missing"]) == (503 if missing else 200, missing)


async def test_metrics(client: TestClient[Any, Any]) -> None:
    _, text = await ask(client, "/metrics", "")
    of_last_minute = dict(re.findall(r'^orderbus_monitor_orders_per_minute{.*store="(.*)"} (.*)$', text, re.MULTILINE))
    assert of_last_minute == {"north": "2.0", "south": "1.0"}
    assert 'orderbus_monitor_orders_kept{service="monitor",worker="monitor-0"} 5.0' in text


def test_every_route_says_who_may_call_it_and_the_page_names_its_permission(monitor: Monitor) -> None:
    routes = monitor.application().router.routes()
    accesses = [access_of(route.handler) for route in routes]
    permissions = {access.permission for access in accesses if access and access not in (PROBE, PUBLIC)}
    assert None not in accesses
    page = (Path(__file__).parents[3] / "docs/security.md").read_text()
    row = re.search(r"^\| monitor \| (.*) \|$", page, re.MULTILINE)
    assert row and set(re.findall(r"`([^`]+)`", row[1])) == permissions == {"monitor.read"}


def test_what_it_keeps_is_what_its_settings_say(monitor: Monitor) -> None:
    assert monitor.picture.begins == monitor.picture.figures.since == minute_of(NOON - timedelta(hours=24))
    assert monitor._from() == NOON - timedelta(hours=25)
    assert monitor.picture.activity.origins.since == minute_of(NOON - timedelta(minutes=59))
