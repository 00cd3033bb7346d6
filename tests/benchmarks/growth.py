"""Full tables: copies of real completed orders, made by the database itself, with ids spread over the time before."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

PIECE = 20_000
"""Orders per statement."""
OWNED = {
    "checkout": {"orders": "key"},
    "payments": {"payments": "key", "ledger_entries": "key", "attempts": "key"},
    "fulfillment": {"deliveries": "key"},
    "notifications": {"notification_logs": "key", "feed_entries": "order_id", "delivery_attempts": "key"},
}
"""By service, the tables with rows of orders, and the column with the order's id."""
HANDLED = {"checkout": 18, "payments": 2, "fulfillment": 5, "notifications": 13}
"""Rows of the inbox per order: about as many as a life of two items leaves."""
SPREAD = "interval '20 hours'"


async def fill(urls: Mapping[str, str], orders: int) -> None:
    """Add that many orders to each service's tables. The databases have some completed orders already."""
    for service, tables in OWNED.items():
        connection = await asyncpg.connect(urls[service])
        try:
            await _copy_names(connection, next(iter(tables)), orders)
            for table, owner in tables.items():
                statement = await _statement(connection, table, owner)
                for first in range(0, orders, PIECE):
                    await connection.execute(statement, first, first + PIECE)
            await connection.execute(
                "insert into inbox (message_id, seen_at, content) select id, uuid_extract_timestamp(id), 0 from "
                f"(select uuidv7(- random() * {SPREAD}) as id from generate_series(1, $1)) made on conflict do nothing",
                orders * HANDLED[service],
            )
            await connection.execute("vacuum analyze")
        finally:
            await connection.close()


async def _copy_names(connection: asyncpg.Connection, table: str, orders: int) -> None:
    """Which order each copy is made of, and its new id."""
    await connection.execute("create temporary table originals (n serial, key text)")
    await connection.execute(f"insert into originals (key) select key from {table} order by key limit 500")
    await connection.execute("create temporary table copies (n integer, old text, new text)")
    await connection.execute(
        f"insert into copies select g, key, uuidv7(- {SPREAD} * (1 - g::float / $1))::text from "
        "generate_series(1, $1) g join originals o on o.n = 1 + g % (select count(*) from originals)",
        orders,
    )
    await connection.execute("create index on copies (n)")
    await connection.execute("analyze copies")


async def _statement(connection: asyncpg.Connection, table: str, owner: str) -> str:
    """Copies the rows of some orders: every column as it is but the ids."""
    columns = await connection.fetch(
        "select column_name as name, data_type as type, is_identity = 'YES' as made from information_schema.columns "
        "where table_name = $1 and table_schema = 'public' order by ordinal_position",
        table,
    )
    kept = [column for column in columns if not column["made"]]
    names = ", ".join(column["name"] for column in kept)
    values = ", ".join(_value(column["name"], column["type"], owner) for column in kept)
    return (
        f"insert into {table} ({names}) select {values} from copies c join {table} t on t.{owner} = c.old "
        "where c.n > $1 and c.n <= $2"
    )


def _value(name: str, type: str, owner: str) -> str:
    if name == owner:
        return "c.new"
    if name == "id" and type == "uuid":
        return f"uuidv7(- random() * {SPREAD})"
    if name == "number":
        return "'ORD-' || upper(substr(md5(c.new), 1, 12))"
    if name == "key":  # a feed's: each copy has a customer of its own, the staff are the same
        return "case when t.key like '%~staff' then t.key else t.key || c.n end"
    return f"t.{name}"
