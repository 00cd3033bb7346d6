"""`orderbus check`: gathers evidence from the real databases, topics and provider, and asks the invariants.

The provider is read first, then the topics, then the databases. A key whose row changed since shortly before that is in
motion: what several services must agree on is not asked of it. On a system at rest nothing is in motion.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa
import stripe
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.check.evidence import Gathered, Numbers, row_problems
from deploy.check.topic_reading import Read, Reading, read_topics
from services.checkout.domain.order import Order
from services.declared import declared
from services.fulfillment.domain.states import Delivery, Stock
from services.notifications.domain.state import Endpoints, NotificationLog
from services.payments.domain.ledger import LedgerEntry
from services.payments.domain.payment import Payment
from services.payments.gateways.stripe import StripeGateway
from services.payments.gateways.stripe_api import INTENTS, REFUNDS
from services.payments.settings import PaymentsSettings
from services.registry import SERVICES
from shared.contracts import TOPICS
from shared.contracts.checkout import STATUS
from shared.core import codec
from shared.errors import ReportedError
from shared.invariants.rules import Movement, Unhandled, violations
from shared.settings import Settings
from shared.shell.ports.tables import StateTable
from shared.shell.postgres.engine import create_engine
from shared.shell.service.registry import HandlerRegistry

SETTLED = timedelta(seconds=2)
"""A row that did not change for so long is at rest; so are its messages on the way."""
CHUNK = 10_000


class CheckFailed(ReportedError):
    """The evidence cannot be gathered: something cannot be reached. The text says what."""

    def __init__(self, trouble: str) -> None:
        super().__init__(f"The check cannot be made: {trouble}")


@dataclass
class Report:
    """What was found: violations in words, by the name of the invariant (an empty list where it holds)."""

    invariants: dict[str, list[str]]
    listed: list[str] = field(default_factory=list)
    """What a person must look at, and no violation: unknown outcomes, parked messages, records that Kafka refuses."""
    orders: int = 0
    in_motion: int = 0
    """Keys of which only what one service knows was asked."""

    @property
    def ok(self) -> bool:
        return not any(self.invariants.values())


@dataclass
class Part:
    """One service's database, and what the service says of itself."""

    registry: HandlerRegistry
    engine: AsyncEngine
    counted: dict[str, int] = field(default_factory=dict)
    """Events made so far, by key."""
    waiting: dict[str, int] = field(default_factory=dict)
    """… of which so many have not reached Kafka."""


async def check(settings: Settings, timeout: float = 15.0, seconds: float = 120.0) -> Report:
    """Wait up to `timeout` seconds for rest, gather within `seconds`, ask. `settings`: those of all services. Raises
    CheckFailed."""
    async with AsyncExitStack() as stack:
        parts = {name: await _part(stack, name, settings) for name in SERVICES}
        try:
            async with asyncio.timeout(seconds + timeout):
                await _rest(parts.values(), timeout)
                return await _asked(parts, settings, seconds)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise CheckFailed(f"a database cannot be read: {type(error).__name__}") from error
        except stripe.StripeError as error:
            raise CheckFailed(f"Stripe cannot be read: {type(error).__name__} (HTTP {error.http_status})") from error
        except TimeoutError:
            raise CheckFailed(f"the evidence was not gathered within {seconds:g} s") from None
        except Exception as error:
            raise CheckFailed(f"{type(error).__name__}: {error}"[:500]) from error


async def _part(stack: AsyncExitStack, name: str, settings: Settings) -> Part:
    engine = create_engine(settings.service(name).database_url, "check", 2)
    stack.push_async_callback(engine.dispose)
    return Part(HandlerRegistry(declared()[name]), engine)


async def _asked(parts: Mapping[str, Part], settings: Settings, seconds: float) -> Report:
    gathered = Gathered(at=datetime.now(UTC))
    since = gathered.at - SETTLED
    await _gather_provider(gathered, settings)
    reading = await read_topics(settings.kafka, [topic.name for topic in TOPICS], STATUS.name, seconds)
    for name, part in parts.items():
        async with part.engine.connect() as connection:
            await _gather_states(gathered, part, connection, since)
            await _gather_queues(gathered, name, part, connection)
            await _gather_unhandled(gathered, name, part, connection, reading.records)
    _gather_topics(gathered, parts, reading, settings.kafka.retention, since)
    answers = violations(gathered.evidence())
    answers["every_event_published"] += [f"topic {topic} does not exist" for topic in reading.missing]
    listed = [*gathered.unresolved, *gathered.evidence().unresolved[len(gathered.unresolved) :]]
    return Report(answers, listed, len(gathered.orders), len(gathered.busy))


async def _rest(parts: Iterable[Part], timeout: float) -> None:
    """Until nothing changed for a while, or patience ends: then what moves is left out."""
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


# The provider


async def _gather_provider(gathered: Gathered, settings: Settings) -> None:
    assert isinstance(settings, PaymentsSettings)
    gateway = StripeGateway(settings.stripe)
    try:
        async for intent in gateway.every(INTENTS, {}):
            if intent["amount_received"]:
                order, attempt = _told(intent, "order"), _told(intent, "attempt")
                movement = Movement(intent["id"], intent["amount_received"], intent["currency"].upper(), order)
                gathered.provider.append(movement)
                if order and attempt:
                    gathered.effects[f"the charge of order {order}, attempt {attempt},"] += 1
        async for refund in gateway.every(REFUNDS, {}):
            if refund["status"] == "succeeded":
                order, identity = _told(refund, "order"), _told(refund, "refund")
                gathered.provider.append(Movement(refund["id"], -refund["amount"], refund["currency"].upper(), order))
                if identity:
                    gathered.effects[f"refund {identity} of order {order}"] += 1
    finally:
        await gateway.close()


def _told(thing: Mapping[str, Any], name: str) -> str:
    return str((thing.get("metadata") or {}).get(name, ""))


# The databases


async def _gather_states(gathered: Gathered, part: Part, connection: AsyncConnection, since: datetime) -> None:
    into: dict[type[Any], dict[str, Any]] = {
        Order: gathered.orders,
        Payment: gathered.payments,
        Delivery: gathered.deliveries,
        Stock: gathered.stock,
        NotificationLog: gathered.threads,
        Endpoints: gathered.endpoints,
    }
    for state in part.registry.service.storage.states:
        for row in (await connection.execute(sa.select(state.table))).mappings():
            key = row["key"]
            part.counted[key] = max(part.counted.get(key, 0), row["sequence"])
            if row["changed_at"] > since:
                gathered.busy.add(key)
            if row["data"] is not None:
                found = _state(gathered, state, key, row)
                if found is not None and state.kind in into:
                    into[state.kind][key] = found
    if part.registry.name == "payments":
        rows = (await connection.execute(sa.select(part.registry.records[LedgerEntry].table))).mappings()
        entries = TypeAdapter(LedgerEntry)
        gathered.ledger += [entries.validate_python(dict(row)) for row in rows]


def _state(gathered: Gathered, table: StateTable, key: str, row: Mapping[Any, Any]) -> Any:
    try:
        state = codec.load(table.kind, orjson.dumps(row["data"]))
    except ValueError as wrong:
        gathered.rows.append(f"{table.table.name} {key}: its data cannot be read ({type(wrong).__name__})")
        return None
    gathered.rows += row_problems(table.table.name, key, row, table.columns(state))
    return state


async def _gather_queues(gathered: Gathered, name: str, part: Part, connection: AsyncConnection) -> None:
    unsent = "select key, count(*) from (select key from outbox union all select key from undeliverable) r group by key"
    for key, count in await _rows(connection, unsent):
        gathered.busy.add(key)
        part.waiting[key] = count
    statement = "select key, kind, doubt, leased_until > clock_timestamp() as held, attempts from operations"
    for key, kind, doubt, held, attempts in await _rows(connection, statement):
        gathered.under_way.add(key)
        if held:
            gathered.busy.add(key)
        elif doubt:
            gathered.unresolved.append(f"{name}: {kind} of {key} has no known outcome after {attempts} attempts")
    gathered.under_way |= {key for (key,) in await _rows(connection, "select distinct key from timers")}
    for key, kind, error in await _rows(connection, "select key, kind, error from parked where reason = 'failed'"):
        gathered.busy.add(key)
        gathered.under_way.add(key)
        gathered.unresolved.append(f"{name}: {kind} of {key} is parked: {error[:200]}")
    refused = "select id, topic, key, reason from undeliverable where reason <> ''"
    for id, topic, key, reason in await _rows(connection, refused):
        gathered.unresolved.append(f"{name}: Kafka refuses record {id} of {key} for {topic}: {reason}")


async def _rows(connection: AsyncConnection, statement: str) -> Sequence[Any]:
    return (await connection.execute(sa.text(statement))).all()


async def _gather_unhandled(
    gathered: Gathered, name: str, part: Part, connection: AsyncConnection, records: Sequence[Read]
) -> None:
    """Records that this service should have handled, but that are not in its inbox."""
    mine = [r for r in records if r.topic in part.registry.topics and part.registry.handles(r.kind)]
    known: set[UUID] = set()
    statement = sa.text("select message_id from inbox where message_id = any(cast(:ids as uuid[]))")
    for start in range(0, len(mine), CHUNK):
        ids = [record.identity for record in mine[start : start + CHUNK]]
        known |= set((await connection.execute(statement, {"ids": ids})).scalars())
    gathered.unhandled += [
        Unhandled(name, record.kind.type, record.key, str(record.id)) for record in mine if record.identity not in known
    ]


# The topics


def _gather_topics(
    gathered: Gathered, parts: Mapping[str, Part], reading: Reading, retention: timedelta, since: datetime
) -> None:
    numbers: defaultdict[tuple[str, str], Numbers] = defaultdict(Numbers)
    topic_of = {part.registry.name: _counted_topics(part) for part in parts.values()}
    for record in reading.records:
        if record.at > since:
            gathered.busy.add(record.key)
        if record.topic == STATUS.name:
            gathered.status[record.key] = orjson.loads(record.body)
        elif record.sequence and record.topic in topic_of.get(record.source, ()):
            numbers[record.source, record.key].add(record.sequence, record.id)
    for name, part in parts.items():
        keys = {key for key, counted in part.counted.items() if counted}
        keys |= {key for source, key in numbers if source == name}
        cut = bool(topic_of[name] & reading.cut)
        for key in sorted(keys):
            may_be_cut = cut and _old_enough(gathered, key, retention)
            counted, waiting = part.counted.get(key), part.waiting.get(key, 0)
            gathered.stream(name, key, numbers[name, key], counted, waiting, cut=may_be_cut)


def _counted_topics(part: Part) -> frozenset[str]:
    return frozenset(kind.topic.name for kind in part.registry.service.emitted if not kind.topic.compacted)


def _old_enough(gathered: Gathered, key: str, retention: timedelta) -> bool:
    """Whether retention can have removed messages of this key: those of an order are no older than the order."""
    order = gathered.orders.get(key)
    return order is None or order.created_at < gathered.at - retention
