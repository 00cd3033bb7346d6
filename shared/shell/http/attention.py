"""A route of every service: what waits for staff."""

from __future__ import annotations

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.shell.http.access import EVERY_STORE, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import json_response
from shared.shell.ports.attention import AttentionList
from shared.shell.postgres.attention import attention
from shared.shell.service.service import Service

LISTING = Declaration("What waits for staff", (DeclaredResponse(AttentionList),))


def add_attention(app: web.Application, engine: AsyncEngine, service: Service) -> None:
    async def listing(request: web.Request) -> web.Response:
        async with engine.connect() as connection:
            found = await attention(connection, service)
        return json_response(found)

    add_route(app, "GET", "/attention", listing, "attention.read", EVERY_STORE, LISTING)
