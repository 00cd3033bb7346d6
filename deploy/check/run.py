"""`orderbus check`: gathers evidence from the real databases, topics and provider, and asks the invariants.

The provider is read first, then the topics, then the databases. A key whose row changed since shortly before that is in
motion: what several services must agree on is not asked of it. On a system at rest nothing is in motion.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.check.evidence import Findings
from deploy.check.topics import read_topics
from services.declared import declared
from services.payments.domain.ledger import LedgerEntry
from services.payments.gateways.provider import ProviderError
from services.payments.providers import providers_of
from services.payments.settings import PaymentsSettings
from services.registry import SERVICES
from shared.contracts import TOPICS
from shared.contracts.checkout import STATUS
from shared.errors import ReportedError
from shared.invariants.rules import violations
from shared.settings import Settings
from shared.shell.ports.attention import Attention
from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres.attention import attention
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.generation import generation_checked
from shared.shell.service.registry import HandlerRegistry

SETTLED = timedelta(seconds=2)
"""A row that did not change for so long is at rest; so are its messages on the way."""
CHUNK = 10_000


class CheckFailed(ReportedError):
    """The evidence cannot be gathered: something cannot be reached. The text says what."""

    exit_code = 3

    def __init__(self, trouble: str) -> None:
        super().__init__(f"The check cannot be made: {trouble}")


@dataclass
class Report:
    """What was found: violations in words, by the name of the invariant (an empty list where it holds)."""

    invariants: dict[str, list[str]]
    attention: list[tuple[str, Attention]] = field(default_factory=list)
    """What waits for staff, and is no violation, by service; daily work is left out."""
    unreadable: list[str] = field(default_factory=list)
    """Records that are no messages, by topic, partition and offset."""
    orders: int = 0
    in_motion: int = 0
    """Keys of which only the rules of single services were asked."""

    @property
    def ok(self) -> bool:
        return not any(self.invariants.values())


@dataclass
class Part:
    """One service as declared, and its database."""

    registry: HandlerRegistry
    engine: AsyncEngine


async def check(settings: Settings, timeout: float = 15.0, seconds: float = 120.0) -> Report:
    """Wait up to `timeout` seconds for rest, gather within `seconds`, ask. `settings`: those of all services. Raises
    CheckFailed."""
    assert isinstance(settings, PaymentsSettings)
    async with AsyncExitStack() as stack:
        parts = {name: await _part(stack, name, settings) for name in SERVICES}
        try:
            async with asyncio.timeout(seconds + timeout):
                await _rest(parts.values(), timeout)
                return await _asked(parts, settings, seconds)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise CheckFailed(f"a database cannot be read: {type(error).__name__}") from error
        except ProviderError as error:
            raise CheckFailed(str(error)) from error
        except TimeoutError:
            raise CheckFailed(f"the evidence was not gathered within {seconds:g} s") from None
        except Exception as error:
            raise CheckFailed(f"{type(error).__name__}: {error}"[:500]) from error


async def _part(stack: AsyncExitStack, name: str, settings: Settings) -> Part:
    engine = create_engine(settings.service(name).database_url, "check", 2)
    stack.push_async_callback(engine.dispose)
    try:
        await generation_checked(engine)
    except ReportedError as wrong:
        raise CheckFailed(f"{name}: {wrong}") from None
    except StoreUnavailable as trouble:
        raise CheckFailed(f"a database cannot be read: {trouble}") from trouble
    return Part(HandlerRegistry(declared()[name]), engine)


async def _asked(parts: Mapping[str, Part], settings: PaymentsSettings, seconds: float) -> Report:
    found = Findings(datetime.now(UTC), {name: part.registry for name, part in parts.items()})
    since = found.at - SETTLED
    await _read_providers(found, settings)
    reading = await read_topics(settings.kafka, [topic.name for topic in TOPICS], STATUS.name, seconds)
    found.cut, found.retention = reading.cut, settings.kafka.retention
    for seen in reading.records:
        found.record(seen)
        if seen.at > since:
            found.busy.add(seen.key)
    waiting: list[tuple[str, Attention]] = []
    for name, part in parts.items():
        async with part.engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")  # rows agree with each other
            entries = await attention(connection, part.registry.service)
            waiting += [(name, entry) for entry in entries if not entry.routine]
            await _read_rows(found, name, part, connection, since)
            await _read_queues(found, name, connection)
            await _read_inbox(found, name, connection)
    evidence = found.evidence()
    answers = violations(evidence)
    answers["every_event_published"] += [f"topic {topic} does not exist" for topic in reading.missing]
    waiting = sorted(waiting, key=lambda entry: entry[1].since)
    return Report(answers, waiting, list(reading.unreadable), len(evidence.orders), len(found.busy))


async def _rest(parts: Iterable[Part], timeout: float) -> None:
    """Until nothing changed for a while, or the time is over: then what moves is left out."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while loop.time() < end:
        if all([await _is_quiet(part) for part in parts]):
            return
        await asyncio.sleep(0.25)


async def _is_quiet(part: Part) -> bool:
    tables = [state.table.name for state in part.registry.service.storage.states]
    changed = " or ".join(f"exists (select from {name} where changed_at > :since)" for name in tables)
    queued = "exists (select from outbox) or exists (select from operations where leased_until > clock_timestamp())"
    async with part.engine.connect() as connection:
        since = {"since": datetime.now(UTC) - SETTLED}
        return not (await connection.execute(sa.text(f"select {changed} or {queued}"), since)).scalar_one()


# The providers


async def _read_providers(found: Findings, settings: PaymentsSettings) -> None:
    for provider in providers_of(settings):
        for moved in await provider.movements():
            if moved.amount > 0:
                found.charge(moved.reference, moved.amount, moved.currency, moved.order, moved.attempt)
            elif moved.amount < 0:
                found.refund(moved.reference, -moved.amount, moved.currency, moved.order, moved.refund)


# The databases


async def _read_rows(found: Findings, name: str, part: Part, connection: AsyncConnection, since: datetime) -> None:
    storage = part.registry.service.storage
    for table in storage.states:
        for row in (await connection.execute(sa.select(table.table))).mappings():
            data = None if row["data"] is None else orjson.dumps(row["data"])
            found.row(name, table, row["key"], row["sequence"], data, {str(name): value for name, value in row.items()})
            if row["changed_at"] > since:
                found.busy.add(row["key"])
    for records in storage.records:
        if records.kind is LedgerEntry:
            rows = (await connection.execute(sa.select(records.table))).mappings()
            found.ledger += TypeAdapter(list[LedgerEntry]).validate_python([dict(row) for row in rows])


async def _read_queues(found: Findings, name: str, connection: AsyncConnection) -> None:
    unsent = "select key, count(*) from (select key from outbox union all select key from undeliverable) r group by key"
    for key, count in await _rows(connection, unsent):
        found.busy.add(key)
        found.waiting[name, key] = count
    statement = "select key, leased_until > clock_timestamp() as held from operations"
    for key, held in await _rows(connection, statement):
        found.under_way.add(key)
        if held:
            found.busy.add(key)
    found.under_way |= {key for (key,) in await _rows(connection, "select distinct key from timers")}
    for (key,) in await _rows(connection, "select distinct key from parked"):
        found.under_way.add(key)
        found.parked[key].add(name)


async def _rows(connection: AsyncConnection, statement: str) -> Sequence[Any]:
    return (await connection.execute(sa.text(statement))).all()


async def _read_inbox(found: Findings, name: str, connection: AsyncConnection) -> None:
    expected = found.of_interest_to(name)
    statement = sa.text(
        "select message_id from inbox where message_id = any(cast(:ids as uuid[])) "
        "union all select coalesce(identity, message_id) from parked"
    )
    for start in range(0, len(expected), CHUNK):
        some = expected[start : start + CHUNK]
        known = set((await connection.execute(statement, {"ids": [one.identity for one in some]})).scalars())
        for seen in some:
            if seen.identity not in known:
                found.unhandled(name, seen)
