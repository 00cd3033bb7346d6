"""Game servers as they are stored and shown, and by HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from aiohttp import web
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.domain.delivery import ItemStatus
from services.fulfillment.domain.game_server import GameServer, Health, server_name
from services.fulfillment.domain.keys import row_key
from services.fulfillment.domain.rcon_operations import REVOCATIONS, RconOperation
from services.fulfillment.storage import Queries, game_servers
from shared.contracts.connections import ConfigureServer, TestServer
from shared.contracts.rcon import Game
from shared.shell.http.access import IN_PATH, FindStore, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import json_response, not_found
from shared.shell.http.web import READ_REFUSED, add_commands
from shared.shell.ports.http_api import HttpApi
from shared.shell.ports.tables import WrittenByNewer
from shared.shell.postgres.tables import read_state

GIVEN = (ItemStatus.IN_PROGRESS, ItemStatus.WAITING_OUTSIDE)
"""Of an item that is being delivered."""


@dataclass(frozen=True, slots=True)
class ShownServer:
    """`failures`: tests in a row that failed."""

    server: str
    """The server's id within the store."""
    name: str
    """As staff call it."""
    game: Game
    """How it reads commands."""
    host: str
    """The server's host name or IP address."""
    port: int
    """The port of RCON."""
    password: str
    """The name of the secret that is its RCON password."""
    health: Health | None
    """The latest test; null: it was not tested yet."""
    failures: int
    """How many tests in a row have failed."""


@dataclass(frozen=True, slots=True)
class NewerServer:
    """Only a newer build can read it."""

    server: str
    """The server's id within the store."""
    newer: Literal[True] = True
    """Always true."""


@dataclass(frozen=True, slots=True)
class ShownServers:
    """A store's game servers."""

    servers: tuple[ShownServer | NewerServer, ...]
    """All of them."""


_servers: TypeAdapter[ShownServers] = TypeAdapter(ShownServers)
_server: TypeAdapter[ShownServer] = TypeAdapter(ShownServer)
SERVERS = Declaration("A store's game servers, and how they are", (DeclaredResponse(ShownServers),))
SERVER = Declaration("A game server, and how it is", (DeclaredResponse(ShownServer),), refused=READ_REFUSED)


class ServerQueries:
    """Reads for the HTTP API and the gateway."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine, self._queries = engine, Queries(engine)

    async def server(self, key: str) -> GameServer | None:
        """None: not configured. Raises OSError where that cannot be read."""
        try:
            return await self.stored(key)
        except (sa.exc.SQLAlchemyError, TimeoutError, WrittenByNewer) as error:
            raise OSError(type(error).__name__) from error

    async def stored(self, key: str) -> GameServer | None:
        """The same; raises WrittenByNewer, and what databases raise."""
        data = sa.cast(game_servers.c.data, sa.Text)
        async with self._engine.connect() as connection:
            found = (await connection.execute(sa.select(data).where(game_servers.c.key == key))).scalar()
        return None if found is None else read_state(GameServer, found)

    async def is_current(self, operation: RconOperation) -> bool:
        """Whether a call is still needed. Raises OSError where that cannot be read."""
        try:
            item = await self._queries.item(operation.order, operation.item)
        except (sa.exc.SQLAlchemyError, TimeoutError, WrittenByNewer) as error:
            raise OSError(type(error).__name__) from error
        if item is None or item.calls != operation.number:
            return False
        return item.status is ItemStatus.REVOKING if isinstance(operation, REVOCATIONS) else item.status in GIVEN

    async def of_store(self, store: str) -> list[tuple[str, GameServer | None]]:
        """With their keys; None for one that only a newer build can read."""
        table, first = game_servers, row_key(store, server_name(""))
        data = sa.cast(table.c.data, sa.Text).label("data")
        statement = sa.select(table.c.key, data).where(table.c.key.startswith(first, autoescape=True))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement.where(table.c.data.is_not(None)).order_by(table.c.key))).all()
        return [(row.key, _readable(row.data)) for row in rows]


def _readable(data: str) -> GameServer | None:
    try:
        return read_state(GameServer, data)
    except WrittenByNewer:
        return None


def add_server_routes(application: web.Application, api: HttpApi, store_of: FindStore) -> None:
    queries = ServerQueries(api.engine)

    async def one(request: web.Request) -> web.StreamResponse:
        key = row_key(request.match_info["store"], server_name(request.match_info["server"]))
        server = await queries.stored(key)
        if server is None:
            raise not_found("game server")
        return json_response(_server.dump_python(_shown(key, server), mode="json"))

    async def all_of_them(request: web.Request) -> web.StreamResponse:
        found = await queries.of_store(request.match_info["store"])
        shown = ShownServers(tuple(_shown(key, server) if server else NewerServer(_name(key)) for key, server in found))
        return json_response(_servers.dump_python(shown, mode="json"))

    add_commands(
        application,
        api,
        [
            ("PUT", "/stores/{store}/servers/{server}", ConfigureServer),
            ("POST", "/stores/{store}/servers/{server}/test", TestServer),
        ],
        store_of,
        key_of=lambda path: row_key(path["store"], server_name(path["server"])),
    )
    add_route(application, "GET", "/stores/{store}/servers", all_of_them, "server.read", IN_PATH, SERVERS)
    add_route(application, "GET", "/stores/{store}/servers/{server}", one, "server.read", IN_PATH, SERVER)


def _shown(key: str, server: GameServer) -> ShownServer:
    return ShownServer(
        *(
            _name(key),
            server.name,
            server.game,
            server.host,
            server.port,
            server.password,
            server.health,
            server.failures,
        )
    )


def _name(key: str) -> str:
    return key.rpartition("/")[2]
