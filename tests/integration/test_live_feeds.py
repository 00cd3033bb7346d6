"""Feeds that are followed live, on PostgreSQL: what readers get, and what it costs however many they are."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import orjson
import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp.test_utils import BaseTestServer, TestServer
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.notifications import feeds
from services.notifications.gateways.feed_tokens import FeedTokens
from services.notifications.live_feeds import PAGE, UNREAD_MOST, WAITING_MOST, Follower, LiveFeeds, count_unread
from services.notifications.settings import NotificationsSettings
from services.notifications.storage import feed_entries
from shared.core.ids import NIL
from shared.settings import example_settings
from shared.shell.postgres.engine import create_read_engine
from tests.http_edges import BEARER, request_of, service_edge
from tests.integration.conftest import NewDatabase

MARK = "update feed_entries set read_at = now(), changed_in = pg_current_xact_id() where key = :key"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    url = await new_database("notifications")
    engine = create_read_engine(url, "test")
    yield engine
    await engine.dispose()


async def enter(engine: AsyncEngine, *recipients: str, ago: timedelta = timedelta(0), count: int = 1) -> None:
    """Entries of each recipient, decided so long ago and committed now."""
    async with engine.begin() as connection:
        await connection.execute(sa.insert(feed_entries), entries(*recipients, ago=ago, count=count))


def entries(*recipients: str, ago: timedelta = timedelta(0), count: int = 1) -> list[dict[str, Any]]:
    at = datetime.now(UTC) - ago
    words = {"order_id": "o-1", "number": "ORD-1", "kind": "order_paid", "title": "Paid", "text": "It is paid."}
    return [
        {"key": key, "id": uuid4(), "at": at + timedelta(microseconds=n), **words}
        for key in recipients
        for n in range(count)
    ]


async def mark_read(engine: AsyncEngine, recipient: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text(MARK), {"key": recipient})


def reader(recipient: str, began: datetime | None = None) -> Follower:
    return Follower(recipient, (began or datetime.now(UTC) - timedelta(seconds=2), NIL))


async def received(follower: Follower) -> list[str]:
    """The ids of entries, and counts of unread ones, in the order in which they came."""
    return shown(await follower.news(0))


def shown(events: bytes) -> list[str]:
    found = []
    for event in events.decode().split("\n\n")[:-1]:
        data = orjson.loads(event.partition("data: ")[2])
        found.append(data["id"] if "id" in data else f"unread {data['unread']}")
    return found


class Queries:
    """How many statements an engine was given."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.count = 0
        sa.event.listen(engine.sync_engine, "before_cursor_execute", self._add)

    def _add(self, *_: object) -> None:
        self.count += 1


async def test_every_reader_gets_the_entries_of_their_own_feed_once(engine: AsyncEngine) -> None:
    feeds, readers = LiveFeeds(engine), [reader(f"r-{n % 10}") for n in range(100)]
    with ExitStack() as stack:
        for follower in readers:
            stack.enter_context(feeds.followed(follower))
            await feeds.come(follower)
        await enter(engine, *(f"r-{n}" for n in range(12)))
        await feeds.look()
        for follower in readers:
            entry, unread = await received(follower)
            assert UUID(entry) and unread == "unread 1"
        await feeds.look()
        assert [await received(follower) for follower in readers] == [[]] * 100


async def test_a_look_costs_the_same_for_many_readers(engine: AsyncEngine) -> None:
    feeds, queries, costs = LiveFeeds(engine), Queries(engine), []
    with ExitStack() as stack:
        for number in range(300):
            follower = reader(f"r-{number % 100}")
            stack.enter_context(feeds.followed(follower))
            await feeds.come(follower)
            if number in (0, 299):
                await enter(engine, "r-0")
                before = queries.count
                await feeds.look()
                costs.append(queries.count - before)
    assert costs[0] == costs[1] <= 4


@pytest.mark.parametrize("ago", [timedelta(minutes=10), timedelta(0), -timedelta(minutes=10)])
async def test_an_entry_is_told_whatever_the_clock_of_its_worker(engine: AsyncEngine, ago: timedelta) -> None:
    feeds, follower = LiveFeeds(engine), reader("r")
    with feeds.followed(follower):
        await feeds.come(follower)
        await feeds.look()
        await enter(engine, "r", ago=ago)
        await feeds.look()
        entry, unread = [one for one in await received(follower) if one != "unread 0"]
        assert UUID(entry) and unread == "unread 1"
        await feeds.look()
        assert await received(follower) == []


async def test_what_is_committed_late_is_told_when_it_is_committed(engine: AsyncEngine) -> None:
    """Looks go on meanwhile: later transactions are committed before it, and told."""
    feeds, follower = LiveFeeds(engine), reader("r")
    await enter(engine, "r", "other", ago=timedelta(hours=1))
    with feeds.followed(follower):
        async with engine.connect() as slow:
            await feeds.come(follower)
            await slow.execute(sa.insert(feed_entries), entries("r"))
            await slow.execute(sa.text(MARK), {"key": "other"})
            for _ in range(3):
                await enter(engine, "r")
                await feeds.look()
            assert len([one for one in await received(follower) if not one.startswith("unread")]) == 3
            await slow.commit()
        await feeds.look()
        entry, unread = await received(follower)
        assert UUID(entry) and unread == "unread 5"


async def test_a_mark_whose_transaction_took_long_is_told(engine: AsyncEngine) -> None:
    feeds, follower = LiveFeeds(engine), reader("r")
    await enter(engine, "r", count=2)
    with feeds.followed(follower):
        await feeds.come(follower)
        await feeds.look()
        assert (await received(follower))[-1] == "unread 2"
        async with engine.connect() as slow:
            await slow.execute(sa.text(MARK.replace("now()", "now() - interval '1 hour'")), {"key": "r"})
            for _ in range(2):
                await enter(engine, "other")
                await feeds.look()
            await slow.commit()
        await feeds.look()
        assert await received(follower) == ["unread 0"], "and no entry again"


async def test_what_comes_while_a_reader_comes_is_told_once(engine: AsyncEngine) -> None:
    """Before its snapshot or after it, and whether a look was faster or not."""
    feeds, early, follower = LiveFeeds(engine), reader("r"), reader("r", LONG_AGO)
    with feeds.followed(early):
        await feeds.come(early)
        with feeds.followed(follower):
            await enter(engine, "r")
            await feeds.look()
            got = [id async for events in feeds.earlier(follower) for id in shown(events)]
            await enter(engine, "r")
            await feeds.look()
        got += [one for one in await received(follower) if not one.startswith("unread")]
    assert len(got) == len(set(got)) == 2
    assert sorted(got) == sorted(one for one in await received(early) if not one.startswith("unread"))


class Interrupted(LiveFeeds):
    """Something happens after a look has listed the feeds that it asks for."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def _begin(self, connection: AsyncConnection) -> int:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return await super()._begin(connection)


async def test_what_a_look_saw_is_told_to_those_who_came_meanwhile(new_database: NewDatabase) -> None:
    url = await new_database("notifications")
    engine, writes = create_read_engine(url, "test"), create_read_engine(url, "writer")
    feeds, other, follower = Interrupted(engine), reader("other"), reader("r")
    with feeds.followed(other), ExitStack() as stack:
        await feeds.come(other)
        await feeds.look()

        async def comes() -> None:
            stack.enter_context(feeds.followed(follower))
            async with writes.connect() as slow:
                await slow.execute(sa.insert(feed_entries), entries("r"))
                await feeds.come(follower)
                await slow.commit()

        feeds.meanwhile = comes
        await feeds.look()
        await feeds.look()
        assert len([one for one in await received(follower) if not one.startswith("unread")]) == 1
    await engine.dispose()
    await writes.dispose()


async def test_entries_as_a_dump_restored_them_are_not_new(engine: AsyncEngine) -> None:
    """Their transactions were those of another server, and may be ahead of this one's."""
    feeds, follower = LiveFeeds(engine), reader("r", LONG_AGO)
    await enter(engine, "r", ago=timedelta(hours=1), count=3)
    async with engine.begin() as connection:
        ahead = "update feed_entries set entered_in = '9000000', changed_in = '9000000'"
        await connection.execute(sa.text(ahead))
    with feeds.followed(follower):
        pages = [shown(events) async for events in feeds.earlier(follower)]
        await feeds.look()
        assert await received(follower) == ["unread 3"]
    assert [len(page) for page in pages] == [3]


async def test_a_reader_continues_where_it_was_and_gets_nothing_twice(engine: AsyncEngine) -> None:
    feeds, follower = LiveFeeds(engine), reader("r", LONG_AGO)
    await enter(engine, "r", ago=timedelta(hours=1), count=PAGE * 2)
    await enter(engine, "r", count=3)
    with feeds.followed(follower):
        pages = [shown(events) async for events in feeds.earlier(follower)]
        await enter(engine, "r", count=1)
        await feeds.look()
        (last, unread) = await received(follower)
    assert [len(page) for page in pages] == [PAGE, PAGE, 3]
    got = [*(id for page in pages for id in page), last]
    assert len(got) == len(set(got)) == PAGE * 2 + 4
    assert unread == f"unread {PAGE * 2 + 4}"


async def test_marks_set_at_another_worker_are_told(engine: AsyncEngine) -> None:
    feeds, follower = LiveFeeds(engine), reader("r")
    with feeds.followed(follower):
        await feeds.come(follower)
        await enter(engine, "r", "other", count=2)
        await feeds.look()
        assert (await received(follower))[-1] == "unread 2"
        await mark_read(engine, "r")
        await feeds.look()
        assert await received(follower) == ["unread 0"]


async def test_no_more_unread_entries_are_counted_than_are_told(engine: AsyncEngine) -> None:
    await enter(engine, "r", ago=timedelta(days=1), count=UNREAD_MOST + 500)
    async with engine.connect() as connection:
        assert await count_unread(connection, ["r", "nothing"]) == {"r": UNREAD_MOST, "nothing": 0}


async def test_a_reader_that_is_too_slow_is_cut_off_and_delays_no_other(engine: AsyncEngine) -> None:
    feeds, slow, quick = LiveFeeds(engine), reader("r"), reader("r")
    with feeds.followed(slow), feeds.followed(quick):
        await feeds.come(slow)
        await feeds.come(quick)
        for _ in range(WAITING_MOST // 500 + 1):
            await enter(engine, "r", count=500)
            await feeds.look()
            assert len(await received(quick)) >= 500
    assert slow.ended and not quick.ended


async def test_all_streams_end_when_the_worker_stops(engine: AsyncEngine) -> None:
    feeds, follower = LiveFeeds(engine), reader("r")
    with feeds.followed(follower):
        waiting = asyncio.create_task(follower.news(60))
        await asyncio.sleep(0)
        feeds.end()
        assert await asyncio.wait_for(waiting, 5) == b"" and follower.ended


@asynccontextmanager
async def notifications(new_database: NewDatabase) -> AsyncIterator[int]:
    """Its port."""
    url = await new_database("notifications")
    edge = service_edge("notifications", url)
    async with TestServer(edge.application) as server:
        assert server.port
        yield server.port
    await edge.engine.dispose()


async def follow(port: int, recipient: str, seconds: int) -> tuple[int, asyncio.StreamReader, asyncio.StreamWriter]:
    """With a token that expires."""
    secret = example_settings(NotificationsSettings).notifications.feed_secret.get_secret_value()
    token = FeedTokens(secret).token(recipient, datetime.now(UTC) + timedelta(seconds=seconds))
    stream, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_of("GET", f"/feeds/{recipient}/stream", {"Authorization": f"Bearer {token}"}))
    async with asyncio.timeout(20):
        head = await stream.readuntil(b"\r\n\r\n")
    assert b" 200 " in head or b"Retry-After: 30" in head
    return int(head.split()[1]), stream, writer


async def test_a_stream_ends_when_its_token_expires(new_database: NewDatabase) -> None:
    async with notifications(new_database) as port:
        status, stream, writer = await follow(port, "s~customer~c-1", 3)
        assert status == 200
        async with asyncio.timeout(13):  # less than until the next sign of life
            await stream.read()
        writer.close()


async def test_one_customer_does_not_take_the_streams_of_others(new_database: NewDatabase) -> None:
    async with notifications(new_database) as port:
        most = example_settings(NotificationsSettings).notifications.streams_per_feed
        opened = await asyncio.gather(*(follow(port, "s~customer~c-1", 600) for _ in range(most + 5)))
        assert sorted(status for status, _, _ in opened) == [200] * most + [429] * 5
        status, _, other = await follow(port, "s~customer~c-2", 600)
        assert status == 200
        for _, _, writer in [*opened, (0, None, other)]:
            writer.close()


async def replayed(server: BaseTestServer, recipient: str, last: str, query: str = "") -> list[str]:
    """The ids of the entries that a stream begins with, up to the number of unread ones, which comes after them."""
    headers = BEARER | ({"Last-Event-ID": last} if last else {})
    url, said = server.make_url(f"/feeds/{recipient}/stream{query}"), b""
    async with asyncio.timeout(20), aiohttp.request("GET", url, headers=headers) as stream:
        while b"event: unread" not in said:
            said += await stream.content.readany()
    return re.findall(r"^id: (.+)$", said.decode(), re.MULTILINE)


async def test_a_stream_begins_after_the_entry_that_its_reader_has(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all of them, up to a number, if it has none or one that is gone; with none if it says nothing."""
    monkeypatch.setattr(feeds, "REPLAYED_MOST", 5, raising=False)
    url = await new_database("notifications")
    edge = service_edge("notifications", url)
    few, many = entries("s~customer~c-1", ago=timedelta(hours=1), count=3), entries("s~staff", count=8)
    for row in many:
        row["at"] -= timedelta(hours=1)
    async with edge.engine.begin() as connection:
        await connection.execute(sa.insert(feed_entries), few + many)
    ids, staff = [str(row["id"]) for row in few], [str(row["id"]) for row in many]
    async with TestServer(edge.application) as server:
        for unknown in (str(NIL), str(uuid4()), staff[0]):
            assert await replayed(server, "s~customer~c-1", unknown) == ids
        assert await replayed(server, "s~customer~c-1", "", f"?after={NIL}") == ids
        assert await replayed(server, "s~customer~c-1", ids[0]) == ids[1:]
        assert await replayed(server, "s~customer~c-1", "") == []
        assert await replayed(server, "s~staff", str(NIL)) == staff[-5:]
        assert await replayed(server, "s~customer~c-9", str(NIL)) == []
    await edge.engine.dispose()


async def test_whether_a_stream_is_there_can_be_asked_without_following_it(new_database: NewDatabase) -> None:
    url = await new_database("notifications")
    edge = service_edge("notifications", url)
    async with TestServer(edge.application) as server:
        connection, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request_of("HEAD", "/feeds/s~staff/stream"))
        async with asyncio.timeout(10):
            head, _, body = (await connection.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    await edge.engine.dispose()
    assert head.startswith(b"HTTP/1.1 200 ") and body == b""
