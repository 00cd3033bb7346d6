"""2,000 feeds that are followed live on one worker: its memory, and that every reader gets what is theirs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import sqlalchemy as sa

from services.notifications.storage import feed_entries
from shared.shell.postgres.engine import new_engine
from tests.http_edges import TOKEN
from tests.integration.conftest import NewDatabase
from tests.integration.edge_server import serving

READERS = 2000
MOST = 50_000_000
"""Bytes for all of them: an idle worker has 100 MB, and shall have 150 MB with them."""
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def recipient(number: int) -> str:
    return f"north~customer~c-{number}"


async def follow(port: int, number: int, part: str = "/stream") -> Stream:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /feeds/{recipient(number)}{part} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    writer.write(head.encode())
    status = (await reader.readuntil(b"\r\n\r\n")).split()[1]
    assert status == b"200", status
    return reader, writer


async def told(port: int, number: int, reader: asyncio.StreamReader) -> None:
    """By the stream; or, where a slow database has ended that, by the feed, as a page that connects again reads it."""
    text = f"No. {number}.".encode()
    try:
        await reader.readuntil(text)
    except asyncio.IncompleteReadError:
        again, writer = await follow(port, number, "")
        try:
            await again.readuntil(text)
        finally:
            writer.close()


async def test_two_thousand_readers(new_database: NewDatabase) -> None:
    url = await new_database("notifications")
    words = {"order_id": "o-1", "number": "ORD-1", "kind": "order_paid", "title": "Paid"}
    async with serving("notifications", url) as (process, port):
        before = process.memory_info().rss
        streams: list[Stream] = []
        try:
            for start in range(0, READERS, 50):
                streams += await asyncio.gather(*(follow(port, number) for number in range(start, start + 50)))
            engine = new_engine(url)
            async with engine.begin() as connection:
                rows = [
                    {
                        "key": recipient(number),
                        "id": uuid4(),
                        "at": datetime.now(UTC),
                        "text": f"No. {number}.",
                        **words,
                    }
                    for number in range(READERS)
                ]
                await connection.execute(sa.insert(feed_entries), rows)
            await engine.dispose()
            async with asyncio.timeout(120):
                for number, (reader, _) in enumerate(streams):
                    await told(port, number, reader)
            after = process.memory_info().rss
        finally:
            for _, writer in streams:
                writer.close()
    print(f"{before / 1e6:.0f} MB before, {after / 1e6:.0f} MB with {READERS} readers")
    assert after - before < MOST
