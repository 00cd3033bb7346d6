"""Orders that are followed live. A worker looks once a second for all its readers (ADR 52).

What is new goes by PostgreSQL's transactions, not by clocks: an order tells which transaction has changed it last. A
look tells of those whose last change the look before did not see, so none is missed, however long a transaction takes
and whichever worker it is of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.staff.live.follower import Follower, OrderChange, Position
from shared.shell.http.event_stream import event_of

log = structlog.get_logger(__name__)
POLL = 1.0
"""Seconds between two looks."""
CHANGED_MOST = 5000
"""Orders that are told together, of all stores: where more were changed, readers are to read again what they show."""
PARTS = ("order", "payment", "delivery", "messages")
NAMES = ("order", "payment", "deliveries", "messages")
"""Of records, as an order's page has them."""
COLUMNS = f"o.order_id, o.store, o.number, o.status, {', '.join(f'o.{part}_revision' for part in PARTS)}"
DATABASE = """left(md5(concat_ws(' ', (select system_identifier from pg_control_system()),
    (select timeline_id from pg_control_checkpoint()),
    (select oid from pg_database where datname = current_database()))), 12)"""
"""The server, its history, and the database: transactions of others have other numbers."""
OWN = "cast(orders.changed_in as xid) = orders.xmin"
"""Not as a dump restored it: then the number is that of another server's transaction."""
CHANGED = sa.text(f"""
    select {DATABASE} as database, cast(now.snapshot as text) as snapshot, {COLUMNS}
    from (select pg_current_snapshot() as snapshot) now left join lateral (
        select * from orders
        where changed_in >= pg_snapshot_xmin(cast(cast(:since as text) as pg_snapshot))
            and not pg_visible_in_snapshot(changed_in, cast(cast(:since as text) as pg_snapshot))
            and pg_visible_in_snapshot(changed_in, coalesce(cast(cast(:until as text) as pg_snapshot), now.snapshot))
            and {OWN} and store <> ''
        order by changed_in limit :most
    ) o on true
""")
ONE = sa.text(f"select {COLUMNS} from orders o where o.order_id = :order")
EVENTS = sa.text("select key, count(*) from events where key = any(cast(:keys as text[])) group by key")


class LiveChanges:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._followers: set[Follower] = set()
        self._joined = asyncio.Event()
        self._seen: str | None = None
        """The snapshot of the last look; None: nothing was followed."""
        self._events: dict[str, int] = {}
        """Of the orders that are followed, how many events the archive had."""

    @contextmanager
    def followed(self, follower: Follower) -> Iterator[None]:
        self._followers.add(follower)
        self._joined.set()
        try:
            yield
        finally:
            self._followers.discard(follower)

    def end(self) -> None:
        """End all streams; their readers connect to another worker."""
        for follower in self._followers:
            follower.end()

    async def run(self) -> None:
        while True:
            await self._joined.wait()
            try:
                await self.look()
            except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("changes cannot be read, retrying", error=type(error).__name__)
            if not self._followers:
                self._joined.clear()
                self._seen = None
            await asyncio.sleep(POLL)

    async def look(self) -> None:
        """Those who have come are told up to the snapshot of this look, and by the next ones what it does not see."""
        new = [each for each in self._followers if not each.came]
        async with self._engine.connect() as connection:
            now, changes = await _changed(connection, self._seen)
            missed = {began: await _missed(connection, began, now) for began in {each.began for each in new}}
            ones = {each.order: await _one(connection, each.order) for each in new if each.order}
            events = await _count_events(connection, {each.order for each in self._followers if each.order})
        others = [each for each in self._followers if each.came]
        _notify(others, changes)
        for follower in others:
            count = events.get(follower.order, 0)
            if follower.order and count != self._events.get(follower.order, count):
                follower.notify(_timeline(follower.order, count))
        for follower in new:
            if follower.order:
                if one := ones[follower.order]:
                    follower.notify(one.event)
                follower.notify(_timeline(follower.order, events[follower.order]))
            else:
                _notify([follower], missed[follower.began])
            follower.came = True
        for follower in (*others, *new):
            follower.seen(now)
        self._seen, self._events = now.snapshot, events


def _notify(followers: Iterable[Follower], changes: Sequence[OrderChange] | None) -> None:
    """`changes`: None where they are not known, or too many."""
    alike: dict[tuple[frozenset[str] | None, str], list[bytes]] = {}
    for follower in followers:
        if changes is None:
            follower.reset()
            continue
        place = (follower.stores, follower.order)
        if place not in alike:
            alike[place] = [change.event for change in changes if follower.wants(change)]
        follower.notify(*alike[place])


async def _changed(
    connection: AsyncConnection, since: str | None, until: str | None = None
) -> tuple[Position, list[OrderChange] | None]:
    """Where it stands, and the orders whose last change `since` does not see, and `until` does. `since`: None for no
    orders."""
    values = {"since": since, "until": until, "most": CHANGED_MOST + 1}
    rows = (await connection.execute(CHANGED, values)).all()
    position = Position(rows[0].database, rows[0].snapshot)
    if len(rows) > CHANGED_MOST:
        return position, None
    return position, [_change(row) for row in rows if row.order_id is not None]


async def _missed(connection: AsyncConnection, began: str, now: Position) -> list[OrderChange] | None:
    """By one who was told up to there."""
    if not began:
        return []
    position = Position.read(began)
    if position is None or not position.is_of(now):
        return None
    return (await _changed(connection, position.snapshot, now.snapshot))[1]


async def _one(connection: AsyncConnection, order: str) -> OrderChange | None:
    row = (await connection.execute(ONE, {"order": order})).one_or_none()
    return None if row is None else _change(row)


async def _count_events(connection: AsyncConnection, orders: Iterable[str]) -> dict[str, int]:
    keys = sorted(orders)
    if not keys:
        return {}
    counted = {str(key): int(count) for key, count in await connection.execute(EVENTS, {"keys": keys})}
    return {key: counted.get(key, 0) for key in keys}


def _change(row: sa.Row[Any]) -> OrderChange:
    found = zip(NAMES, (getattr(row, f"{part}_revision") for part in PARTS), strict=True)
    revisions = {name: revision for name, revision in found if revision}
    about = {"order": row.order_id, "store": row.store, "number": row.number, "status": row.status}
    return OrderChange(row.store, row.order_id, event_of("order", about | {"revisions": revisions}))


def _timeline(order: str, events: int) -> bytes:
    return event_of("timeline", {"order": order, "events": events})
