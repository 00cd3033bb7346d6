"""Feeds that are followed live. A worker looks once a second for all its readers, whatever their number: for new
entries of the feeds that they follow, for marks set anywhere, and for how many entries are unread where that changed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.notifications.storage import feed_entries

log = structlog.get_logger(__name__)
POLL = 1.0
"""Seconds between two looks."""
LATE = timedelta(seconds=30)
"""An entry has the time of its decision, and may be committed this much later."""
MARKED = timedelta(seconds=5)
"""How far back marks are looked for; longer than a look takes."""
PAGE = 200
WAITING_MOST = 1000
"""Events that wait for one reader. A slower one is cut off; it continues with its `Last-Event-ID`."""
UNREAD_MOST = 1000
"""Unread entries are counted up to here: more is told as this number."""

Place = tuple[datetime, UUID]
"""Entries are in order of time; ids only distinguish entries of the same time."""


class Follower:
    """One reader: what waits to be sent, and what was there when it came."""

    def __init__(self, recipient: str, began: Place) -> None:
        """`began`: the place of the last entry that the reader has."""
        self.recipient, self.began = recipient, began
        self.ended = False
        """Nothing more is sent: the worker stops, or the reader is too slow."""
        self._waiting: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self._found: dict[UUID, datetime] = {}
        self._unread = -1

    def found(self, id: UUID, at: datetime) -> None:
        """It was there when the reader came; the next looks may find it, too."""
        self._found[id] = at

    def entry(self, id: UUID, at: datetime, event: bytes) -> None:
        if (at, id) > self.began and id not in self._found:
            self._add(event)

    def unread(self, count: int) -> None:
        if count != self._unread:
            self._unread = count
            self._add(event_of("unread", {"unread": count}))

    def forget(self, before: datetime) -> None:
        if self._found:
            self._found = {id: at for id, at in self._found.items() if at >= before}

    def end(self) -> None:
        self.ended = True
        self._filled.set()

    def _add(self, event: bytes) -> None:
        if len(self._waiting) >= WAITING_MOST:
            self.end()
        else:
            self._waiting.append(event)
            self._filled.set()

    async def news(self, timeout: float) -> bytes:
        """What waits, as server-sent events; empty if nothing came in time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._filled.wait(), timeout)
        self._filled.clear()
        events, self._waiting = b"".join(self._waiting), deque()
        return events


@dataclass
class _Feed:
    followers: set[Follower] = field(default_factory=set)
    recent: dict[UUID, datetime] = field(default_factory=dict)
    """Entries that its followers have been given, as far back as others can still be committed."""
    unread: int | None = None


class LiveFeeds:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._feeds: dict[str, _Feed] = {}
        self._joined = asyncio.Event()

    @contextmanager
    def followed(self, follower: Follower) -> Iterator[None]:
        feed = self._feeds.setdefault(follower.recipient, _Feed())
        feed.followers.add(follower)
        if feed.unread is not None:
            follower.unread(feed.unread)
        self._joined.set()
        try:
            yield
        finally:
            feed.followers.discard(follower)
            if not feed.followers:
                self._feeds.pop(follower.recipient, None)

    async def earlier(self, follower: Follower) -> AsyncIterator[bytes]:
        """What was there before, in pages, for one who is among the followers already. Raises SQLAlchemyError."""
        place, lately = follower.began, datetime.now(UTC) - 2 * LATE
        while not follower.ended:
            async with self._engine.connect() as connection:
                rows = await _entries_after(connection, follower.recipient, place)
            for row in rows:
                if row["at"] >= lately:
                    follower.found(row["id"], row["at"])
            if rows:
                yield b"".join(map(entry_event, rows))
                place = (rows[-1]["at"], rows[-1]["id"])
            if len(rows) < PAGE:
                return

    def end(self) -> None:
        """End all streams; their readers connect to another worker."""
        for feed in self._feeds.values():
            for follower in feed.followers:
                follower.end()

    async def run(self) -> None:
        while True:
            await self._joined.wait()
            try:
                await self.look()
            except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("feeds cannot be read, retrying", error=type(error).__name__)
            if not self._feeds:
                self._joined.clear()
            await asyncio.sleep(POLL)

    async def look(self) -> None:
        floor = datetime.now(UTC) - LATE
        recipients = list(self._feeds)
        async with self._engine.connect() as connection:
            new = await self._new_entries(connection, recipients, floor)
            changed = {row["key"] for row in new} | await _marked(connection, recipients)
            changed |= {recipient for recipient, feed in self._feeds.items() if feed.unread is None}
            unread = await count_unread(connection, changed)
        for row in new:
            if feed := self._feeds.get(row["key"]):
                feed.recent[row["id"]] = row["at"]
                event = entry_event(row)
                for follower in feed.followers:
                    follower.entry(row["id"], row["at"], event)
        for recipient, count in unread.items():
            if feed := self._feeds.get(recipient):
                feed.unread = count
                for follower in feed.followers:
                    follower.unread(count)
        self._forget(floor - LATE)

    async def _new_entries(
        self, connection: AsyncConnection, recipients: Sequence[str], floor: datetime
    ) -> Sequence[sa.RowMapping]:
        """Ids first: of what was given already, no more than that is read again."""
        table = feed_entries
        places = sa.select(table.c.key, table.c.id).where(
            table.c.key == sa.any_(_texts(recipients)), table.c.at > floor
        )
        found = (await connection.execute(places)).all()
        feeds = self._feeds
        new = [(key, id) for key, id in found if key in feeds and id not in feeds[key].recent]
        rows: list[sa.RowMapping] = []
        for start in range(0, len(new), PAGE):
            some = sa.tuple_(table.c.key, table.c.id).in_(new[start : start + PAGE])
            rows += (await connection.execute(sa.select(table).where(some))).mappings().all()
        return sorted(rows, key=lambda row: (row["at"], row["id"]))

    def _forget(self, before: datetime) -> None:
        for feed in self._feeds.values():
            if feed.recent:
                feed.recent = {id: at for id, at in feed.recent.items() if at >= before}
                for follower in feed.followers:
                    follower.forget(before)


async def count_unread(connection: AsyncConnection, recipients: Iterable[str]) -> dict[str, int]:
    """By recipient, up to UNREAD_MOST."""
    wanted = sorted(recipients)
    if not wanted:
        return {}
    statement = sa.text(
        "select recipient, (select count(*) from (select from feed_entries where key = recipient and read_at is null "
        "and archived_at is null limit :most) counted) from unnest(cast(:recipients as text[])) recipient"
    )
    rows = await connection.execute(statement, {"recipients": wanted, "most": UNREAD_MOST})
    return {str(recipient): int(count) for recipient, count in rows}


async def _marked(connection: AsyncConnection, recipients: Sequence[str]) -> set[str]:
    """Whose feeds had entries marked lately, at this worker or another."""
    statement = sa.text(
        "select distinct key from feed_entries where (read_at is not null or archived_at is not null) "
        "and greatest(read_at, archived_at) > now() - cast(:lately as interval) "
        "and key = any(cast(:recipients as text[]))"
    )
    return set((await connection.execute(statement, {"recipients": recipients, "lately": MARKED})).scalars())


async def _entries_after(connection: AsyncConnection, recipient: str, place: Place) -> Sequence[sa.RowMapping]:
    table = feed_entries
    after = sa.tuple_(sa.literal(place[0]), sa.literal(place[1])) < sa.tuple_(table.c.at, table.c.id)
    query = sa.select(table).where(table.c.key == recipient, after).order_by(table.c.at, table.c.id).limit(PAGE)
    return (await connection.execute(query)).mappings().all()


def _texts(values: Sequence[str]) -> sa.BindParameter[Any]:
    return sa.bindparam("recipients", list(values), sa.ARRAY(sa.Text))


def entry_event(row: sa.RowMapping) -> bytes:
    return event_of("entry", entry_view(row), str(row["id"]))


def entry_view(row: sa.RowMapping) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "order": row["order_id"],
        "number": row["number"],
        "kind": row["kind"],
        "title": row["title"],
        "text": row["text"],
        "link": row["link"],
        "at": row["at"],
        "read": row["read_at"] is not None,
        "archived": row["archived_at"] is not None,
    }


def event_of(name: str, data: object, id: str = "") -> bytes:
    """A server-sent event."""
    lines = (f"id: {id}\n" if id else "") + f"event: {name}\ndata: "
    return lines.encode() + orjson.dumps(data) + b"\n\n"
