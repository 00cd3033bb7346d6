"""Whether the monitor counts what is in checkout's database. It counts again whenever it is started, so a difference
is told, but is no violation."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from typing import Any

from deploy.check.databases import Database
from deploy.client.http import ApiClient, ClientError
from shared.settings import Settings

MONITOR = "monitor"
TRIES = 10
"""How often it is asked until it agrees: what was published a moment ago is still on its way to it."""
PAUSE = 0.5
PLACED = """
    select store, date_trunc('minute', placed_at) as minute, count(*) from orders
    where placed_at >= $1 and placed_at < $2 group by 1, 2
"""
Counts = Counter[tuple[datetime, str]]


async def differences(settings: Settings, checkout: Database, until: datetime) -> list[str]:
    """Where it differs, in the minutes of the last hour that were over by then; or why it could not be asked."""
    try:
        async with ApiClient.of(settings) as api:
            return await _compared(api, checkout, until)
    except ClientError as trouble:
        return [f"It was not asked: {trouble}"]


async def _compared(api: ApiClient, checkout: Database, until: datetime) -> list[str]:
    found: list[str] = []
    for _ in range(TRIES):
        answer = await api.get(MONITOR, "/monitor/orders-per-minute", minutes=60)
        found = [] if answer["complete"] else ["It is still reading what was there when it started."]
        if answer["complete"]:
            first, last = datetime.fromisoformat(answer["first"]), until.replace(second=0, microsecond=0)
            rows = await checkout.fetch(PLACED, first, last)
            plain = Counter({(row["minute"], row["store"]): row["count"] for row in rows})
            found = told(counts_of(answer, last), plain)
        if not found:
            break
        await asyncio.sleep(PAUSE)
    return found


def counts_of(answer: dict[str, Any], until: datetime) -> Counts:
    """Of the minutes that were over by then."""
    rows = ((datetime.fromisoformat(row["minute"]), row) for row in answer["minutes"])
    return Counter({(minute, row["store"]): row["orders"] for minute, row in rows if minute < until})


def told(counts: Counts, plain: Counts) -> list[str]:
    return [
        f"{store}, {minute:%H:%M} UTC: it counts {counts[minute, store]} orders, checkout has placed "
        f"{plain[minute, store]}. Start it again: it then counts again."
        for minute, store in sorted({*counts, *plain})
        if counts[minute, store] != plain[minute, store]
    ]
