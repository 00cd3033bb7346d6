"""Connections and roles that were given, in the service's own database."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.domain.delivery import Item
from services.fulfillment.domain.discord_connection import DiscordConnection, connection_key
from services.fulfillment.domain.kinds.access import AccessOperation
from services.fulfillment.domain.kinds.discord_role import RoleOperation
from services.fulfillment.gateways.discord.roles import BookUnreadable
from services.fulfillment.storage import Queries
from shared.shell.ports.tables import WrittenByNewer

_ENTER = sa.text("insert into role_grants (key, order_key, item) values (:key, :order, :item) on conflict do nothing")
_CONNECTIONS = sa.text("""
    select key from discord_connections
    where data ->> 'guild' = (select data ->> 'guild' from discord_connections where key = :own)
""")
_ENTERED = sa.text("""
    select distinct order_key, item from role_grants where key = any(cast(:keys as text[])) order by order_key, item
""").bindparams(sa.bindparam("keys", type_=postgresql.ARRAY(sa.Text)))
_TROUBLE = (sa.exc.SQLAlchemyError, OSError, TimeoutError, WrittenByNewer)


class DatabaseRoleBook:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._queries = Queries(engine)

    async def connection(self, store: str, connection: str) -> DiscordConnection | None:
        try:
            return await self._queries.discord_connection(store, connection)
        except _TROUBLE as trouble:
            raise BookUnreadable from trouble

    async def enter(self, operation: RoleOperation) -> None:
        values = {"key": role_key(operation), "order": operation.order, "item": operation.item}
        try:
            async with self._engine.begin() as connection:
                await connection.execute(_ENTER, values)
        except _TROUBLE as trouble:
            raise BookUnreadable from trouble

    async def entered(self, operation: RoleOperation) -> Sequence[tuple[str, Item]]:
        """By whatever connection to the same Discord server, also of another store."""
        try:
            async with self._engine.connect() as connection:
                own = connection_key(operation.store, operation.action.connection)
                same = (await connection.execute(_CONNECTIONS, {"own": own})).scalars()
                keys = {role_key(operation), *(_role_key(key, operation) for key in same)}
                rows = (await connection.execute(_ENTERED, {"keys": sorted(keys)})).all()
            found = [(row.order_key, await self._queries.item(row.order_key, row.item)) for row in rows]
        except _TROUBLE as trouble:
            raise BookUnreadable from trouble
        return [(order, item) for order, item in found if item is not None]

    async def is_current(self, operation: AccessOperation) -> bool:
        return await self._queries.is_current(operation)


def _role_key(connection: str, operation: RoleOperation) -> str:
    """`connection`: key, `<store>/discord/<connection>`."""
    store, _, rest = connection.partition("/")
    return f"{store}/{rest.removeprefix('discord/')}/{operation.action.role}/{operation.member}"


def role_key(operation: RoleOperation) -> str:
    action = operation.action
    return f"{operation.store}/{action.connection}/{action.role}/{operation.member}"
