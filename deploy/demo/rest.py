"""Waits until all work is done: no event to be sent, no call to be made, no more emails."""

from __future__ import annotations

import asyncio
import time

import asyncpg

from deploy.demo.play import Play
from services.registry import SERVICES
from shared.settings import Settings
from shared.shell.postgres.engine import connect

STILL = 3
"""Looks in a row at which nothing moved; what is in Kafka shows at the next look."""
PAUSE = 0.4


async def comes_to_rest(settings: Settings, play: Play, within: float = 60.0) -> bool:
    """False if work is still in progress and nothing has moved for so many seconds."""
    connections = [await connect(settings.service(name).database_url.get_secret_value()) for name in SERVICES]
    try:
        deadline, still, before = time.monotonic() + within, 0, (-1, -1, -1)
        while still < STILL and time.monotonic() < deadline:
            await asyncio.sleep(PAUSE)
            await play.count()
            now = (play.tally.mails, play.tally.webhooks, await _under_way(connections))
            still = still + 1 if now == before and now[2] == 0 else 0
            if now != before:
                before, deadline = now, time.monotonic() + within
        return still >= STILL
    finally:
        for connection in connections:
            await connection.close()


async def unsettled(settings: Settings) -> set[str]:
    """Ids of the orders some of whose mails or webhooks still wait."""
    connection = await connect(settings.service("notifications").database_url.get_secret_value())
    try:
        return {row["key"] for row in await connection.fetch("select key from notification_logs where pending > 0")}
    finally:
        await connection.close()


async def _under_way(connections: list[asyncpg.Connection]) -> int:
    counts = [
        await connection.fetchval("select (select count(*) from outbox) + (select count(*) from operations)")
        for connection in connections
    ]
    return sum(counts)
