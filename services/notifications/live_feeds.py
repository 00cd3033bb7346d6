"""Feeds that are followed live. A worker looks once a second for all its readers, whatever their number: for new
entries of the feeds that they follow, for marks set anywhere, and for how many entries are unread where that changed.

What is new goes by PostgreSQL's transactions, not by clocks: an entry tells which transaction made it and which
changed it last. A look asks for those of all transactions that the look before may not have seen. A reader takes a
snapshot when it comes: what that sees is read for it in pages, in order of time; looks tell what it does not see.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.notifications.storage import feed_entries
from shared.shell.http.event_stream import event_of

log = structlog.get_logger(__name__)
POLL = 1.0
"""Seconds between two looks."""
PAGE = 200
WAITING_MOST = 1000
"""Events that wait for one reader. A slower one is cut off; it continues with its `Last-Event-ID`."""
UNREAD_MOST = 1000
"""Unread entries are counted up to here: more is told as this number."""

SNAPSHOT = "select cast(pg_current_snapshot() as text)"
OWN = "cast(entries.changed_in as xid) = entries.xmin"
"""Not as a dump restored it: then the number is that of another server's transaction."""
SEEN = f"(pg_visible_in_snapshot(entered_in, cast(:snapshot as pg_snapshot)) or not {OWN})"
CHANGED = f"""
    select cast(cast(pg_snapshot_xmin(now.snapshot) as text) as bigint) as first_open, entries.key, entries.id,
        cast(cast(entries.entered_in as text) as bigint) as entered_in,
        cast(cast(entries.changed_in as text) as bigint) as changed_in
    from (select pg_current_snapshot() as snapshot) now left join feed_entries entries
        on entries.changed_in >= cast(cast(:floor as text) as xid8)
        and entries.key = any(cast(:recipients as text[])) and {OWN}
"""

Place = tuple[datetime, UUID]
"""Entries are in order of time; ids only distinguish entries of the same time."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """PostgreSQL's `pg_snapshot`: which transactions had ended."""

    first_open: int
    next: int
    open: frozenset[int]

    @classmethod
    def of(cls, text: str) -> Snapshot:
        first_open, following, open = text.split(":")
        return cls(int(first_open), int(following), frozenset(map(int, filter(None, open.split(",")))))

    def sees(self, transaction: int) -> bool:
        return transaction < self.next and transaction not in self.open


class Follower:
    """One reader: what waits to be sent, and what was there when it came. There are thousands of them."""

    __slots__ = ("_before", "_filled", "_snapshot", "_unread", "_waiting", "began", "ended", "recipient")

    def __init__(self, recipient: str, began: Place) -> None:
        """`began`: the place of the last entry that the reader has."""
        self.recipient, self.began = recipient, began
        self.ended = False
        """Nothing more is sent: the worker stops, or the reader is too slow."""
        self._waiting: list[bytes] = []
        self._filled = asyncio.Event()
        self._unread = -1
        self._snapshot: Snapshot | None = None
        self._before: list[tuple[int, bytes]] = []
        """Found by looks before the snapshot was known."""

    def came(self, snapshot: Snapshot) -> None:
        """What this snapshot sees was there when the reader came."""
        before, self._snapshot, self._before = self._before, snapshot, []
        for transaction, event in before:
            self.entry(transaction, event)

    def entry(self, transaction: int, event: bytes) -> None:
        if self._snapshot is None:
            self._before.append((transaction, event))
        elif not self._snapshot.sees(transaction):
            self._add(event)

    def unread(self, count: int) -> None:
        if count != self._unread:
            self._unread = count
            self._add(event_of("unread", {"unread": count}))

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
        events, self._waiting = b"".join(self._waiting), []
        return events


@dataclass(slots=True)
class _Feed:
    followers: set[Follower] = field(default_factory=set)
    told: dict[UUID, int] = field(default_factory=dict)
    """The transaction that changed each entry last when its followers were told, as far back as looks go."""
    unread: int | None = None


class LiveFeeds:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._feeds: dict[str, _Feed] = {}
        self._joined = asyncio.Event()
        self._floor: int | None = None
        """The first transaction that the next look is to see; None: nothing was followed."""
        self._seen_to = 0
        """The first transaction that the last look may not have seen."""

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
        place, snapshot = follower.began, await self.come(follower)
        while not follower.ended:
            async with self._engine.connect() as connection:
                rows = await _entries_after(connection, follower.recipient, place, snapshot)
            if rows:
                yield b"".join(map(entry_event, rows))
                place = (rows[-1]["at"], rows[-1]["id"])
            if len(rows) < PAGE:
                return

    async def come(self, follower: Follower) -> str:
        """Take the snapshot of one who is among the followers already."""
        async with self._engine.connect() as connection:
            await self._begin(connection)  # looks see what this snapshot does not
            text: str = (await connection.execute(sa.text(SNAPSHOT))).scalar_one()
        follower.came(Snapshot.of(text))
        return text

    async def _begin(self, connection: AsyncConnection) -> int:
        if self._floor is None:
            first_open = Snapshot.of((await connection.execute(sa.text(SNAPSHOT))).scalar_one()).first_open
            if self._floor is None:
                self._floor = self._seen_to = first_open
        return self._floor

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
                self._floor = None
            await asyncio.sleep(POLL)

    async def look(self) -> None:
        recipients = list(self._feeds)
        async with self._engine.connect() as connection:
            floor = await self._begin(connection)
            values = {"floor": str(floor), "recipients": recipients}
            found = (await connection.execute(sa.text(CHANGED), values)).all()
            changes = [row for row in found if row.id is not None and self._is_untold(row)]
            entered = {row.id: row.entered_in for row in changes if row.entered_in >= floor}
            new = await _entries(connection, [(row.key, row.id) for row in changes if row.id in entered])
            changed = {row.key for row in changes}
            changed |= {recipient for recipient, feed in self._feeds.items() if feed.unread is None}
            unread = await count_unread(connection, changed)
        for row in new:
            if feed := self._feeds.get(row["key"]):
                first, event = row["id"] not in feed.told, entry_event(row)
                for follower in feed.followers if first else ():
                    follower.entry(entered[row["id"]], event)
        for change in changes:
            if feed := self._feeds.get(change.key):
                feed.told[change.id] = change.changed_in
        for recipient, count in unread.items():
            if feed := self._feeds.get(recipient):
                feed.unread = count
                for follower in feed.followers:
                    follower.unread(count)
        seen_to, self._seen_to = self._seen_to, found[0].first_open
        # A feed that was not asked for, since its first reader came meanwhile, is owed what this look saw.
        self._forget(seen_to if self._feeds.keys() - set(recipients) else self._seen_to)

    def _is_untold(self, row: sa.Row[Any]) -> bool:
        feed = self._feeds.get(row.key)
        return feed is not None and feed.told.get(row.id) != row.changed_in

    def _forget(self, floor: int) -> None:
        """The next look begins there."""
        self._floor = floor
        for feed in self._feeds.values():
            if feed.told:
                feed.told = {id: transaction for id, transaction in feed.told.items() if transaction >= floor}


async def _entries(connection: AsyncConnection, places: Sequence[tuple[str, UUID]]) -> Sequence[sa.RowMapping]:
    table = feed_entries
    rows: list[sa.RowMapping] = []
    for start in range(0, len(places), PAGE):
        some = sa.tuple_(table.c.key, table.c.id).in_(places[start : start + PAGE])
        rows += (await connection.execute(sa.select(table).where(some))).mappings().all()
    return sorted(rows, key=lambda row: (row["at"], row["id"]))


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


async def _entries_after(
    connection: AsyncConnection, recipient: str, place: Place, snapshot: str
) -> Sequence[sa.RowMapping]:
    """Those that the snapshot sees."""
    table = feed_entries.alias("entries")
    after = sa.tuple_(sa.literal(place[0]), sa.literal(place[1])) < sa.tuple_(table.c.at, table.c.id)
    seen = sa.text(SEEN).bindparams(snapshot=snapshot)
    query = sa.select(table).where(table.c.key == recipient, after, seen).order_by(table.c.at, table.c.id).limit(PAGE)
    return (await connection.execute(query)).mappings().all()


def entry_event(row: sa.RowMapping) -> bytes:
    return event_of("entry", entry_view(row), str(row["id"]))


@dataclass(frozen=True, slots=True)
class ShownEntry:
    """One entry of a feed, on a page and in a stream."""

    id: UUID
    """Names the entry. Ids are not in order of time: sort by `at`."""
    order: str
    """The order's id."""
    number: str
    """The order's number, as people say it."""
    kind: str
    """Customers: `order_placed`, `order_paid`, `request_received`, `request_accepted`, `request_declined`,
    `card_needed`, `payment_failed`, `confirm_payment`, `payment_reminder`, `delivered`, `shipped`,
    `order_failed`, `order_completed`, `order_cancelled`, `order_expired`, `refund`, `refund_returned`,
    `store_answers`. Staff: `new_order`, `new_request`, `request_accepted`, `request_declined`,
    `delivery_failure`, `delivery_waiting`, `supply_low`, `waits_for_staff`, `order_failed`, `order_cancelled`,
    `refund`, `refund_failure`, `stray_charge`, `customer_asks`, `email_failed`, `webhook_exhausted`. More may come."""
    title: str
    """One line, in the reader's language. Text, never HTML."""
    text: str
    """More about it; may be empty. Text, never HTML."""
    link: str | None
    """Where to pay, confirm or give a card; null where there is nothing to do."""
    at: datetime
    """When it happened."""
    read: bool
    """Its reader has marked it as read."""
    archived: bool
    """Its reader has archived it: it is no longer on the feed's pages, unless they are asked for."""


def entry_view(row: sa.RowMapping) -> ShownEntry:
    return ShownEntry(
        *(UUID(str(row["id"])), row["order_id"], row["number"], row["kind"], row["title"], row["text"], row["link"]),
        at=row["at"],
        read=row["read_at"] is not None,
        archived=row["archived_at"] is not None,
    )
