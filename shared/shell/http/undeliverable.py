"""HTTP routes for records that Kafka refuses: list, show, send again, drop. Those behind one follow in either case."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import orjson
from aiohttp import web

from shared.shell.http.access import EVERY_STORE, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json
from shared.shell.http.listed import UndeliverableBrief, UndeliverableWhole
from shared.shell.http.problems import json_response, not_found
from shared.shell.ports.rows import SHOWN_BYTES, UndeliverableRow
from shared.shell.ports.store import Store

LISTED = 100
"""Entries of one response: the first."""


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """Messages that Kafka did not accept."""

    undeliverable: Annotated[list[Json], Holds(list[UndeliverableBrief])]
    """Each with its topic, its key, and why Kafka did not accept it."""
    more: bool = False
    """There are more, which are not listed."""


@dataclass(frozen=True, slots=True)
class SentAgain:
    """What is sent again."""

    sent_again: int
    """How many messages."""


LISTING = Declaration("Records that Kafka refuses", (DeclaredResponse(Undeliverable),))
SHOW = Declaration(
    "One of them, with headers and body", (DeclaredResponse(UndeliverableWhole),), refused=(HTTPStatus.NOT_FOUND,)
)
RETRY = Declaration(
    "Send it again, and what waits behind it", (DeclaredResponse(SentAgain),), refused=(HTTPStatus.NOT_FOUND,)
)
DROP = Declaration(
    "Drop it, and send what waits behind it", (DeclaredResponse(SentAgain),), refused=(HTTPStatus.NOT_FOUND,)
)


def add_undeliverable(app: web.Application, store: Store) -> None:
    async def listing(request: web.Request) -> web.Response:
        rows, waiting = await store.undeliverable(limit=LISTED + 1), await store.waiting_behind()
        listed = [_brief(row, waiting.get((row.topic, row.key), 1) - 1) for row in rows[:LISTED]]
        return json_response(Undeliverable(listed, more=len(rows) > LISTED))

    async def show(request: web.Request) -> web.Response:
        rows = await store.undeliverable(int(request.match_info["id"]))
        if not rows:
            raise not_found("undeliverable record")
        waiting = await store.waiting_behind()
        return json_response(_whole(rows[0], waiting.get((rows[0].topic, rows[0].key), 1) - 1))

    async def retry(request: web.Request) -> web.Response:
        return await again(request, drop=False)

    async def drop(request: web.Request) -> web.Response:
        return await again(request, drop=True)

    async def again(request: web.Request, *, drop: bool) -> web.Response:
        count = await store.send_again(int(request.match_info["id"]), drop=drop)
        if count is None:
            raise not_found("undeliverable record")
        return json_response(SentAgain(count))

    add_route(app, "GET", "/undeliverable", listing, "undeliverable.read", EVERY_STORE, LISTING)
    add_route(app, "GET", r"/undeliverable/{id:\d{1,18}}", show, "undeliverable.read", EVERY_STORE, SHOW)
    add_route(app, "POST", r"/undeliverable/{id:\d{1,18}}/retry", retry, "undeliverable.retry", EVERY_STORE, RETRY)
    add_route(app, "POST", r"/undeliverable/{id:\d{1,18}}/drop", drop, "undeliverable.drop", EVERY_STORE, DROP)


def _brief(row: UndeliverableRow, waiting: int) -> Json:
    """`waiting`: how many records wait for the same topic and key."""
    return {
        "id": row.id,
        "topic": row.topic,
        "key": row.key,
        "type": dict(orjson.loads(row.headers)).get("ce_type", ""),
        "bytes": row.size,
        "error": row.reason,
        "waiting": waiting,
        "since": row.at.isoformat(),
    }


def _whole(row: UndeliverableRow, waiting: int) -> Json:
    headers = [[name, value[:SHOWN_BYTES]] for name, value in orjson.loads(row.headers)]
    return _brief(row, waiting) | {"headers": headers, "body": row.body.decode("utf-8", "replace")}
