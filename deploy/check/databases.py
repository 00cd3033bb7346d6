"""The services' databases, read key by key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.check import facts
from services.declared import declared
from services.payments.domain.ledger import LedgerEntry
from shared.core import Ref, Task, codec
from shared.settings import Settings
from shared.shell.ports.attention import AttentionList
from shared.shell.ports.tables import StateTable
from shared.shell.postgres.attention import attention
from shared.shell.postgres.connections import fetch
from shared.shell.postgres.engine import connect, new_engine
from shared.shell.postgres.identity import DatabaseIdentity, identity
from shared.shell.postgres.refusals import checked, refusals_named
from shared.shell.service.registry import HandlerRegistry


class UnreadableRow(Exception):
    """The text names it, and shows nothing of its data."""


SESSION = {
    "application_name": "orderbus check",
    "statement_timeout": "300s",
    "jit": "off",
    "default_transaction_read_only": "on",
}
CURSOR = 5_000
PAYLOADS = 200

AHEAD = timedelta(minutes=1)
"""By which a worker's clock may be ahead of the database's. A row that says it changed later than that was written by a
clock that was wrong: when it changed, its transaction tells."""

_MISSING = """
    select u.id from unnest($1::uuid[]) u(id)
    where not exists (select from inbox i where i.message_id = u.id)
        and not exists (select from parked p where coalesce(p.identity, p.message_id) = u.id)
"""
_UNSENT = """
    select key, count(*) from (select key from outbox union all select key from undeliverable) r
    where key = any($1) group by key
"""
_OPERATIONS = """
    select key, kind, payload, coalesce(leased_until > clock_timestamp(), false) as leased
    from operations where key = any($1)
"""
_TIMERS = "select key, kind, payload from timers where key = any($1)"
_PARKED = "select distinct key from parked where key = any($1)"


@dataclass
class Rows:
    """What one service has of some keys, all of one moment."""

    states: list[tuple[StateTable, Any]] = field(default_factory=list)
    """With their tables."""
    ledger: list[LedgerEntry] = field(default_factory=list)
    waiting: Mapping[str, int] = field(default_factory=dict)
    """Events that are not on their topics yet."""
    under_way: set[tuple[str, Task]] = field(default_factory=set)
    """Calls and timers, with their keys."""
    calling: set[str] = field(default_factory=set)
    """Keys for which a call is being made."""
    parked: Collection[str] = ()


@dataclass
class States:
    """All states of one kind."""

    by_key: dict[str, Any] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Rows that this build cannot read, in words, by key."""


class Database:
    """One service as declared, and connections to its database."""

    def __init__(
        self,
        registry: HandlerRegistry,
        rows: asyncpg.Connection,
        inbox: asyncpg.Connection,
        engine: AsyncEngine,
        identity: DatabaseIdentity,
    ) -> None:
        self.registry, self.engine, self.identity = registry, engine, identity
        self._rows, self._inbox = rows, inbox
        self._transaction = ""
        self._reading = asyncio.Lock()

    @property
    def name(self) -> str:
        return self.registry.name

    async def begin(self) -> None:
        """What is written from now on is in motion, whatever it says."""
        self._transaction = await self._rows.fetchval("select pg_snapshot_xmin(pg_current_snapshot())::xid::text")

    def moves(self, since: datetime) -> str:
        """As SQL: whether a row is in motion, for it changed since then."""
        late = f"changed_at <= '{(since + AHEAD).isoformat()}' or age(xmin) <= age('{self._transaction}'::xid)"
        return f"(changed_at > '{since.isoformat()}' and ({late}))"

    async def now(self) -> datetime:
        now = await self._rows.fetchval("select clock_timestamp()")
        assert isinstance(now, datetime)
        return now

    async def is_quiet(self, time: timedelta) -> bool:
        """Whether no row has changed for so long, nothing is to be sent and no call is being made."""
        tables = [state.table.name for state in self.registry.service.storage.states]
        changed = " or ".join(
            f"exists (select from {name} where changed_at > clock_timestamp() - $1::interval)" for name in tables
        )
        queued = "exists (select from outbox) or exists (select from operations where leased_until > clock_timestamp())"
        return not await self._rows.fetchval(f"select {changed} or {queued}", time)

    async def keys(self, since: datetime | None) -> AsyncIterator[Sequence[str]]:
        """All keys of its states, or those of rows that changed since."""
        for table in self.registry.service.storage.states:
            changed = "" if since is None else f" where changed_at > '{since.isoformat()}'"
            async for some in self._column(f"select key from {table.table.name}{changed}"):
                yield some

    async def stray_entries(self) -> AsyncIterator[Sequence[str]]:
        """Keys of ledger entries without a payment."""
        if any(records.kind is LedgerEntry for records in self.registry.service.storage.records):
            without = "not exists (select from payments p where p.key = e.key)"
            async for some in self._column(f"select distinct key from ledger_entries e where {without}"):
                yield some

    async def _column(self, statement: str) -> AsyncIterator[Sequence[str]]:
        async with self._rows.transaction():
            cursor = await self._rows.cursor(statement)
            while rows := await cursor.fetch(CURSOR):
                yield [row[0] for row in rows]

    async def rows(self, keys: Sequence[str], since: datetime) -> Rows:
        """Everything about these keys, as of one moment. Rows say in `moves` whether they changed since then."""
        session, found = self._rows, Rows()
        async with self._reading, session.transaction(isolation="repeatable_read", readonly=True):
            for table in self.registry.service.storage.states:
                statement = f"select *, {self.moves(since)} as moves from {table.table.name} where key = any($1)"
                found.states += [(table, row) for row in await session.fetch(statement, keys)]
            for records in self.registry.service.storage.records:
                if records.kind is LedgerEntry:
                    names = ", ".join(LedgerEntry.__dataclass_fields__)  # a newer build may have added columns
                    statement = f"select {names} from {records.table.name} where key = any($1)"
                    found.ledger += [LedgerEntry(**row) for row in await session.fetch(statement, keys)]
            found.waiting = {row[0]: row[1] for row in await session.fetch(_UNSENT, keys)}
            await self._add_under_way(found, keys)
            found.parked = {row[0] for row in await session.fetch(_PARKED, keys)}
        return found

    async def _add_under_way(self, found: Rows, keys: Sequence[str]) -> None:
        """Payloads are read a few at a time: a backlog may have megabytes of them."""
        async for call in self._rows.cursor(_OPERATIONS, keys, prefetch=PAYLOADS):
            task = facts.operation_task(self.registry, call["kind"], call["payload"])
            found.under_way.add((call["key"], task))
            if call["leased"]:
                found.calling.add(call["key"])
        async for timer in self._rows.cursor(_TIMERS, keys, prefetch=PAYLOADS):
            awaited = facts.timer_task(self.registry, timer["kind"], timer["payload"])
            if awaited:
                found.under_way.add((timer["key"], awaited))

    async def state(self, ref: Ref[Any]) -> Any:
        """One row's state; None where there is none. Raises UnreadableRow."""
        table = self.registry.tables[ref.kind]
        async with self._reading:
            data = await self._rows.fetchval(f"select data from {table.table.name} where key = $1", ref.key)
        return self._state(ref.kind, ref.key, data)

    async def states(self, kind: type[Any], since: datetime) -> States:
        """All states of a kind, of which there are few."""
        found = States()
        columns = f"key, data, {self.moves(since)} as moves"
        for row in await self._rows.fetch(f"select {columns} from {self.registry.tables[kind].table.name}"):
            key = row["key"]
            try:
                state = self._state(kind, key, row["data"])
            except UnreadableRow as wrong:
                found.unreadable[key] = str(wrong)
                continue
            if state is not None:
                found.by_key[key] = state
            if row["moves"]:
                found.changed.add(key)
        return found

    def _state(self, kind: type[Any], key: str, data: str | None) -> Any:
        try:
            return None if data is None else codec.load(kind, data)
        except Exception as wrong:
            table = self.registry.tables[kind].table.name
            raise UnreadableRow(facts.unreadable(self.name, table, key, wrong)) from None

    async def missing(self, identities: Sequence[UUID]) -> set[UUID]:
        """Messages that it has neither in its inbox nor parked."""
        return {row[0] for row in await self._inbox.fetch(_MISSING, identities)}

    async def inbox(self, identities: Sequence[UUID]) -> list[asyncpg.Record]:
        """What it knows of these messages: id, time, content."""
        statement = "select message_id, seen_at, content from inbox where message_id = any($1)"
        return await self.fetch(statement, identities)

    async def attention(self) -> AttentionList:
        async with self.engine.connect() as connection:
            return await attention(connection, self.registry.service)

    async def fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self._rows.fetch(statement, *values)
        return rows


@asynccontextmanager
async def databases(settings: Settings, names: Iterable[str]) -> AsyncIterator[dict[str, Database]]:
    """Those of these services, connected. Raises OSError, asyncpg.PostgresError or StoreUnavailable, or
    ReportedError where a database is not this build's."""
    async with AsyncExitStack() as stack:
        yield {name: await _connected(stack, name, settings) for name in names}


async def _connected(stack: AsyncExitStack, name: str, settings: Settings) -> Database:
    url = settings.service(name).database_url.get_secret_value()
    engine = new_engine(url, SESSION, pool_size=1)
    stack.push_async_callback(engine.dispose)
    await checked(name, url, engine, writes=False)
    with refusals_named(name, url):
        rows, inbox = await _session(stack, url), await _session(stack, url)
    known = await identity(partial(fetch, rows))
    known.check_service(name)
    return Database(HandlerRegistry(declared()[name]), rows, inbox, engine, known)


async def _session(stack: AsyncExitStack, url: str) -> asyncpg.Connection:
    session = await connect(url, SESSION)
    stack.push_async_callback(session.close, timeout=5)
    return session
