"""Marking entries of a feed as read: a write, in slices where it is about a whole feed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp.test_utils import BaseTestServer, TestServer
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifications import feeds
from shared.shell.postgres.engine import new_engine
from tests.http_edges import TOKEN, service_edge
from tests.integration.conftest import NewDatabase

ENTRIES = """
    insert into feed_entries (key, id, order_id, number, kind, title, text, at)
    select :key, gen_random_uuid(), 'o-1', 'ORD-1', 'order_paid', 'Paid', 'It is paid.',
        now() - (n / 7) * interval '1 second'
    from generate_series(1, :count) n
"""


@dataclass
class Rig:
    engine: AsyncEngine
    server: BaseTestServer
    session: aiohttp.ClientSession

    async def enter(self, recipient: str, count: int) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(sa.text(ENTRIES), {"key": recipient, "count": count})

    async def ids(self, recipient: str) -> list[UUID]:
        async with self.engine.connect() as connection:
            query = sa.text("select id from feed_entries where key = :key order by at")
            return list((await connection.execute(query, {"key": recipient})).scalars())

    async def post(self, path: str, body: Any = None) -> dict[str, Any]:
        async with self.session.post(self.server.make_url(path), json=body or {}) as response:
            assert response.status == 200, await response.text()
            answer: dict[str, Any] = await response.json()
            return answer


@pytest_asyncio.fixture
async def rig(new_database: NewDatabase) -> AsyncIterator[Rig]:
    """Nothing can be written through the connections that HTTP reads with."""
    url = await new_database("notifications")
    reads = new_engine(url, {"default_transaction_read_only": "on"})
    edge = service_edge("notifications", url, reads=reads)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with TestServer(edge.application) as server, aiohttp.ClientSession(headers=headers) as session:
        yield Rig(edge.engine, server, session)
    await edge.engine.dispose()
    await reads.dispose()


@pytest.mark.parametrize("mark", ["read", "archive"])
async def test_a_whole_feed_is_marked_in_slices(rig: Rig, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "SLICE", 100, raising=False)
    await rig.enter("s~staff", 750)
    await rig.enter("other~staff", 3)
    transactions: list[int] = []
    sa.event.listen(rig.engine.sync_engine, "commit", lambda connection: transactions.append(1))
    assert await rig.post(f"/feeds/s~staff/{mark}") == {"changed": 750, "unread": 0}
    assert len(transactions) >= 8, "no transaction is as long as the feed"
    assert await rig.post(f"/feeds/s~staff/{mark}") == {"changed": 0, "unread": 0}
    assert (await rig.post("/feeds/other~staff/read"))["changed"] == 3


async def test_some_entries_are_marked(rig: Rig) -> None:
    await rig.enter("s~staff", 5)
    first, second, *_ = await rig.ids("s~staff")
    assert await rig.post("/feeds/s~staff/read", {"ids": [str(first), str(second)]}) == {"changed": 2, "unread": 3}
    assert await rig.post("/feeds/s~staff/archive", {"ids": [str(first)]}) == {"changed": 1, "unread": 3}
    assert await rig.post("/feeds/s~staff/read", {"ids": [str(first)]}) == {"changed": 0, "unread": 3}
