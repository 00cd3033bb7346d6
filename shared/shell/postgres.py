"""The store on PostgreSQL: each step of a batch is one statement over arrays (`unnest`), by SQLAlchemy and asyncpg.

Measured: 40-80 thousand rows/s this way against 1 thousand with a transaction per message (DESIGN, "The shell's one
transaction"). Keep `synchronous_commit` on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.shell.core import Record
from shared.shell.housekeeping import housekeep
from shared.shell.service import RecordTable, StateTable, TableGauge
from shared.shell.store import (
    Answer,
    BatchRefused,
    Conflict,
    OperationRow,
    OutboxRow,
    ParkedRow,
    StateRow,
    StateWrite,
    StoreUnavailable,
    TimerRow,
)

# SQLSTATE classes (PostgreSQL, appendix A) that say "try the same again": connection, serialization and deadlock,
# resources (disk full, memory), operator intervention (shutdown, cancel), system error, lock and idle time-outs.
_TRY_AGAIN = ("08", "25P0", "40", "53", "55P03", "57", "58")
# … and those that say "this data will never do": data, integrity, encoding of values.
_REFUSED = ("22", "23", "21", "54")


def translated(error: Exception) -> Exception:
    """What a driver's error means for the shell."""
    cause = getattr(error, "orig", None) or error
    state = str(getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or "")
    if state.startswith(_TRY_AGAIN):
        return StoreUnavailable(f"{state} {type(cause).__name__}")
    constraint = getattr(getattr(cause, "__cause__", None), "constraint_name", None)
    if state.startswith(_REFUSED):
        return BatchRefused(f"the database refused the data: {state} {constraint or ''}".strip())
    if isinstance(
        error, sa.exc.InterfaceError | sa.exc.OperationalError | OSError | TimeoutError | sa.exc.TimeoutError
    ):
        return StoreUnavailable(f"{type(cause).__name__}")
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return StoreUnavailable(f"{type(cause).__name__}")
    if isinstance(error, sa.exc.DBAPIError) and not state:
        return BatchRefused(f"the driver refused the data: {type(cause).__name__}")
    return error


_CLAIM = sa.text("""
    insert into inbox select distinct unnest(cast(:ids as uuid[])) on conflict do nothing
    returning message_id
""")
# A statement of its own, after the claim: that one may have waited for another worker, which parked the message that
# both had, and a statement does not see what was committed while it waited.
_BEHIND = sa.text("""
    select distinct key from (select key from parked where key = any(cast(:keys as text[])) for share) rows
""")
_FINISH = sa.text("""
    delete from operations o using unnest(cast(:ids as uuid[]), cast(:workers as text[]), cast(:attempts as int[]))
        as u(id, worker, attempts)
    where o.id = u.id and o.leased_by = u.worker and o.attempts = u.attempts returning o.id
""")
_FIRE = sa.text("""
    delete from timers t using unnest(cast(:keys as text[]), cast(:names as text[]), cast(:due as timestamptz[]))
        as u(key, name, due)
    where t.key = u.key and t.name = u.name and t.due = u.due returning t.key, t.name
""")
_PUBLISH = sa.text("""
    insert into outbox (topic, key, headers, body)
    select topic, key, headers, body from unnest(cast(:topics as text[]), cast(:keys as text[]),
        cast(:headers as text[]), cast(:bodies as bytea[]))
        with ordinality as u(topic, key, headers, body, n) order by n
""")
_WANT = sa.text("""
    insert into operations (id, key, kind, payload, meta, due, serial, attempts, leased_by, leased_until, doubt,
        history)
    select id, key, kind, payload, meta, due, serial,
        case when waits then 0 else attempts end, case when waits then '' else worker end,
        case when waits then null else until end, doubt and not waits, '[]'
    from (
        select u.*, serial and (
            row_number() over (partition by serial, key order by id) > 1
            or exists (select from operations o where o.serial and o.key = u.key)) as waits
        from unnest(cast(:ids as uuid[]), cast(:keys as text[]), cast(:kinds as text[]), cast(:payloads as text[]),
            cast(:metas as text[]), cast(:dues as timestamptz[]), cast(:serials as boolean[]),
            cast(:attempts as int[]), cast(:workers as text[]), cast(:untils as timestamptz[]),
            cast(:doubts as boolean[]))
            as u(id, key, kind, payload, meta, due, serial, attempts, worker, until, doubt)
    ) wanted
    returning id, leased_by <> '' as held
""")
_CANCEL_TIMERS = sa.text("""
    delete from timers t using unnest(cast(:keys as text[]), cast(:names as text[])) as u(key, name)
    where t.key = u.key and t.name = u.name
""")
_SET_TIMERS = sa.text("""
    insert into timers (key, name, due, kind, payload, meta)
    select * from unnest(cast(:keys as text[]), cast(:names as text[]), cast(:dues as timestamptz[]),
        cast(:kinds as text[]), cast(:payloads as text[]), cast(:metas as text[])) as u
    on conflict (key, name) do update set due = excluded.due, kind = excluded.kind,
        payload = excluded.payload, meta = excluded.meta
""")
_PARK = sa.text("""
    insert into parked (key, message_id, origin, kind, topic, partition, record_offset, headers, body, reason, error,
        parked_at)
    values (:key, :message_id, :origin, :kind, :topic, :partition, :offset, :headers, :body, :reason, :error, :at)
""")
_KEEP_ANSWER = sa.text("""
    insert into answers (id, fingerprint, code, text, problems) values (:id, :fingerprint, :code, :text, :problems)
""")
_LEASE = sa.text("""
    with due as (
        select id, doubt from operations o
        where due <= :now and kind = any(cast(:kinds as text[])) and (leased_until is null or leased_until < :now)
            and not (serial and exists (
                select from operations e where e.serial and e.key = o.key and e.id <> o.id
                    and (e.id < o.id or e.leased_until >= :now)))
        order by due limit :limit for update skip locked
    )
    update operations o set attempts = o.attempts + 1, leased_by = :worker, doubt = true,
        leased_until = cast(:now as timestamptz) + make_interval(secs => :seconds)
    from due where o.id = due.id
    returning o.id, o.key, o.kind, o.payload, o.meta, o.due, o.serial, o.attempts, o.leased_by, o.leased_until,
        due.doubt as doubted, o.history
""")
_POSTPONE = sa.text("""
    update operations set due = :due, leased_until = null, leased_by = '', doubt = :doubt, history = :history
    where id = :id and leased_by = :worker and attempts = :attempts
""")
_GAUGE = sa.text("""
    select (select count(*) from outbox) as outbox,
        coalesce((select extract(epoch from clock_timestamp() - min(created_at)) from outbox), 0) as outbox_age_seconds,
        (select count(*) from operations) as operations,
        (select count(*) from operations where due < clock_timestamp() - interval '1 minute') as operations_late,
        (select count(*) from operations where doubt and (leased_until is null or leased_until < clock_timestamp()))
            as operations_doubtful,
        (select count(*) from timers) as timers, (select count(*) from parked) as parked
""")
_PARKED_COLUMNS = (
    "select key, message_id, origin, kind, topic, partition, record_offset, headers, body, reason, error, parked_at, "
    "id from parked "
)


class PostgresStore:
    """One service's database. See `store.Store`."""

    def __init__(self, engine: AsyncEngine, notify: bool = False) -> None:
        self.engine = engine
        # A statement alone is a transaction by itself: without BEGIN and COMMIT, one round trip instead of three.
        self._alone = engine.execution_options(isolation_level="AUTOCOMMIT")
        self.notify = notify
        """Tell the relay in another process that something was written."""
        self._relays = False

    def relaying(self, held: bool) -> None:
        """Whether this worker is the relay itself: its own commits wake it without the database's help."""
        self._relays = held

    @property
    def tells_relay(self) -> bool:
        return self.notify and not self._relays

    def begin(self) -> AbstractAsyncContextManager[PostgresTransaction]:
        return self._begin()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[PostgresTransaction]:
        try:
            async with self.engine.begin() as connection:
                yield PostgresTransaction(connection, self)
        except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as error:
            raise translated(error) from error

    async def execute(self, statement: sa.TextClause, values: Mapping[str, Any]) -> sa.CursorResult[Any]:
        """One statement as a transaction of its own."""
        try:
            async with self._alone.connect() as connection:
                return await connection.execute(statement, values)
        except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as error:
            raise translated(error) from error

    async def lease_operations(
        self, worker: str, now: datetime, limit: int, seconds: float, kinds: Collection[str]
    ) -> Sequence[OperationRow]:
        values = {"worker": worker, "now": now, "limit": limit, "seconds": seconds, "kinds": sorted(kinds)}
        rows = [
            OperationRow(
                id=row.id,
                key=row.key,
                kind=row.kind,
                payload=row.payload,
                meta=row.meta,
                due=row.due,
                serial=row.serial,
                attempts=row.attempts,
                leased_by=row.leased_by,
                leased_until=row.leased_until,
                doubt=row.doubted,
                history=row.history,
            )
            for row in await self.execute(_LEASE, values)
        ]
        return sorted(rows, key=lambda row: (row.due, row.id))

    async def postpone(self, row: OperationRow, due: datetime, history: bytes, *, doubt: bool) -> None:
        values = {"id": row.id, "worker": row.leased_by, "attempts": row.attempts, "due": due, "doubt": doubt}
        await self.execute(_POSTPONE, values | {"history": history.decode()})

    async def release(self, worker: str) -> int:
        statement = sa.text("update operations set leased_until = null, leased_by = '' where leased_by = :worker")
        return int((await self.execute(statement, {"worker": worker})).rowcount)

    async def due_timers(self, now: datetime, limit: int) -> Sequence[TimerRow]:
        statement = sa.text(
            "select key, name, due, kind, payload, meta from timers where due <= :now order by due limit :limit"
        )
        return [TimerRow(*tuple(row)) for row in await self.execute(statement, {"now": now, "limit": limit})]

    async def outbox_head(self, after: int, limit: int) -> Sequence[OutboxRow]:
        statement = sa.text(
            "select topic, key, headers, body, id from outbox where id > :after order by id limit :limit"
        )
        return [OutboxRow(*tuple(row)) for row in await self.execute(statement, {"after": after, "limit": limit})]

    async def outbox_sent(self, ids: Sequence[int]) -> None:
        await self.execute(sa.text("delete from outbox where id = any(cast(:ids as bigint[]))"), {"ids": list(ids)})

    async def parked(self, key: str | None = None, limit: int = 1000) -> Sequence[ParkedRow]:
        where = "where key = :key " if key is not None else ""
        statement = sa.text(f"{_PARKED_COLUMNS}{where}order by id limit :limit")
        return [ParkedRow(*tuple(row)) for row in await self.execute(statement, {"key": key, "limit": limit})]

    async def parked_again(self, id: int, error: str) -> None:
        statement = sa.text("update parked set error = :error, reason = 'failed' where id = :id")
        await self.execute(statement, {"id": id, "error": error})

    async def gauge(self) -> Mapping[str, float]:
        row = (await self.execute(_GAUGE, {})).mappings().one()
        return {name: float(value) for name, value in row.items()}

    async def housekeep(self, now: datetime, keep_days: int) -> None:
        async with self.begin() as tx:
            await housekeep(tx.connection, now, keep_days)

    async def ping(self) -> None:
        await self.execute(sa.text("select 1"), {})


async def read_gauges(engine: AsyncEngine, gauges: Sequence[TableGauge]) -> dict[str, float]:
    """What a service's own gauges say now. Raises StoreUnavailable."""
    if not gauges:
        return {}
    try:
        async with engine.connect() as connection:
            return {one.name: float(await connection.scalar(sa.text(one.query)) or 0) for one in gauges}
    except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as error:
        raise translated(error) from error


class PostgresTransaction:
    """One transaction. See `store.Transaction`."""

    def __init__(self, connection: AsyncConnection, store: PostgresStore) -> None:
        self.connection = connection
        self.store = store

    async def execute(self, statement: sa.TextClause, values: Mapping[str, Any]) -> sa.CursorResult[Any]:
        return await self.connection.execute(statement, values)

    async def claim(self, ids: Collection[UUID], keys: Collection[str]) -> tuple[set[UUID], set[str]]:
        new = set()
        if ids:
            new = set((await self.execute(_CLAIM, {"ids": list(ids)})).scalars())
        return new, {row.key for row in await self.execute(_BEHIND, {"keys": sorted(keys)})}

    async def finish(self, operations: Collection[tuple[UUID, str, int]]) -> set[UUID]:
        ids, workers, attempts = zip(*operations, strict=True)
        rows = await self.execute(_FINISH, {"ids": list(ids), "workers": list(workers), "attempts": list(attempts)})
        return {row.id for row in rows}

    async def fire(self, timers: Collection[TimerRow]) -> set[tuple[str, str]]:
        values = {"keys": [t.key for t in timers], "names": [t.name for t in timers], "due": [t.due for t in timers]}
        return {(row.key, row.name) for row in await self.execute(_FIRE, values)}

    async def unpark(self, id: int) -> bool:
        return bool((await self.execute(sa.text("delete from parked where id = :id"), {"id": id})).rowcount)

    async def load(self, table: StateTable, keys: Sequence[str], *, lock: bool) -> Mapping[str, StateRow]:
        rows = await self.execute(_load_statement(table.table, lock), {"keys": list(keys)})
        return {row.key: StateRow(row.key, row.version, row.sequence, row.data) for row in rows}

    async def save(self, table: StateTable, rows: Sequence[StateWrite]) -> None:
        names = _own_columns(table.table)
        values: dict[str, list[Any]] = {
            "key": [write.row.key for write in rows],
            "version": [write.row.version for write in rows],
            "sequence": [write.row.sequence for write in rows],
            "data": [_text(write.row.data) for write in rows],
            "changed_at": [write.at for write in rows],
        }
        for name in names:
            values[name] = [write.columns.get(name) for write in rows]
        saved = (await self.execute(_save_statement(table.table), values)).rowcount
        if saved != len(rows):
            raise Conflict(f"{len(rows) - saved} rows of {table.table.name} were changed by another worker")

    async def append(self, table: RecordTable, records: Sequence[Record]) -> None:
        fields = [field.name for field in dataclasses.fields(table.kind)]
        values = {name: [getattr(record, name) for record in records] for name in fields}
        for name in _text_columns(table.table).intersection(fields):
            values[name] = [None if value is None else _json(value) for value in values[name]]
        await self.execute(_append_statement(table.table, tuple(fields)), values)

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        values = {
            "topics": [row.topic for row in rows],
            "keys": [row.key for row in rows],
            "headers": [row.headers.decode() for row in rows],
            "bodies": [row.body for row in rows],
        }
        await self.execute(_PUBLISH, values)
        if self.store.tells_relay:
            await self.execute(sa.text("select pg_notify('outbox', '')"), {})

    async def want(self, rows: Sequence[OperationRow]) -> set[UUID]:
        values = {
            "ids": [row.id for row in rows],
            "keys": [row.key for row in rows],
            "kinds": [row.kind for row in rows],
            "payloads": [row.payload.decode() for row in rows],
            "metas": [row.meta.decode() for row in rows],
            "dues": [row.due for row in rows],
            "serials": [row.serial for row in rows],
            "attempts": [row.attempts for row in rows],
            "workers": [row.leased_by for row in rows],
            "untils": [row.leased_until for row in rows],
            "doubts": [row.doubt for row in rows],
        }
        return {row.id for row in await self.execute(_WANT, values) if row.held}

    async def set_timers(self, rows: Sequence[TimerRow], cancel: Collection[tuple[str, str]]) -> None:
        if cancel:
            keys, names = zip(*cancel, strict=True)
            await self.execute(_CANCEL_TIMERS, {"keys": list(keys), "names": list(names)})
        if rows:
            values = {
                "keys": [row.key for row in rows],
                "names": [row.name for row in rows],
                "dues": [row.due for row in rows],
                "kinds": [row.kind for row in rows],
                "payloads": [row.payload.decode() for row in rows],
                "metas": [row.meta.decode() for row in rows],
            }
            await self.execute(_SET_TIMERS, values)

    async def park(self, rows: Sequence[ParkedRow]) -> None:
        for row in rows:
            values = {field.name: getattr(row, field.name) for field in dataclasses.fields(row) if field.name != "id"}
            await self.execute(_PARK, values | {"headers": row.headers.decode()})

    async def keep_answers(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            values = dataclasses.asdict(answer) | {"problems": answer.problems.decode()}
            await self.execute(_KEEP_ANSWER, values)

    async def answer(self, id: UUID) -> Answer | None:
        statement = sa.text("select id, fingerprint, code, text, problems from answers where id = :id")
        row = (await self.execute(statement, {"id": id})).one_or_none()
        return Answer(row.id, row.fingerprint, row.code, row.text, row.problems.encode()) if row else None


_SHELL_COLUMNS = ("key", "version", "sequence", "data", "changed_at")


@cache
def _own_columns(table: sa.Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if column.name not in _SHELL_COLUMNS)


@cache
def _load_statement(table: sa.Table, lock: bool) -> sa.TextClause:
    """In key order, so that two workers that want the same rows wait for each other instead of dying of a deadlock."""
    return sa.text(
        f"select key, version, sequence, cast(data as text) as data from {table.name} "
        f"where key = any(cast(:keys as text[])) order by key {'for no key update' if lock else ''}"
    )


@cache
def _save_statement(table: sa.Table) -> sa.TextClause:
    names = (*_SHELL_COLUMNS, *_own_columns(table))
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name != "key")
    return sa.text(
        f"insert into {table.name} as stored ({', '.join(names)}) select {_cast_back(table, names)} "
        f"from unnest({_arrays(table, names)}) as u({', '.join(names)}) "
        f"on conflict (key) do update set {changes} where stored.version = excluded.version - 1"
    )


@cache
def _append_statement(table: sa.Table, names: tuple[str, ...]) -> sa.TextClause:
    return sa.text(
        f"insert into {table.name} ({', '.join(names)}) select {_cast_back(table, names)} "
        f"from unnest({_arrays(table, names)}) as u({', '.join(names)})"
    )


def _arrays(table: sa.Table, names: Sequence[str]) -> str:
    return ", ".join(f"cast(:{name} as {_wire_type(table.columns[name])}[])" for name in names)


def _cast_back(table: sa.Table, names: Sequence[str]) -> str:
    return ", ".join(
        f"cast({name} as {_sql_type(table.columns[name])})" if _is_text_on_wire(table.columns[name]) else name
        for name in names
    )


def _is_text_on_wire(column: sa.Column[Any]) -> bool:
    """Arrays of arrays and of jsonb travel as text: `unnest` would flatten the one, the driver encode the other."""
    return isinstance(column.type, postgresql.JSONB | sa.JSON | sa.ARRAY | postgresql.ARRAY)


def _wire_type(column: sa.Column[Any]) -> str:
    return "text" if _is_text_on_wire(column) else _sql_type(column)


def _sql_type(column: sa.Column[Any]) -> str:
    return str(column.type.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]


@cache
def _text_columns(table: sa.Table) -> frozenset[str]:
    return frozenset(column.name for column in table.columns if _is_text_on_wire(column))


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def _text(data: bytes | str | None) -> str | None:
    return data.decode() if isinstance(data, bytes) else data
