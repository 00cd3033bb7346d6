"""Kafka is lost and another cluster has taken its place, while the databases are whole: what the lost one knew is put
back into the outboxes, and the databases take the new one for theirs.

    for each database that belongs to another cluster, in one transaction:
        facts that a reader has not handled, with all later ones of their key   outbox_sent ─► outbox
        one record per row of a state that a compacted topic tells              rows        ─► outbox
        the cluster's id                                                        ─► database_identity

The relays of the workers send all of it, under the ids that it had. A second run finds nothing to do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints
from uuid import UUID

import asyncpg
import orjson
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.check import facts
from deploy.check.databases import Database, databases
from deploy.check.evidence import readers
from deploy.check.topics import Topics
from services.registry import SERVICES
from shared.contracts import TOPICS
from shared.contracts.envelope import BadEnvelope, Envelope, UnknownMessage, from_headers, message_type
from shared.core import Event, codec, derived_id, hashed_id
from shared.errors import ReportedError
from shared.settings import KafkaSettings, Settings
from shared.shell.batch.effects import rows_of
from shared.shell.inbound.message import identity_of
from shared.shell.kafka.cluster import cluster_id
from shared.shell.kafka.source import connection
from shared.shell.kafka.topics import ensure_topics
from shared.shell.ports.bus import BusUnavailable
from shared.shell.ports.rows import OutboxRow
from shared.shell.ports.tables import StateTable
from shared.shell.postgres import statements
from shared.shell.postgres.connections import execute
from shared.shell.postgres.engine import connect
from shared.shell.service.registry import HandlerRegistry

SESSION = {"application_name": "orderbus republish", "lock_timeout": "20s", "jit": "off"}
CURSOR = 2_000
KEYS = 10_000
"""Whose facts one statement moves."""

_WORKERS = """
    select distinct application_name from pg_stat_activity
    where datname = current_database() and application_name ~ ('^' || $1 || '-[0-9]+') order by 1
"""
_SENT = "select id, topic, key, headers from outbox_sent"
_MOVE = """
    with moved as (
        delete from outbox_sent s using unnest($1::text[], $2::bigint[]) as u(key, first)
        where s.key = u.key and s.id >= u.first returning s.id, s.topic, s.key, s.headers, s.body
    )
    insert into outbox (id, topic, key, headers, body) overriding system value select * from moved order by id
"""
_STATES = """
    select key, version, data, changed_at from {table} t where data is not null
        and not exists (select from outbox o where o.topic = $1 and o.key = t.key)
        and not exists (select from undeliverable u where u.topic = $1 and u.key = t.key)
"""
_BELONG = """
    insert into database_identity (service, cluster, cluster_since) values ($1, $2, clock_timestamp())
    on conflict (one) do update set cluster = excluded.cluster, cluster_since = excluded.cluster_since
"""


class RepublishRefused(ReportedError):
    """Nothing was changed. The text says what to do first."""


class _OnlyLooked(Exception):
    """Rolls back what a dry run did."""


@dataclass
class Republished:
    """What was put back into one outbox."""

    service: str
    belongs: bool = False
    """The database belonged to this cluster before: at most some of its facts are missing in one that did not."""
    facts: int = 0
    """Those that a reader had not handled, and later ones of their keys."""
    records: int = 0
    """Of compacted topics."""
    unreadable: list[str] = field(default_factory=list)
    """Rows of which this build cannot make their record, in words."""


async def republish(settings: Settings, *, dry_run: bool = False) -> list[Republished]:
    """`dry_run`: change nothing, only say what would be done. Raises ReportedError, BusUnavailable, StoreUnavailable,
    OSError, asyncpg.PostgresError."""
    cluster = await cluster_id(settings.kafka)
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(databases(settings, SERVICES))
        behind = [name for name, database in services.items() if database.identity.cluster != cluster]
        sessions = {name: await _session(stack, settings, name) for name in (services if behind else ())}
        await _without_workers(sessions)
        if behind == list(services):
            await _empty(settings.kafka)
        if behind:
            await ensure_topics(settings.kafka, SERVICES, dry_run=dry_run)
        if not behind:
            return [Republished(name, belongs=True) for name in services]
        outboxes = {name: _Outbox(services[name], services, session) for name, session in sessions.items()}
        return [await it.refill(cluster, belongs=name not in behind, dry_run=dry_run) for name, it in outboxes.items()]


async def _session(stack: AsyncExitStack, settings: Settings, name: str) -> asyncpg.Connection:
    session = await connect(settings.service(name).database_url.get_secret_value(), SESSION)
    stack.push_async_callback(session.close, timeout=5)
    return session


async def _without_workers(sessions: Mapping[str, asyncpg.Connection]) -> None:
    """What a worker reads or sends meanwhile would be missed."""
    found = [row[0] for name, session in sessions.items() for row in await session.fetch(_WORKERS, name)]
    if found:
        names = sorted({name.partition(" ")[0].removesuffix("-relay") for name in found})
        raise RepublishRefused(f"These workers are running: {', '.join(names)}. Stop all workers first.")


async def _empty(kafka: KafkaSettings) -> None:
    """Facts and status records that are there already are another system's, or it is no new cluster."""
    told = [topic.name for topic in TOPICS if topic.compacted or topic.name.endswith(".events.v1")]
    admin = AIOKafkaAdminClient(**connection(kafka))
    try:
        await admin.start()
        there = set(await admin.list_topics()).intersection(told)
    except (KafkaError, OSError) as error:
        raise BusUnavailable(f"kafka at {kafka.bootstrap_servers}: {type(error).__name__}") from error
    finally:
        await admin.close()
    if not there:
        return
    async with Topics(kafka, sorted(there)) as topics:
        full = sorted({place.topic for place, end in topics.ends.items() if end})
    if full:
        raise RepublishRefused(
            f"Kafka has records on {', '.join(full)}, but no database belongs to this cluster. Check "
            "ORDERBUS_KAFKA__BOOTSTRAP_SERVERS; if this is the cluster to go on with, delete these topics first."
        )


class _Outbox:
    """One service's, to be refilled."""

    def __init__(self, own: Database, services: Mapping[str, Database], session: asyncpg.Connection) -> None:
        self._own, self._services, self._session = own, services, session
        self._registry: HandlerRegistry = own.registry
        self._readers = readers({name: database.registry for name, database in services.items()})

    async def refill(self, cluster: str, *, belongs: bool, dry_run: bool) -> Republished:
        done = Republished(self._own.name, belongs)
        try:
            async with self._session.transaction():
                lock = "select pg_try_advisory_xact_lock($1)"
                if not await self._session.fetchval(lock, statements.RELAY_LOCK):
                    raise RepublishRefused(f"A worker of {self._own.name} is running. Stop all workers first.")
                done.facts = await self._facts()
                if not belongs:
                    await self._records(done)
                    await self._session.execute(_BELONG, self._own.name, cluster)
                    await self._session.execute("delete from read_positions")  # of the lost cluster
                if dry_run:
                    raise _OnlyLooked
        except _OnlyLooked:
            pass
        return done

    # Facts

    async def _facts(self) -> int:
        first = await self._unhandled()
        keys, count = list(first), 0
        for start in range(0, len(keys), KEYS):
            some = keys[start : start + KEYS]
            tag = await self._session.execute(_MOVE, some, [first[key] for key in some])
            count += int(tag.rpartition(" ")[2])
        return count

    async def _unhandled(self) -> dict[str, int]:
        """By key: the row of the first fact that one of its readers has not handled. All later ones of that key are
        sent, too, so that none is missing between those that are on the topic."""
        first: dict[str, int] = {}
        async for rows in self._rows(_SENT):
            asked: defaultdict[str, dict[UUID, tuple[str, int]]] = defaultdict(dict)
            for id, topic, key, headers in rows:
                pairs = [(name, value.encode()) for name, value in orjson.loads(headers)]
                try:
                    envelope = from_headers(pairs, key.encode())
                except BadEnvelope:
                    continue  # no message: its readers would park it
                for reader in self._readers_of(topic, envelope):
                    asked[reader].setdefault(identity_of(envelope.source, envelope.id), (key, id))
            for reader, identities in asked.items():
                for identity in await self._services[reader].missing(list(identities)):
                    key, id = identities[identity]
                    first[key] = min(first.get(key, id), id)
        return first

    def _readers_of(self, topic: str, envelope: Envelope) -> Sequence[str]:
        try:
            return self._readers.get((topic, message_type(envelope)), ())
        except UnknownMessage:  # of a newer build, whose readers know it
            every = self._services.items()
            return [name for name, database in every if topic in database.registry.topics]

    # Records of compacted topics

    async def _records(self, done: Republished) -> None:
        told = self._registry.service.status_records
        for table in self._registry.service.storage.states:
            if table.kind in told:
                topic = record_kind(told[table.kind]).topic.name
                async for rows in self._rows(_STATES.format(table=table.table.name), topic):
                    records = [record for row in rows for record in self._record(table, row, done)]
                    await execute(self._session, statements.PUBLISH, _as_arrays(records))

    def _record(self, table: StateTable, row: asyncpg.Record, done: Republished) -> list[OutboxRow]:
        key, version, data, changed_at = row
        try:
            state = codec.load(table.kind, data)
            message = self._registry.service.status_records[table.kind](state)
        except Exception as wrong:
            done.unreadable.append(facts.unreadable(self._own.name, table.table.name, key, wrong))
            return []
        if message is None:  # of a state that was not told yet
            return []
        envelope = Envelope(
            id=derived_id(hashed_id("status", message.topic.name, key), version, changed_at),
            type=message.type,
            version=message.version,
            source=self._own.name,
            subject=key,
            time=changed_at,
            store=table.store(key, state),
            actor="system",
        )
        done.records += 1
        return rows_of(envelope, message, self._registry.versioned)

    async def _rows(self, statement: str, *values: object) -> AsyncIterator[Sequence[Any]]:
        cursor = await self._session.cursor(statement, *values)
        while rows := await cursor.fetch(CURSOR):
            yield rows


def record_kind(make: Callable[[Any], Event | None]) -> type[Event]:
    """What a state's record is, by the annotation of what makes it."""
    hint = get_type_hints(make)["return"]
    kind: type[Event] = next(it for it in get_args(hint) or (hint,) if it is not type(None))
    return kind


def _as_arrays(rows: Sequence[OutboxRow]) -> dict[str, Any]:
    return {
        "topics": [row.topic for row in rows],
        "keys": [row.key for row in rows],
        "headers": [row.headers.decode() for row in rows],
        "bodies": [row.body for row in rows],
    }
