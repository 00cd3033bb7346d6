"""The shell with a core that does next to nothing, compared with the same statements in hand-written asyncpg.

Both handle the same records, in the same batches, in this process and one connection: decode, claim, load and lock,
count one up, save, write one event to the outbox. Neither reads Kafka nor relays.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import orjson
import sqlalchemy as sa

from deploy.client.storefront import uuid7
from shared.contracts.envelope import Envelope, encode, to_headers
from shared.core import Command, Context, Core, Decision, Event, Refusal, Topic
from shared.shell.batch.batcher import Batcher
from shared.shell.batch.leases import NoCapacity
from shared.shell.inbound.records import inbound_of
from shared.shell.observability.metrics import Metrics
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.clock import SystemClock
from shared.shell.ports.tables import StateTable, Storage
from shared.shell.postgres.engine import CONNECTION_SETTINGS, create_engine
from shared.shell.postgres.schema import TABLES_V1
from shared.shell.postgres.store import PostgresStore
from shared.shell.postgres.tables import state_table
from shared.shell.service import Service
from shared.shell.service.registry import HandlerRegistry
from shared.shell.worker import collect_seldom

BATCH = 300
KEYS = 5000
COMMANDS = Topic("counter.commands.v1", owner="counter")
EVENTS = Topic("counter.events.v1", owner="counter")


class Add(Command, type="counter.add", topic=COMMANDS):
    amount: int
    note: str


class Added(Event, type="counter.added", topic=EVENTS):
    total: int


class CounterRefused(Refusal, type="counter.refused", topic=EVENTS):
    pass


@dataclass(frozen=True, slots=True)
class Counter:
    total: int
    note: str


counters = Core(Counter)


@counters.begins(Add)
def add(counter: Counter | None, message: Add, context: Context) -> Decision[Counter]:
    total = (counter.total if counter else 0) + message.amount
    return Decision(Counter(total, message.note), events=[Added(total=total)])


METADATA = sa.MetaData()
SERVICE = Service(
    name="counter",
    cores=[counters],
    consumes={COMMANDS: [Add]},
    emits={EVENTS: [Added]},
    refusal=CounterRefused,
    storage=Storage(METADATA, [StateTable(Counter, state_table("counters", METADATA))]),
)


def records(count: int) -> list[BusRecord]:
    rng = random.Random(1)
    made = []
    for offset in range(count):
        now, key = datetime.now(UTC), f"c-{rng.randrange(KEYS)}"
        envelope = Envelope(uuid7(), Add.type, "storefront", key, now, store="lighthouse", actor="customer")
        body = encode(Add(amount=1, note="one more"))
        made.append(BusRecord(COMMANDS.name, 0, offset, key.encode(), tuple(to_headers(envelope)), body, now))
    return made


async def make_tables(url: str) -> None:
    """Into an empty database; at the second call, the tables are there and are emptied."""
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("select to_regclass('counters')"):
            await connection.execute("truncate counters, inbox, outbox")
            return
        for statement in TABLES_V1:
            await connection.execute(statement)
        await connection.execute(
            "create table counters (key text primary key, version bigint not null, sequence bigint not null, "
            "data jsonb, changed_at timestamptz not null)"
        )
    finally:
        await connection.close()


async def by_the_shell(url: str, given: Sequence[BusRecord]) -> float:
    """Handlings per second."""
    await make_tables(url)
    engine = create_engine(url, "benchmark")
    registry = HandlerRegistry(SERVICE)
    collect_seldom()  # as every worker does
    batcher = Batcher(
        registry,
        PostgresStore(engine, notify=True),
        SystemClock(),
        "counter-0",
        batch=BATCH,
        metrics=Metrics("counter", "counter-0"),
        rng=random.Random(),
        after=lambda result: None,
        capacity=NoCapacity(),
    )
    try:
        began = time.perf_counter()
        for first in range(0, len(given), BATCH):
            found = [inbound_of(registry, record) for record in given[first : first + BATCH]]
            await batcher.handle([inbound for inbound in found if inbound])
        return len(given) / (time.perf_counter() - began)
    finally:
        await engine.dispose()


async def by_hand(url: str, given: Sequence[BusRecord]) -> float:
    """Handlings per second."""
    await make_tables(url)
    connection = await asyncpg.connect(url, server_settings=CONNECTION_SETTINGS)
    collect_seldom()
    try:
        began = time.perf_counter()
        for first in range(0, len(given), BATCH):
            await _batch(connection, given[first : first + BATCH])
        return len(given) / (time.perf_counter() - began)
    finally:
        await connection.close()


async def _batch(connection: asyncpg.Connection, batch: Sequence[BusRecord]) -> None:
    arrived = []
    for record in batch:
        headers = {name: (value or b"").decode() for name, value in record.headers}
        key = (record.key or b"").decode()
        arrived.append((UUID(headers["ce_id"]), key, headers, orjson.loads(record.value or b"")))
    async with connection.transaction():
        keys = sorted({key for _, key, _, _ in arrived})
        claimed = await connection.fetch(
            "with behind as (select key from parked where key = any($2::text[]) for share), "
            "new as (insert into inbox (message_id, seen_at, content) select distinct unnest($1::uuid[]), now(), 0 "
            "on conflict do nothing returning message_id) "
            "select message_id, null as key from new union all select distinct null::uuid, key from behind",
            [id for id, _, _, _ in arrived],
            keys,
        )
        new = {row["message_id"] for row in claimed}
        found = await connection.fetch(
            "select key, version, sequence, data from counters where key = any($1::text[]) order by key "
            "for no key update",
            keys,
        )
        states = {row["key"]: [row["version"], row["sequence"], orjson.loads(row["data"])] for row in found}
        before = {key: state[0] for key, state in states.items()}
        now = datetime.now(UTC)
        outbox: list[tuple[str, str, str, bytes]] = []
        for id, key, headers, body in arrived:
            if id not in new:
                continue
            state = states.setdefault(key, [0, 0, {"total": 0, "note": ""}])
            state[1] += 1
            state[2] = {"total": state[2]["total"] + body["amount"], "note": body["note"]}
            outbox.append((EVENTS.name, key, _headers(headers, key, state[1], now), orjson.dumps(state[2])))
        saved = await connection.execute(
            "insert into counters as stored (key, version, sequence, data, changed_at) "
            "select key, version, sequence, data::jsonb, $5 from unnest($1::text[], $2::bigint[], $3::bigint[], "
            "$4::text[]) as u(key, version, sequence, data) on conflict (key) do update set version = excluded.version,"
            " sequence = excluded.sequence, data = excluded.data, changed_at = excluded.changed_at "
            "where stored.version = excluded.version - 1",
            list(states),
            [before.get(key, 0) + 1 for key in states],
            [state[1] for state in states.values()],
            [orjson.dumps(state[2]).decode() for state in states.values()],
            now,
        )
        assert saved.endswith(f" {len(states)}")
        await connection.execute(
            "insert into outbox (topic, key, headers, body) select topic, key, headers, body from "
            "unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) with ordinality as u(topic, key, headers, body, n)"
            " order by n",
            *(list(column) for column in zip(*outbox, strict=True)),
        )
        await connection.execute("select pg_notify('outbox', '')")


def _headers(cause: dict[str, str], key: str, sequence: int, now: datetime) -> str:
    return orjson.dumps(
        [
            ["content-type", "application/json"],
            ["ce_specversion", "1.0"],
            ["ce_id", str(uuid7())],
            ["ce_source", "counter"],
            ["ce_type", "counter.added"],
            ["ce_subject", key],
            ["ce_time", now.isoformat()],
            ["ce_dataschema", "urn:orderbus:counter.added:1"],
            ["ce_store", cause["ce_store"]],
            ["ce_sequence", str(sequence)],
            ["ce_correlationid", cause["ce_id"]],
            ["ce_causationid", cause["ce_id"]],
            ["ce_actor", "customer"],
            ["traceparent", f"00-{cause['ce_id'].replace('-', '')}-0000000000000001-01"],
        ]
    ).decode()
