"""Who gives which role to whom, on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.domain.kinds.discord_role import GiveRole, RemoveRole
from services.fulfillment.gateways.discord.book import DatabaseRoleBook
from shared.contracts.discord import DiscordRole
from shared.shell.postgres.engine import create_engine
from tests.integration.conftest import NewDatabase

VIP, ADA = "800000000000000001", "700000000000000001"
GUILD, OTHER_GUILD = "613425648685547541", "613425648685547542"
ROW = "(key, version, sequence, data, changed_at) values (:key, 1, 1, cast(:data as jsonb), now())"


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    url = await new_database("fulfillment")
    engine = create_engine(url, "test", pool=2)
    yield engine
    await engine.dispose()


async def insert(engine: AsyncEngine, table: str, key: str, data: dict[str, Any]) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            sa.text(f"insert into {table} {ROW}"), {"key": key, "data": orjson.dumps(data).decode()}
        )


def role(connection: str) -> DiscordRole:
    return DiscordRole(connection=connection, role=VIP)


async def test_all_connections_to_one_server_know_who_gives_a_role(engine: AsyncEngine) -> None:
    book = DatabaseRoleBook(engine)
    places = {"acme/main": GUILD, "acme/second": GUILD, "other/main": GUILD, "acme/elsewhere": OTHER_GUILD}
    for number, (place, guild) in enumerate(places.items(), 1):
        store, _, name = place.partition("/")
        await insert(engine, "discord_connections", f"{store}/discord/{name}", {"guild": guild, "token": "bot"})
        item = {"id": "1", "sku": "vip", "product": "VIP", "quantity": 1, "status": "delivered"}
        action = role(name).model_dump(mode="json")
        delivery = {"stage": "paid", "store": store, "items": [item | {"action": action}]}
        await insert(engine, "deliveries", f"o-{number}", delivery)
        await book.enter(GiveRole(store, f"o-{number}", "1", role(name), ADA))

    found = await book.entered(RemoveRole("acme", "o-1", "1", role("main"), ADA))

    assert [order for order, _ in found] == ["o-1", "o-2", "o-3"]
    not_configured = await book.entered(RemoveRole("acme", "o-9", "1", role("unknown"), ADA))
    assert not_configured == []
