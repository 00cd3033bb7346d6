"""A staff tool: keeps every order's latest state in SQLite, from the status topic alone.

eval "$(orderbus env)"
python examples/staff/orders.py --once    # reads what there is, lists the newest orders, and exits
python examples/staff/orders.py           # follows
"""

import argparse
import asyncio
import json
import os
import sqlite3
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRecord

TOPIC = "orders.status.v1"
SCHEMA = """
create table if not exists orders (
  id text primary key, revision integer not null, number text, store text, status text, payment_status text,
  fulfilment_status text, email text, purchased integer, currency text, body text not null
);
create table if not exists positions (part integer primary key, next integer not null);
"""
SAVE = """
insert into orders values (:id, :revision, :number, :store, :status, :payment_status, :fulfilment_status, :email,
  :purchased, :currency, :body)
on conflict (id) do update set revision = excluded.revision, number = excluded.number, status = excluded.status,
  payment_status = excluded.payment_status, fulfilment_status = excluded.fulfilment_status, email = excluded.email,
  purchased = excluded.purchased, currency = excluded.currency, body = excluded.body
where excluded.revision > orders.revision
"""
COLUMNS = ("number", "store", "status", "payment_status", "fulfilment_status", "purchased", "currency")


def save(database: sqlite3.Connection, records: list[ConsumerRecord]) -> None:
    """Orders and positions in one transaction: whatever dies in between, neither is lost nor counted twice. A record
    that is not newer than ours changes nothing, so reading one twice is harmless."""
    with database:
        for record in records:
            if record.value is None:  # the order was removed
                database.execute("delete from orders where id = ?", (record.key.decode(),))
                continue
            order = json.loads(record.value)  # ignore fields that you do not know: more may come
            row = {name: order.get(name) for name in COLUMNS}
            row |= {"id": record.key.decode(), "revision": order["revision"], "body": record.value.decode()}
            row["email"] = (order.get("customer") or {}).get("email")
            database.execute(SAVE, row)
        for record in records:
            position = "insert into positions values (?, ?) on conflict (part) do update set next = excluded.next"
            database.execute(position, (record.partition, record.offset + 1))


async def read(database: sqlite3.Connection, servers: str, once: bool) -> None:
    # No group: our own database knows where we are. A group would store a second position, which can differ from it.
    # `earliest` is for a position that the topic no longer has.
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        parts = consumer.assignment()  # without a group: all of them
        known = dict(database.execute("select part, next from positions"))
        for part in parts:
            if part.partition in known:
                consumer.seek(part, known[part.partition])
            else:
                await consumer.seek_to_beginning(part)
        ends = await consumer.end_offsets(parts)
        while not once or [part for part in parts if await consumer.position(part) < ends[part]]:
            found = await consumer.getmany(timeout_ms=1000, max_records=1000)
            for records in found.values():
                save(database, records)
                if not once:
                    for record in records:
                        print(record.key.decode(), json.loads(record.value)["status"] if record.value else "removed")
    finally:
        await consumer.stop()


def show(database: sqlite3.Connection) -> None:
    for row in database.execute(f"select {', '.join(COLUMNS)} from orders order by rowid desc limit 20"):
        print(*row, sep="\t")
    (count,) = database.execute("select count(*) from orders").fetchone()
    print(f"{count} orders")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--once", action="store_true")
    arguments.add_argument("--database", type=Path, default=Path("orders.sqlite"))
    given = arguments.parse_args()
    database = sqlite3.connect(given.database)
    database.executescript(SCHEMA)
    asyncio.run(read(database, os.environ["KAFKA"], given.once))
    show(database)


if __name__ == "__main__":
    main()
