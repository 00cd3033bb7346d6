"""HTTP routes for records that Kafka refuses: list, show, send again, drop. Those behind one follow in either case."""

from __future__ import annotations

import orjson
from aiohttp import web

from shared.shell.store import Store, UndeliverableRow
from shared.web import json_response, not_found

SHOWN_BYTES = 10_000


def add_undeliverable(app: web.Application, store: Store) -> None:
    async def listing(request: web.Request) -> web.Response:
        waiting = await store.waiting_behind()
        rows = await store.undeliverable()
        return json_response({"undeliverable": [_brief(row, waiting[row.topic, row.key] - 1) for row in rows]})

    async def show(request: web.Request) -> web.Response:
        wanted = int(request.match_info["id"])
        waiting = await store.waiting_behind()
        for row in await store.undeliverable():
            if row.id == wanted:
                return json_response(_whole(row, waiting[row.topic, row.key] - 1))
        raise not_found("undeliverable record")

    async def retry(request: web.Request) -> web.Response:
        return await again(request, drop=False)

    async def drop(request: web.Request) -> web.Response:
        return await again(request, drop=True)

    async def again(request: web.Request, *, drop: bool) -> web.Response:
        count = await store.send_again(int(request.match_info["id"]), drop=drop)
        if count is None:
            raise not_found("undeliverable record")
        return json_response({"sent_again": count})

    app.router.add_get("/undeliverable", listing)
    app.router.add_get(r"/undeliverable/{id:\d{1,18}}", show)
    app.router.add_post(r"/undeliverable/{id:\d{1,18}}/retry", retry)
    app.router.add_post(r"/undeliverable/{id:\d{1,18}}/drop", drop)


def _brief(row: UndeliverableRow, waiting: int) -> dict[str, object]:
    """`waiting`: how many records wait for the same topic and key."""
    return {
        "id": row.id,
        "topic": row.topic,
        "key": row.key,
        "type": dict(orjson.loads(row.headers)).get("ce_type", ""),
        "bytes": len(row.headers) + len(row.body),
        "error": row.reason,
        "waiting": waiting,
        "since": row.at.isoformat(),
    }


def _whole(row: UndeliverableRow, waiting: int) -> dict[str, object]:
    headers = [[name, value[:SHOWN_BYTES]] for name, value in orjson.loads(row.headers)]
    body = row.body[:SHOWN_BYTES].decode("utf-8", "replace")
    return _brief(row, waiting) | {"headers": headers, "body": body}
