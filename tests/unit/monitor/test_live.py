"""The live picture over HTTP, asked once and followed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from services.monitor import followers, live
from services.monitor.app import Monitor
from services.monitor.domain.figures import OrderFigures, PaymentFigures
from services.monitor.domain.minutes import minute_of
from services.monitor.domain.picture import SeenOrder, SeenPayment
from services.monitor.domain.unusual import Source, Try
from services.monitor.settings import MonitorSection, MonitorSettings
from shared.settings import KafkaSettings

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
MINUTE = minute_of(NOON)
TOKEN = SecretStr("a-token-of-staff")
HEADERS = {"Authorization": f"Bearer {TOKEN.get_secret_value()}"}
ANN = Source("mail", b"ann")
LIVE, STREAM, ALERTS = "/monitor/live", "/monitor/live/stream", "/monitor/alerts"


class Clock:
    at = NOON

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def monitor(clock: Clock) -> Monitor:
    settings = MonitorSettings(
        kafka=KafkaSettings(bootstrap_servers="nowhere:9092"),
        api_token=TOKEN,
        monitor=MonitorSection(unusual_orders=3, unusual_cards=2, unusual_declines=2),
    )
    return Monitor(settings, "monitor-0", clock)


@pytest_asyncio.fixture
async def client(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TestClient[Any, Any]]:
    monkeypatch.setattr(followers, "LOOK_SECONDS", 0.02)
    async with TestClient(TestServer(monitor.application()), headers=HEADERS) as client:
        yield client


def order(monitor: Monitor, key: str, store: str = "north", minute: int = MINUTE - 1, **more: Any) -> None:
    figures = OrderFigures(store, minute, currency="EUR", **more)
    monitor.picture.order(key, 1, SeenOrder(minute, figures, (ANN,)))


def payment(monitor: Monitor, key: str, *declined: bool, refunds: tuple[int, ...] = ()) -> None:
    minute = MINUTE - 1
    figures = PaymentFigures(
        "north", "EUR", tuple((minute, one) for one in declined), tuple((minute, one) for one in refunds)
    )
    tries = tuple(Try(minute, b"%d" % number, one) for number, one in enumerate(declined))
    monitor.picture.payment(key, 1, SeenPayment(minute, figures, tries))


async def get(client: TestClient[Any, Any], path: str) -> Any:
    async with client.get(path) as response:
        assert response.status == 200
        return await response.json()


async def test_the_figures_of_the_last_minutes(client: TestClient[Any, Any], monitor: Monitor) -> None:
    order(monitor, "o-1", paid=MINUTE, revenue=1999)
    order(monitor, "o-2", failed=True, paid=MINUTE - 1, revenue=1)
    order(monitor, "o-3")
    order(monitor, "o-4", "south")
    payment(monitor, "o-1", True, False, False, refunds=(500, 1))
    answer = await get(client, f"{LIVE}?minutes=10&store=north")
    nothing = {"orders": 0, "paid": 0, "failed": 0, "attempts": 0, "declined": 0, "refunds": 0}
    assert answer == {
        "first": "2026-03-03T11:51:00+00:00",
        "last": "2026-03-03T12:00:00+00:00",
        "complete": False,
        "lag": None,
        "stores": [
            {
                "store": "north",
                **{"orders": 3, "paid": 2, "failed": 1, "attempts": 3, "declined": 1, "refunds": 2},
                **{"revenue": {"EUR": 2000}, "refunded": {"EUR": 501}},
                **{"conversion": 0.6667, "decline_rate": 0.3333, "failure_rate": 0.3333},
            }
        ],
        "minutes": [
            {
                **{"minute": "2026-03-03T11:59:00+00:00", "store": "north"},
                **{"orders": 3, "paid": 2, "failed": 1, "attempts": 3, "declined": 1, "refunds": 2},
                **{"revenue": {"EUR": 1}, "refunded": {"EUR": 501}},
            },
            {"minute": "2026-03-03T12:00:00+00:00", "store": "north", **nothing}
            | {"revenue": {"EUR": 1999}, "refunded": {}},
        ],
    }
    assert [one["store"] for one in (await get(client, LIVE))["stores"]] == ["north", "south"]
    assert (await get(client, f"{LIVE}?store=south"))["stores"][0]["decline_rate"] is None
    assert (await get(client, f"{LIVE}?minutes=1"))["stores"][0]["conversion"] is None


@pytest.mark.parametrize("path", [LIVE, STREAM])
async def test_other_numbers_of_minutes_are_refused(client: TestClient[Any, Any], path: str) -> None:
    for minutes in ("0", "1441", "x"):
        async with client.get(f"{path}?minutes={minutes}") as response:
            assert response.status == 400


async def test_what_is_unusual(client: TestClient[Any, Any], monitor: Monitor) -> None:
    assert await get(client, ALERTS) == {"alerts": [], "more": 0}
    for number in range(3):
        order(monitor, f"o-{number}", minute=MINUTE - number)
    payment(monitor, "o-1", True, True)
    answer = await get(client, f"{ALERTS}?store=north")
    assert [(one["what"], one["count"], one["limit"]) for one in answer["alerts"]] == [
        *(("cards", 2, 2), ("declines", 2, 2), ("orders", 3, 3))
    ]
    assert answer["alerts"][2] == {
        **{"alert": f"orders-mail-{b'ann'.hex()}", "store": "north", "what": "orders", "by": "mail"},
        **{"count": 3, "limit": 3, "minutes": 60, "raised": "2026-03-03T12:00:00+00:00"},
        **{"first": "2026-03-03T11:58:00+00:00", "last": "2026-03-03T12:00:00+00:00"},
        "orders": ["o-0", "o-1", "o-2"],
    }
    assert await get(client, f"{ALERTS}?store=south") == {"alerts": [], "more": 0}
    async with client.get("/metrics") as response:
        text = await response.text()
    labels = 'by="mail",service="monitor",store="north",what="orders",worker="monitor-0"'
    assert f"orderbus_monitor_unusual{{{labels}}} 1.0" in text
    assert 'orderbus_monitor_alerts_raised_total{service="monitor",worker="monitor-0"} 3.0' in text


async def test_metrics_of_the_last_minute_that_is_over(client: TestClient[Any, Any], monitor: Monitor) -> None:
    order(monitor, "o-1", paid=MINUTE - 1, revenue=1999)
    payment(monitor, "o-1", True, False, refunds=(500,))
    async with client.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    found = {line for line in lines if line.startswith("orderbus_monitor_") and "_per_minute{" in line}
    north = 'service="monitor",store="north"'
    assert found == {
        f"orderbus_monitor_orders_per_minute{{{north}}} 1.0",
        f'orderbus_monitor_figures_per_minute{{figure="paid",{north}}} 1.0',
        f'orderbus_monitor_figures_per_minute{{figure="attempts",{north}}} 2.0',
        f'orderbus_monitor_figures_per_minute{{figure="declined",{north}}} 1.0',
        f'orderbus_monitor_figures_per_minute{{figure="refunds",{north}}} 1.0',
        f'orderbus_monitor_money_per_minute{{currency="EUR",figure="revenue",{north}}} 1999.0',
        f'orderbus_monitor_money_per_minute{{currency="EUR",figure="refunded",{north}}} 500.0',
    }


class Reader:
    """Follows a stream, as a browser does."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def event(self) -> tuple[str, Any]:
        async with asyncio.timeout(20):
            block = (await self._response.content.readuntil(b"\n\n")).decode().strip()
        if block.startswith(":"):
            return "", None
        name, _, data = block.partition("\n")
        return name.removeprefix("event: "), orjson.loads(data.removeprefix("data: "))

    async def named(self, name: str) -> Any:
        while True:
            found, data = await self.event()
            if found == name:
                return data


async def test_the_figures_are_followed(client: TestClient[Any, Any], monitor: Monitor, clock: Clock) -> None:
    order(monitor, "o-1")
    async with client.get(f"{STREAM}?store=north&minutes=5") as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        reader = Reader(response)
        name, snapshot = await reader.event()
        assert (name, snapshot["stores"][0]["orders"]) == ("snapshot", 1)
        assert await reader.event() == ("alerts", {"alerts": [], "more": 0})
        order(monitor, "o-2", minute=MINUTE, paid=MINUTE, revenue=5)
        order(monitor, "o-3", "south")
        change = await reader.named("change")
        while not any(row["minute"] == "2026-03-03T12:00:00+00:00" for row in change["minutes"]):
            change = await reader.named("change")
        assert [(row["store"], row["revenue"]) for row in change["minutes"]][-1] == ("north", {"EUR": 5})
        assert [(row["store"], row["orders"]) for row in change["stores"]] == [("north", 2)]

        monitor.picture.forget_order("o-2")
        change = await reader.named("change")
        assert [(row["orders"], row["revenue"]) for row in change["minutes"]] == [(0, {})], "it is told that it is gone"

        clock.at = NOON + timedelta(minutes=1)
        change = await reader.named("change")
        assert (change["last"], change["minutes"]) == ("2026-03-03T12:01:00+00:00", [])


async def test_alerts_are_followed(client: TestClient[Any, Any], monitor: Monitor) -> None:
    async with client.get(f"{STREAM}?store=north") as north, client.get(f"{STREAM}?store=south") as south:
        readers = Reader(north), Reader(south)
        for reader in readers:
            assert await reader.named("alerts") == {"alerts": [], "more": 0}
        for number in range(3):
            order(monitor, f"o-{number}")
        assert [one["what"] for one in (await readers[0].named("alerts"))["alerts"]] == ["orders"]
        monitor.picture.forget_order("o-1")
        assert await readers[0].named("alerts") == {"alerts": [], "more": 0}
        order(monitor, "o-9", "south")
        assert (await readers[1].named("change"))["stores"][0]["store"] == "south"


async def test_a_stream_without_news_shows_that_it_lives(
    client: TestClient[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT", 0.01)
    async with client.get(STREAM) as response:
        reader = Reader(response)
        assert [(await reader.event())[0] for _ in range(4)] == ["snapshot", "alerts", "", ""]


async def test_streams_have_a_limit(client: TestClient[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [await client.get(STREAM) for _ in range(live.OF_CLIENT)]
    async with client.get(STREAM) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "30")
        assert (await response.json())["code"] == "too_many_streams"
    async with client.head(STREAM) as response:
        assert response.status == 429
    streams.pop().close()
    async with asyncio.timeout(20):
        while (response := await client.get(STREAM)).status != 200:
            await asyncio.sleep(0.05)
    for stream in (*streams, response):
        stream.close()


async def test_streams_end_with_the_process(client: TestClient[Any, Any], monitor: Monitor) -> None:
    async with client.get(STREAM) as response:
        await Reader(response).event()
        await monitor.followers.stop(client.app)
        async with asyncio.timeout(10):
            await response.content.read()
    async with asyncio.timeout(10):
        while len(monitor.followers):
            await asyncio.sleep(0.01)
