"""The tables of fulfillment, and how its states become rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.domain.carriers import CarrierPages, carriers_key
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, Stage
from services.fulfillment.domain.discord_connection import DiscordConnection, connection_key
from services.fulfillment.domain.game_server import GameServer
from services.fulfillment.domain.kinds import kind_of
from services.fulfillment.domain.kinds.access import AccessKind, AccessOperation
from services.fulfillment.domain.pool import CodePool
from services.fulfillment.domain.product import Product, ProductHistory
from services.fulfillment.domain.staff_waits import is_all_cancelled
from services.fulfillment.domain.stock import Stock, StockMovement
from shared.shell.ports.tables import RecordTable, StateTable, Storage, WrittenByNewer
from shared.shell.postgres.erasure import erasures_of, erasures_table
from shared.shell.postgres.tables import read_state, state_table
from shared.shell.postgres.waiting import Waiting, waiting

metadata = sa.MetaData()
deliveries = state_table(
    "deliveries",
    metadata,
    sa.Column("stage", sa.Text),
    sa.Column("store", sa.Text),
    sa.Column("parcels", sa.Integer),
    sa.Column("not_revoked", sa.Integer),
    sa.Column("not_configured", sa.Integer),
    sa.Column("tasks", sa.Integer),
    sa.Column("held", sa.Integer),
)
"""`parcels`, `not_revoked`, `not_configured` and `tasks` count items that wait for staff; `held` is
1 for a paid order that waits to be released, 2 for one that waits to be started."""
products = state_table("products", metadata)
product_histories = state_table("product_histories", metadata)
stock = state_table(
    "stock",
    metadata,
    sa.Column("on_hand", sa.BigInteger),
    sa.Column("reserved", sa.BigInteger),
    sa.Column("received", sa.BigInteger),
    sa.CheckConstraint("0 <= reserved and reserved <= on_hand and on_hand <= received", name="stock_in_balance"),
)
game_servers = state_table("game_servers", metadata, sa.Column("failing", sa.Boolean))
discord_connections = state_table("discord_connections", metadata)
carriers = state_table("carriers", metadata)
role_grants = sa.Table(
    "role_grants",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("order_key", sa.Text, primary_key=True),
    sa.Column("item", sa.Text, primary_key=True),
)
"""Executions that were ever to give a role to a member. Key: `<store>/<connection>/<role>/<member>`."""
stock_movements = sa.Table(
    "stock_movements",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("units", sa.BigInteger, nullable=False),
    sa.Column("on_hand", sa.BigInteger, nullable=False),
    sa.Column("free", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("order_key", sa.Text, nullable=False),
)
"""The history of each SKU."""
code_pools = state_table("code_pools", metadata, sa.Column("waiting", sa.Integer))
codes = sa.Table(
    "codes",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("batch", sa.Uuid, nullable=False),
    sa.Column("order_key", sa.Text),
    sa.Column("item", sa.Text),
    sa.Column("unit", sa.BigInteger),
    sa.Column("taken_at", sa.DateTime(timezone=True)),
)
"""Codes by pool, in clear: what workers of older builds have added, until it is sealed (`gateways/code_sealing.py`)."""
sealed_codes = sa.Table(
    "sealed_codes",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("number", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("batch", sa.Uuid),
    sa.Column("order_key", sa.Text),
    sa.Column("item", sa.Text),
    sa.Column("unit", sa.BigInteger),
    sa.Column("taken_at", sa.DateTime(timezone=True)),
)
"""Codes by pool. By its `digest` a code is recognised. `unit` counts those of one item from 1; that it is unique makes
taking twice impossible. Under the key `` are codes that a customer has, of a pool that is not known."""
code_claims = sa.Table(
    "code_claims",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("order_key", sa.Text, primary_key=True),
    sa.Column("item", sa.Text, primary_key=True),
    sa.Column("codes", sa.BigInteger, nullable=False),
    sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
)
"""How many codes of which pool items wait for, since when, and when they were last looked for
(`gateways/code_claims.py`)."""
downloads = sa.Table(
    "downloads",
    metadata,
    sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("order_key", sa.Text, nullable=False),
    sa.Column("item", sa.Text, nullable=False),
    sa.Column("link_expires", sa.DateTime(timezone=True), nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("begun", sa.Boolean, nullable=False),
    sa.Column("file", sa.Text, nullable=False, server_default=""),
)
"""What customers have downloaded: evidence that they have it. The latest of each item. Until the beginning of the file
is asked for, a download is not `begun`: clients that fetch parts side by side may ask for another one first."""
vault_keys = sa.Table(
    "vault_keys",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)
"""Keys that are made here and never change, sealed by those of the settings, which do."""


def _delivery_columns(delivery: Delivery) -> Mapping[str, Any]:
    return {
        "stage": delivery.stage.value,
        "store": delivery.store,
        "parcels": delivery.count(ItemStatus.WAITING_PARCEL),
        "not_revoked": delivery.not_revoked(),
        "not_configured": sum(item.lacks_setup for item in delivery.items),
        "tasks": delivery.count(ItemStatus.WAITING_TASK),
        "held": _waits_for_staff(delivery),
    }


HELD, TO_START = 1, 2
"""Of the column `held`."""


def _waits_for_staff(delivery: Delivery) -> int:
    if delivery.stage is not Stage.PAID or is_all_cancelled(delivery.items):
        return 0
    return HELD if delivery.held else TO_START if delivery.to_start else 0


def _stock_columns(row: Stock) -> Mapping[str, Any]:
    return {"on_hand": row.on_hand, "reserved": row.reserved, "received": row.received}


def _pool_columns(pool: CodePool) -> Mapping[str, Any]:
    return {"waiting": len(pool.waiting)}


def _server_columns(server: GameServer) -> Mapping[str, Any]:
    return {"failing": server.is_failing}


def _store_in(key: str, state: object) -> str:
    """Of keys such as `<store>/<sku>`."""
    return key.partition("/")[0]


erasures = erasures_table(metadata)
ERASED = (
    "delete from downloads d using erased e where d.order_key = e.key",
    "delete from role_grants g using erased e where g.order_key = e.key",
)
"""What is erased besides, with an order (`erasure.py`)."""

storage = Storage(
    metadata,
    states=[
        StateTable(Delivery, deliveries, _delivery_columns, lambda key, delivery: delivery.store, brief=True),
        StateTable(Product, products, store=_store_in),
        StateTable(ProductHistory, product_histories, store=_store_in),
        StateTable(Stock, stock, _stock_columns, _store_in),
        StateTable(DiscordConnection, discord_connections, store=_store_in),
        StateTable(CarrierPages, carriers, store=_store_in),
        StateTable(CodePool, code_pools, _pool_columns, _store_in),
        StateTable(GameServer, game_servers, _server_columns, _store_in),
    ],
    records=[RecordTable(StockMovement, stock_movements), erasures_of(erasures)],
)


class Queries:
    """Reads for the HTTP API and the gateways; each but `pool` raises WrittenByNewer. Never used by a decision."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def delivery(self, order: str) -> Delivery | None:
        found = await self._data(deliveries, order)
        return None if found is None else read_state(Delivery, found)

    async def item(self, order: str, id: str) -> Item | None:
        """One item of a delivery, whatever the rest of it may be."""
        found = await self._data(deliveries, order)
        items = orjson.loads(found).get("items") or () if found is not None else ()
        stored = next((item for item in items if item.get("id") == id), None)
        return None if stored is None else read_state(Item, orjson.dumps(stored))

    async def waiting(self, order: str) -> list[Waiting]:
        """The calls for an order's items that have no outcome yet."""
        return await waiting(self._engine, order)

    async def is_current(self, operation: AccessOperation) -> bool:
        """Whether a call that grants or revokes is still needed; True when that cannot be read right now."""
        try:
            item = await self.item(operation.order, operation.item)
        except (sa.exc.SQLAlchemyError, OSError, TimeoutError, WrittenByNewer):
            return True
        kind = kind_of(item) if item else None
        return item is not None and isinstance(kind, AccessKind) and kind.is_current(item, operation)

    async def is_replaced(self, operation: AccessOperation) -> bool:
        """Whether a call must not be made any more; False when that cannot be read right now."""
        try:
            item = await self.item(operation.order, operation.item)
        except (sa.exc.SQLAlchemyError, OSError, TimeoutError, WrittenByNewer):
            return False
        kind = kind_of(item) if item else None
        return item is not None and isinstance(kind, AccessKind) and kind.is_replaced(item, operation)

    async def discord_connection(self, store: str, connection: str) -> DiscordConnection | None:
        found = await self._data(discord_connections, connection_key(store, connection))
        return None if found is None else read_state(DiscordConnection, found)

    async def carriers(self, store: str) -> CarrierPages:
        found = await self._data(carriers, carriers_key(store))
        return CarrierPages() if found is None else read_state(CarrierPages, found)

    async def stock(self, key: str) -> Stock | None:
        found = await self._data(stock, key)
        return None if found is None else read_state(Stock, found)

    async def product(self, key: str) -> Product | None:
        found = await self._data(products, key)
        return None if found is None else read_state(Product, found)

    async def products(self, keys: Collection[str]) -> Mapping[str, Product]:
        """By key; those that are configured."""
        data = sa.cast(products.c.data, sa.Text).label("data")
        statement = sa.select(products.c.key, data).where(products.c.key.in_(keys), products.c.data.is_not(None))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
        return {row.key: read_state(Product, row.data) for row in rows}

    async def product_history(self, key: str) -> ProductHistory:
        found = await self._data(product_histories, key)
        return ProductHistory() if found is None else read_state(ProductHistory, found)

    async def pool(self, key: str) -> tuple[Any, ...] | None:
        """Codes that are free, codes that are taken, orders that wait, products that use it; name, low-water mark, and
        since when it is low. None for a pool that was never used."""
        statement = sa.text("""
            select pool.*,
                (select count(*) from codes where key = :key and order_key is null)
                    + (select count(*) from sealed_codes where key = :key and order_key is null) as free,
                (select count(*) from codes where key = :key and order_key is not null)
                    + (select count(*) from sealed_codes where key = :key and order_key is not null) as taken,
                (select count(*) from products where key > :first and key < :last
                    and (jsonb_build_array(data -> 'action') || coalesce(data -> 'further', '[]'))
                        @> jsonb_build_array(jsonb_build_object('kind', 'code', 'pool', cast(:pool as text)))
                ) as products
            from (
                select waiting, coalesce(data ->> 'name', '') as name,
                    cast(data ->> 'low_since' as timestamptz) as since,
                    coalesce(cast(data ->> 'low_water' as bigint), 0) as low_water
                from code_pools where key = :key
            ) pool
        """)
        store, _, pool = key.partition("/")
        # The keys of a store's products lie between `<store>/` and `<store>0`: `0` follows `/`.
        values = {"key": key, "first": f"{store}/", "last": f"{store}0", "pool": pool}
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement, values)).one_or_none()
        if row is None:
            return None
        return row.free, row.taken, row.waiting, row.products, row.name, row.low_water, row.since

    async def _data(self, table: sa.Table, key: str) -> str | None:
        statement = sa.select(sa.cast(table.c.data, sa.Text)).where(table.c.key == key)
        async with self._engine.connect() as connection:
            found: str | None = (await connection.execute(statement)).scalar_one_or_none()
        return found
