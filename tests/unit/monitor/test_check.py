"""What `orderbus check` says of the monitor, asked over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from deploy.check import monitor as check
from deploy.check.databases import Database
from deploy.settings import load_system_settings
from services.monitor.app import Monitor
from services.monitor.domain.figures import OrderFigures
from services.monitor.domain.minutes import minute_of
from services.monitor.domain.picture import SeenOrder
from services.monitor.settings import MonitorSettings
from shared.settings import KafkaSettings
from tests.unit.test_registry import no_settings

__all__ = ["no_settings"]
NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
TOKEN = SecretStr("a-token-of-staff")


def placed(monitor: Monitor, order: str, store: str, at: datetime) -> None:
    minute = minute_of(at)
    monitor.picture.order(order, 1, SeenOrder(minute, OrderFigures(store, minute)))


class Checkout:
    """Answers what its database would."""

    def __init__(self, placed: Sequence[datetime]) -> None:
        self.placed = placed

    async def fetch(self, statement: str, first: datetime, last: datetime) -> list[dict[str, Any]]:
        assert statement == check.PLACED
        minutes = [at.replace(second=0) for at in self.placed if first <= at < last]
        return [{"store": "north", "minute": one, "count": minutes.count(one)} for one in set(minutes)]


@pytest.fixture
def monitor() -> Monitor:
    settings = MonitorSettings(kafka=KafkaSettings(bootstrap_servers="nowhere:9092"), api_token=TOKEN)
    return Monitor(settings, "monitor-0", lambda: NOON)


@pytest_asyncio.fixture
async def ask(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setattr(check, "PAUSE", 0.0)
    async with TestServer(monitor.application()) as server:
        monkeypatch.setenv("ORDERBUS_KAFKA__BOOTSTRAP_SERVERS", "nowhere:9092")
        monkeypatch.setenv("ORDERBUS_API_TOKEN", TOKEN.get_secret_value())
        monkeypatch.setenv("ORDERBUS_MONITOR__INTERNAL_URL", str(server.make_url("")).rstrip("/"))
        settings = load_system_settings()

        async def asked(*placed: datetime) -> list[str]:
            until = NOON - timedelta(seconds=2)
            return await check.differences(settings, cast(Database, Checkout(placed)), until)

        yield asked


async def test_the_same_counts_say_nothing(monitor: Monitor, ask: Any) -> None:
    monitor.reader.complete = True
    at = NOON - timedelta(minutes=5)
    for number in range(3):
        placed(monitor, f"o-{number}", "north", at)
    placed(monitor, "o-now", "north", NOON - timedelta(seconds=30))
    assert await ask(at, at, at) == []


async def test_a_difference_is_told(monitor: Monitor, ask: Any) -> None:
    monitor.reader.complete = True
    at = NOON - timedelta(minutes=5)
    placed(monitor, "o-1", "north", at)
    placed(monitor, "o-2", "south", at)
    assert await ask(at, at) == [
        "north, 11:55 UTC: it counts 1 orders, checkout has placed 2. Start it again: it then counts again.",
        "south, 11:55 UTC: it counts 1 orders, checkout has placed 0. Start it again: it then counts again.",
    ]


async def test_one_that_is_still_reading(ask: Any) -> None:
    assert await ask() == ["It is still reading what was there when it started."]


async def test_one_that_is_away(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERBUS_MONITOR__INTERNAL_URL", "http://127.0.0.1:1")
    [said] = await check.differences(load_system_settings(), cast(Database, Checkout([])), NOON)
    assert said.startswith("It was not asked: monitor at http://127.0.0.1:1 cannot be reached")
