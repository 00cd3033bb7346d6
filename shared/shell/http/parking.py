"""Routes of every service: parked keys, and timers that cannot be read. List, show, try again, skip."""

from __future__ import annotations

from aiohttp import web

from shared.shell.http.access import EVERY_STORE, add_route
from shared.shell.http.problems import json_response, not_found
from shared.shell.inbound.parked_rows import shown
from shared.shell.parking import Parking
from shared.shell.ports.rows import ParkedRow


def add_parking(app: web.Application, parking: Parking) -> None:
    async def listing(request: web.Request) -> web.Response:
        rows = await parking.list()
        return json_response({"parked": [_brief(row) for row in rows]})

    async def show(request: web.Request) -> web.Response:
        rows = await parking.show(request.match_info["key"])
        if not rows:
            raise not_found("parked key")
        return json_response({"parked": [_whole(row) for row in rows]})

    async def retry(request: web.Request) -> web.Response:
        released = await parking.retry(request.match_info["key"])
        return json_response({"handled": released.handled, "error": released.error})

    async def skip(request: web.Request) -> web.Response:
        released = await parking.skip(request.match_info["key"])
        return json_response({"handled": released.handled, "error": released.error})

    async def late_timers(request: web.Request) -> web.Response:
        rows = await parking.late_timers()
        timers = [{"key": r.key, "name": r.name, "type": r.kind, "due": r.due.isoformat()} for r in rows]
        return json_response({"timers": timers})

    add_route(app, "GET", "/timers/late", late_timers, "timers.read", EVERY_STORE)
    add_route(app, "GET", "/parked", listing, "parked.read", EVERY_STORE)
    add_route(app, "GET", "/parked/{key:.+}", show, "parked.read", EVERY_STORE)
    add_route(app, "POST", "/parked/{key:.+}/retry", retry, "parked.retry", EVERY_STORE)
    add_route(app, "POST", "/parked/{key:.+}/skip", skip, "parked.skip", EVERY_STORE)


def _brief(row: ParkedRow) -> dict[str, object]:
    return {
        "key": row.key,
        "id": row.id,
        "message": str(row.message_id),
        "type": row.kind,
        "origin": row.origin,
        "topic": row.topic,
        "partition": row.partition,
        "offset": row.offset,
        "reason": row.reason,
        "error": row.error,
        "parked_at": row.at.isoformat(),
    }


def _whole(row: ParkedRow) -> dict[str, object]:
    return _brief(row) | shown(row)
