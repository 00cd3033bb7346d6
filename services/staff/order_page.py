"""The routes of one order: whole, as it was, its timeline and its events."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

import orjson
from aiohttp import web
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import TypedDict

from services.staff.archived import (
    PARTS,
    Cursor,
    FoundOrder,
    Place,
    find_events,
    find_message_facts,
    find_order,
    records_at,
    write_cursor,
)
from services.staff.domain.archive import EventRow
from services.staff.domain.timeline import OrderWords, TimelineEntry, entry_of, known_facts, messages_ended
from services.staff.unchanged import IF_NONE_MATCH as KEPT
from services.staff.unchanged import NOT_MODIFIED, kept_response
from shared.contracts.delivery_status import DeliveryStatusRecord
from shared.contracts.notifications import MessageStatusRecord
from shared.contracts.order_status import OrderStatusRecord
from shared.contracts.payment_status import PaymentStatusRecord
from shared.shell.http.access import ORDER, add_route, found_by
from shared.shell.http.declaration import Declaration, DeclaredResponse, Header, Holds, Json, Query
from shared.shell.http.problems import ProblemResponse, bad_request, json_response, not_found
from shared.shell.http.requests import Number, UtcMoment, header_in, query_in
from shared.shell.ports.http_api import HttpApi

MOST, PAGE = 200, 50
PATH = "/api/v1/orders/{order}"


def add_order_page(application: web.Application, api: HttpApi) -> None:
    page = OrderPage(api)
    add = functools.partial(add_route, application, "GET")
    of_order = found_by(page.store_of, "order")
    add(PATH, page.whole, "order.read", of_order, WHOLE)
    add(f"{PATH}/timeline", page.timeline, "order.read", of_order, TIMELINE)
    add(f"{PATH}/events", page.events, "parked.read", of_order, EVENTS)


class WholeQuery(Query):
    as_of: UtcMoment | None = None
    """As it was at that time. Missing: as it is."""


class PageQuery(Query):
    sort: Literal["newest", "oldest"] = "newest"
    """Which come first."""
    limit: Number = Field(default=PAGE, ge=1, le=MOST)
    """At most so many."""
    after: Cursor | None = None
    """The `next` of the previous page."""


class Revisions(TypedDict, total=False):
    """Each record's revision."""

    order: int
    """Of the order's."""
    payment: int
    """Of its payment's."""
    deliveries: int
    """Of its deliveries'."""
    messages: int
    """Of its emails' and webhook deliveries'."""


@dataclass(frozen=True, slots=True)
class WholeOrder:
    """All that the services tell of an order, as they tell it in their status records."""

    order_id: str
    """The order's id."""
    revisions: Annotated[dict[str, int], Holds(Revisions)]
    """Missing are those of records that there are not."""
    order: Annotated[Json | None, Holds(OrderStatusRecord | None)]
    """Null until checkout's record has come."""
    payment: Annotated[Json | None, Holds(PaymentStatusRecord | None)]
    """Null where there is no payment."""
    deliveries: Annotated[Json | None, Holds(DeliveryStatusRecord | None)]
    """Null where nothing is to be delivered yet."""
    messages: Annotated[Json | None, Holds(MessageStatusRecord | None)]
    """Its emails and webhook deliveries. Null where none is told of yet."""
    as_of: datetime | None
    """The time that was asked for; null: now."""


@dataclass(frozen=True, slots=True)
class ShownEntry:
    """Something that happened to the order."""

    id: str
    """That of the event, or of the email or webhook delivery."""
    at: datetime
    """When it happened."""
    actor: str
    """Whose doing it was: `staff:anna`, `customer`, `system`."""
    source: str
    """The service that tells it."""
    what: str
    """The wire type of what happened: `payment.captured`."""
    text: str
    """What happened."""
    detail: Json
    """More of it, by name."""


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """A page of an order's timeline."""

    entries: list[ShownEntry]
    """In the order that was asked for."""
    next: str | None
    """The `after` of the next page; null on the last one."""


@dataclass(frozen=True, slots=True)
class ArchivedEvent:
    """An event as it was sent."""

    id: str
    """The same each time that it is read."""
    at: datetime
    """When it happened, by its sender's clock."""
    topic: str
    """Where it was sent."""
    source: str
    """The service that sent it."""
    type: str
    """Its wire type."""
    version: int
    """Of its type."""
    sequence: int
    """Counts what the service told of the order; 0: it does not count."""
    actor: str
    """Whose doing it was."""
    correlation: str
    """What all that followed from one request has in common."""
    causation: str
    """The id of the message from which it followed."""
    body: Any
    """Its contents; null where they are no JSON."""


@dataclass(frozen=True, slots=True)
class EventsPage:
    """A page of an order's events."""

    events: list[ArchivedEvent]
    """In the order that was asked for."""
    next: str | None
    """The `after` of the next page; null on the last one."""


IF_NONE_MATCH = Header("If-None-Match", "The `ETag` of the answer that the caller has: 304 if that is still the order.")
UNCHANGED = DeclaredResponse(None, HTTPStatus.NOT_MODIFIED, media="", description="The order is as the caller has it.")
REFUSED = (HTTPStatus.NOT_FOUND,)
WHOLE = Declaration(
    "An order whole, as it is or as it was",
    (DeclaredResponse(WholeOrder), UNCHANGED),
    query=WholeQuery,
    headers=(IF_NONE_MATCH,),
    refused=REFUSED,
)
TIMELINE = Declaration(
    "What happened to an order",
    (DeclaredResponse(TimelinePage), NOT_MODIFIED),
    query=PageQuery,
    headers=(KEPT,),
    refused=REFUSED,
)
EVENTS = Declaration(
    "An order's events, as they were sent",
    (DeclaredResponse(EventsPage), NOT_MODIFIED),
    query=PageQuery,
    headers=(KEPT,),
    refused=REFUSED,
)


class OrderPage:
    """The routes below one order."""

    def __init__(self, api: HttpApi) -> None:
        self.api = api

    async def store_of(self, name: str) -> str | None:
        async with self.api.engine.connect() as connection:
            found = await find_order(connection, name)
        return found.store if found else None

    async def whole(self, request: web.Request) -> web.Response:
        """With an ETag of its records' revisions."""
        query = query_in(request, WholeQuery)
        async with self.api.engine.connect() as connection:
            found = await _found(connection, request)
            if query.as_of:
                found = await _as_it_was(connection, found, query.as_of)
        tag = etag(found.revisions)
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        if has_tag(header_in(request, IF_NONE_MATCH), tag):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        records = {part: found.records.get(part) for part in PARTS.values()}
        whole = WholeOrder(found.order_id, found.revisions, **records, as_of=query.as_of)
        return json_response(whole, headers=headers)

    async def timeline(self, request: web.Request) -> web.Response:
        query = query_in(request, PageQuery)
        newest = query.sort == "newest"
        async with self.api.engine.connect() as connection:
            found = await _found(connection, request)
            key = found.order_id
            rows = await find_events(connection, key, query.limit, query.after, newest_first=newest)
            facts = await find_message_facts(connection, key) if "messages" in found.records else ()
        words = OrderWords.of(_read(OrderStatusRecord, found.records.get("order")))
        messages = _read(MessageStatusRecord, found.records.get("messages"))
        entries = [entry_of(row, words) for row in rows]
        if messages:
            ended = messages_ended(messages, known_facts(facts))
            entries += [entry for entry in ended if _is_beyond(entry.place, query.after, newest_first=newest)]
        entries.sort(key=lambda entry: entry.place, reverse=newest)
        page = entries[: query.limit]
        following = write_cursor(page[-1].place) if len(entries) > query.limit else None
        return kept_response(request, TimelinePage([_shown(entry) for entry in page], following))

    async def events(self, request: web.Request) -> web.Response:
        query = query_in(request, PageQuery)
        async with self.api.engine.connect() as connection:
            key = (await _found(connection, request)).order_id
            newest = query.sort == "newest"
            rows = await find_events(connection, key, query.limit, query.after, newest_first=newest)
        page = rows[: query.limit]
        place = (page[-1].at, page[-1].sequence, str(page[-1].id)) if page else None
        following = write_cursor(place) if place and len(rows) > query.limit else None
        return kept_response(request, EventsPage([_archived(row) for row in page], following))


async def _found(connection: AsyncConnection, request: web.Request) -> FoundOrder:
    """Raises ProblemResponse."""
    name = request.match_info["order"]
    if len(name) > 300 or not name.isprintable():
        raise bad_request("Too long, or contains unsupported characters.")
    found = await find_order(connection, name)
    if found is None:
        raise not_found(ORDER)
    return found


async def _as_it_was(connection: AsyncConnection, order: FoundOrder, at: datetime) -> FoundOrder:
    """Raises ProblemResponse."""
    records = await records_at(connection, order.order_id, at)
    if not records:
        title = "The order was not there yet, or its archive does not go back so far."
        raise ProblemResponse(HTTPStatus.NOT_FOUND, title, "not_found")
    return FoundOrder(order.order_id, order.store, records)


def etag(revisions: Mapping[str, int]) -> str:
    """`"12-4-0-2"`: the records' revisions."""
    return f'"{"-".join(str(revisions.get(part, 0)) for part in PARTS.values())}"'


def has_tag(given: str, tag: str) -> bool:
    """Whether `If-None-Match` names it."""
    return any(each.strip().removeprefix("W/") in ("*", tag) for each in given.split(",")) if given else False


def _read(kind: Any, record: Any) -> Any:
    """As the status record's class; None where it cannot be read, as a newer build's."""
    if record is None:
        return None
    try:
        return kind.model_validate_json(orjson.dumps(record), extra="ignore")
    except ValueError:
        return None


def _is_beyond(place: Place, after: Place | None, *, newest_first: bool) -> bool:
    if after is None:
        return True
    return place < after if newest_first else place > after


def _shown(entry: TimelineEntry) -> ShownEntry:
    return ShownEntry(entry.id, entry.at, entry.actor, entry.source, entry.what, entry.text, dict(entry.detail))


def _archived(row: EventRow) -> ArchivedEvent:
    return ArchivedEvent(
        id=str(row.id),
        at=row.at,
        topic=row.topic,
        source=row.source,
        type=row.type,
        version=row.version,
        sequence=row.sequence,
        actor=row.actor,
        correlation=row.correlation,
        causation=row.causation,
        body=_json(row.body),
    )


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
