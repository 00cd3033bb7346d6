"""Access that an older build left at a former URL is listed after the migration."""

from __future__ import annotations

import asyncio

import orjson
import sqlalchemy as sa

from services.fulfillment.storage import deliveries
from shared.core import codec
from shared.shell.postgres.engine import new_engine
from shared.shell.postgres.migration import migrate
from tests.integration.conftest import NewDatabase
from tests.unit.fulfillment.examples import paid
from tests.unit.fulfillment.test_correction import unrevoked

SHOPS = {"left": unrevoked(), "delivered": paid("ebook")}


async def test_the_column_is_filled(new_database: NewDatabase) -> None:
    url = await new_database()
    await asyncio.to_thread(migrate, "fulfillment", url, "0002")
    engine = new_engine(url)
    async with engine.begin() as connection:
        for key, shop in SHOPS.items():
            row = {"key": key, "version": 1, "sequence": 0, "changed_at": shop.at, "not_revoked": 0}
            data = orjson.loads(codec.dump(shop.state))
            await connection.execute(sa.insert(deliveries).values(row | {"data": data}))
    await asyncio.to_thread(migrate, "fulfillment", url)
    async with engine.connect() as connection:
        found = await connection.execute(sa.select(deliveries.c.key, deliveries.c.not_revoked))
        counts = {row.key: row.not_revoked for row in found}
    await engine.dispose()
    assert counts == {"left": 1, "delivered": 0}
