"""In-app feeds over HTTP: read, mark, archive, and follow live (server-sent events).

Nothing depends on a reader's marks, so they are written here directly; marking twice is harmless.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from aiohttp import hdrs, web
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifications.domain.feed import is_customer
from services.notifications.gateways.feed_tokens import FeedTokens
from services.notifications.live_feeds import Follower, LiveFeeds, ShownEntry, count_unread, entry_view
from services.notifications.storage import feed_entries
from shared.contracts.values import Given
from shared.core.ids import NIL
from shared.shell.http.access import OF_RECIPIENT, PRINCIPAL, RequestHandler, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, Header, Query
from shared.shell.http.event_stream import HEARTBEAT, MEDIA, SIGN_OF_LIFE
from shared.shell.http.limits import Budget
from shared.shell.http.problems import ProblemResponse, bad_request, json_response
from shared.shell.http.requests import Number, body_in, header_in, query_in

PAGE = 50
MOST = 200
HEAD_START = timedelta(seconds=2)
"""A stream without `Last-Event-ID` shows entries from this long before it was opened."""
REPLAYED_MOST = 1000
"""Entries that a stream begins with whose reader names an entry that the feed does not have: the newest."""
SLICE = 5000
"""Entries of a whole feed that are marked in one transaction."""
MARKING = 2
"""Feeds that a worker marks at once; each takes a connection from the messages."""
FOLLOWERS = 2500
"""Open streams per process; any more are refused with 503."""


def add_feeds(
    application: web.Application, reads: AsyncEngine, writes: AsyncEngine, tokens: FeedTokens, streams: int
) -> None:
    """`reads`: gives statements little time. `writes`: is shared with the messages. `streams`: how many of one feed may
    be open."""
    feeds = Feeds(reads, writes, streams)
    application.cleanup_ctx.append(feeds.looking)
    application.on_shutdown.append(feeds.stop)
    add = functools.partial(add_route, application)
    add("GET", "/feeds/{recipient}", feeds.read, "feed.read", OF_RECIPIENT, READ)
    add("GET", "/feeds/{recipient}/stream", feeds.stream, "feed.read", OF_RECIPIENT, STREAM)
    add("POST", "/feeds/{recipient}/read", feeds.mark_read, "feed.mark", OF_RECIPIENT, MARK_READ)
    add("POST", "/feeds/{recipient}/archive", feeds.archive, "feed.mark", OF_RECIPIENT, ARCHIVE)
    add("POST", "/feeds/{recipient}/token", _issue(tokens), "feed.token", OF_RECIPIENT, ISSUE)


class Lifetime(Given):
    """The body of `POST /feeds/{recipient}/token`."""

    seconds: int = Field(default=3600, ge=60, le=86_400)
    """How long the token is valid, in seconds."""


class Marks(Given):
    """Which entries; all of the feed if missing."""

    ids: tuple[UUID, ...] | None = Field(default=None, max_length=1000)
    """The entries' ids. Missing: all entries of the feed."""


class FeedQuery(Query):
    limit: Number = Field(default=PAGE, ge=1, le=MOST)
    """At most so many entries."""
    before: UUID | None = None
    """The `next` of the previous page."""
    unread: bool = False
    """Only unread entries."""
    archived: bool = False
    """Those that are archived instead of those that are not."""


class StreamQuery(Query):
    after: UUID | None = None
    """As `Last-Event-ID`, which counts if both are given."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """A page of a recipient's feed."""

    entries: list[ShownEntry]
    """Newest first."""
    unread: int
    """How many entries of the whole feed are unread."""
    next: str | None
    """The `before` of the next page; null on the last one."""


@dataclass(frozen=True, slots=True)
class Marked:
    """What was marked."""

    changed: int
    """How many entries were changed."""
    unread: int
    """How many entries of the feed are unread now."""


@dataclass(frozen=True, slots=True)
class FeedToken:
    """A token that reads and marks one recipient's feed, for a browser."""

    token: str
    """Sent as `Authorization: Bearer <token>`, never in an address."""
    expires: datetime
    """When it stops being valid."""


LAST_EVENT_ID = Header(
    "Last-Event-ID",
    "The id of the last entry that the reader has: the stream begins with the entry after it. An id that the feed does "
    f"not have, such as `{NIL}`: it begins with the newest {REPLAYED_MOST:,} entries, oldest first. Missing: it begins "
    "now.",
)
READ = Declaration("A feed, newest entries first", (DeclaredResponse(FeedPage),), query=FeedQuery)
STREAM = Declaration(
    "Follow a feed live",
    (
        DeclaredResponse(
            None,
            media=MEDIA,
            description="Server-sent events. `entry`, with the entry's id as its `id` and a ShownEntry as its data: "
            'each new entry, up to a second late. `unread`, with `{"unread": 3}` as its data: how many entries of '
            "the feed are unread (1000: or more), first and whenever that changes; entries that are marked elsewhere "
            "are not sent again. A comment after each 15 seconds without news.",
        ),
    ),
    query=StreamQuery,
    headers=(LAST_EVENT_ID,),
)
MARK_READ = Declaration("Mark entries as read", (DeclaredResponse(Marked),), body=Marks)
ARCHIVE = Declaration("Archive entries", (DeclaredResponse(Marked),), body=Marks)
ISSUE = Declaration(
    "Issue a token for a customer's feed", (DeclaredResponse(FeedToken, HTTPStatus.CREATED),), body=Lifetime
)


def _issue(tokens: FeedTokens) -> RequestHandler:
    """A token with which a customer reads and marks their own feed. The storefront asks for it, and hands it on."""

    async def handle(request: web.Request) -> web.StreamResponse:
        recipient = request.match_info["recipient"]
        if not is_customer(recipient):
            raise bad_request("Only a customer's feed has tokens.")
        lifetime = await body_in(request, Lifetime, "lifetime")
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=lifetime.seconds)
        return json_response(FeedToken(tokens.token(recipient, expires), expires), HTTPStatus.CREATED)

    return handle


class Feeds:
    """The routes below `/feeds`."""

    def __init__(self, reads: AsyncEngine, writes: AsyncEngine, streams: int) -> None:
        self._engine, self._writes = reads, writes
        self._live = LiveFeeds(reads)
        self._streams = streams
        self._followers = Budget(FOLLOWERS, streams)
        self._marking = asyncio.Semaphore(MARKING)

    async def stop(self, application: web.Application) -> None:
        """End the open streams; their readers connect to another worker."""
        self._live.end()

    async def looking(self, application: web.Application) -> AsyncIterator[None]:
        """As long as the application runs."""
        task = asyncio.create_task(self._live.run(), name="live feeds")
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def read(self, request: web.Request) -> web.Response:
        table, recipient, given = feed_entries, request.match_info["recipient"], query_in(request, FeedQuery)
        newest_first = (table.c.at.desc(), table.c.id.desc())
        query = sa.select(table).where(table.c.key == recipient).order_by(*newest_first).limit(given.limit)
        if given.before:
            at = await _at(self._engine, recipient, given.before)
            if at is None:
                raise bad_request("`before` is not the id of an entry in this feed.")
            query = query.where(_place(at, given.before) > _PLACE)
        query = query.where(table.c.archived_at.is_not(None) if given.archived else table.c.archived_at.is_(None))
        if given.unread:
            query = query.where(table.c.read_at.is_(None))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
            unread = (await count_unread(connection, [recipient]))[recipient]
        following = str(rows[-1]["id"]) if len(rows) == given.limit else None
        return json_response(FeedPage([entry_view(row) for row in rows], unread, following))

    async def mark_read(self, request: web.Request) -> web.Response:
        return await self._mark(request, feed_entries.c.read_at)

    async def archive(self, request: web.Request) -> web.Response:
        return await self._mark(request, feed_entries.c.archived_at)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events. It ends with the token of its reader, who connects again with a new one."""
        recipient = request.match_info["recipient"]
        self._count(recipient)  # before anything is awaited
        try:
            return await self._follow(request, Follower(recipient, await self._began(request, recipient)))
        finally:
            self._followers.release(recipient)

    def _count(self, recipient: str) -> None:
        """One more open stream. Raises ProblemResponse."""
        if self._followers.take(recipient):
            return
        if self._followers.used >= FOLLOWERS:
            title = "Too many open streams. Try again shortly."
            raise ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, title, "busy", retry_after=5)
        title = f"This feed has {self._streams} open streams. Close one of them."
        raise ProblemResponse(HTTPStatus.TOO_MANY_REQUESTS, title, "too_many_streams", retry_after=30)

    async def _follow(self, request: web.Request, follower: Follower) -> web.StreamResponse:
        expires = request[PRINCIPAL].expires
        response = web.StreamResponse(headers={"Content-Type": MEDIA, "Cache-Control": "no-store"})
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        try:
            with self._live.followed(follower):
                async for events in self._live.earlier(follower):
                    await response.write(events)
                while not follower.ended and (left := _left(expires)):
                    await response.write(await follower.news(min(left, HEARTBEAT)) or SIGN_OF_LIFE)
            return response
        except (ConnectionError, sa.exc.SQLAlchemyError):
            return response  # the reader connects again by itself, with Last-Event-ID

    async def _began(self, request: web.Request, recipient: str) -> tuple[datetime, UUID]:
        """The place after which the stream begins."""
        after, last = query_in(request, StreamQuery).after, header_in(request, LAST_EVENT_ID)
        id = _uuid(last) if last else after
        if id is None:
            return datetime.now(UTC) - HEAD_START, NIL
        at = await _at(self._engine, recipient, id)
        return (at, id) if at else await _before_newest(self._engine, recipient, REPLAYED_MOST)

    async def _mark(self, request: web.Request, column: sa.Column[Any]) -> web.Response:
        recipient = request.match_info["recipient"]
        marks = await body_in(request, Marks, "list of marks")
        async with self._marking:
            if marks.ids is None:
                changed = await self._mark_all(recipient, column.name)
            else:
                changed = await self._mark_some(recipient, column, marks.ids)
        async with self._engine.connect() as connection:
            unread = (await count_unread(connection, [recipient]))[recipient]
        return json_response(Marked(changed, unread))

    async def _mark_some(self, recipient: str, column: sa.Column[Any], ids: Sequence[UUID]) -> int:
        table = feed_entries
        change = sa.update(table).where(table.c.key == recipient, column.is_(None), table.c.id.in_(ids))
        async with self._writes.begin() as connection:
            return (
                await connection.execute(
                    change.values({column: sa.func.now(), table.c.changed_in: sa.func.pg_current_xact_id()})
                )
            ).rowcount

    async def _mark_all(self, recipient: str, column: str) -> int:
        """The whole feed, from its oldest entry on, in slices: a feed that was never read can have half a million."""
        statement, changed = sa.text(MARK_SLICE.format(column=column)), 0
        values: dict[str, Any] = {"key": recipient, "at": BEGINNING, "id": NIL, "most": SLICE}
        while True:
            async with self._writes.begin() as connection:
                row = (await connection.execute(statement, values)).one_or_none()
            if row is None:
                return changed
            changed += row.changed
            values |= {"at": row.at, "id": row.id}


def _left(expires: datetime | None) -> float:
    """Seconds; 0: none."""
    return max(0.0, (expires - datetime.now(UTC)).total_seconds()) if expires else HEARTBEAT


BEGINNING = datetime.min.replace(tzinfo=UTC)
MARK_SLICE = """
    with slice as (
        select id, at from feed_entries where key = :key and {column} is null and (at, id) > (:at, :id)
        order by at, id limit :most for no key update
    ), marked as (
        update feed_entries set {column} = now(), changed_in = pg_current_xact_id()
        where key = :key and id in (select id from slice) returning id
    )
    select (select count(*) from marked) as changed, at, id from slice order by at desc, id desc limit 1
"""
_PLACE = sa.tuple_(feed_entries.c.at, feed_entries.c.id)
"""Entries are in order of time; ids only distinguish entries of the same time."""


def _place(at: datetime, id: UUID) -> sa.Tuple:
    return sa.tuple_(sa.literal(at), sa.literal(id))


async def _at(engine: AsyncEngine, recipient: str, id: UUID) -> datetime | None:
    table = feed_entries
    query = sa.select(table.c.at).where(table.c.key == recipient, table.c.id == id)
    async with engine.connect() as connection:
        at: datetime | None = (await connection.execute(query)).scalar_one_or_none()
    return at


async def _before_newest(engine: AsyncEngine, recipient: str, most: int) -> tuple[datetime, UUID]:
    """The place after which so many entries of the feed follow, or all."""
    table = feed_entries
    query = sa.select(table.c.at, table.c.id).where(table.c.key == recipient)
    query = query.order_by(table.c.at.desc(), table.c.id.desc()).offset(most).limit(1)
    async with engine.connect() as connection:
        row = (await connection.execute(query)).one_or_none()
    return (row.at, row.id) if row else (BEGINNING, NIL)


def _uuid(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        raise bad_request("The id of an entry is a UUID.") from None
