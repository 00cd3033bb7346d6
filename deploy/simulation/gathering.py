"""What a run left, as evidence for the invariants: states, what the provider did, and every record that was sent in
earnest. `deploy/check/run.py` gathers the same from real databases."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from deploy.check.evidence import Gathered, Numbers, row_problems
from services.checkout.domain.order import Order
from services.fulfillment.domain.states import Delivery, Stock
from services.notifications.domain.state import Endpoints, NotificationLog
from services.payments.domain.ledger import LedgerEntry
from services.payments.domain.payment import Payment
from shared.contracts.checkout import STATUS
from shared.contracts.envelope import Envelope, from_headers
from shared.core import MESSAGES, Event, codec
from shared.invariants.rules import Movement, Unhandled
from shared.shell.inbound.message import Malformed
from shared.shell.inbound.records import inbound_of
from shared.shell.ports.bus import BusRecord
from shared.simulation.memory_store import INBOX, OPERATIONS, TIMERS

if TYPE_CHECKING:
    from deploy.simulation.world import World


def gather(world: World) -> Gathered:
    gathered = Gathered(at=world.now())
    world.read = _readable(world)
    counted: dict[tuple[str, str], int] = {}
    for name in world.names:
        _states(world, name, gathered, counted)
        for row in (*world.stores[name].rows(OPERATIONS).values(), *world.stores[name].rows(TIMERS).values()):
            gathered.under_way.add(row.key)
    _provider(world, gathered)
    _topics(world, gathered, counted)
    return gathered


def _states(world: World, name: str, gathered: Gathered, counted: dict[tuple[str, str], int]) -> None:
    into: dict[type[Any], dict[str, Any]] = {
        Order: gathered.orders,
        Payment: gathered.payments,
        Delivery: gathered.deliveries,
        Stock: gathered.stock,
        NotificationLog: gathered.threads,
        Endpoints: gathered.endpoints,
    }
    store, storage = world.stores[name], world.service(name).storage
    for table in storage.states:
        for key, stored in store.states(table).items():
            counted[name, key] = max(counted.get((name, key), 0), stored.row.sequence)
            if stored.row.data is not None:
                state = codec.load(table.kind, stored.row.data)
                gathered.rows += row_problems(table.table.name, key, stored.columns, table.columns(state))
                into.get(table.kind, {})[key] = state
    for records in storage.records:
        if records.kind is LedgerEntry:
            gathered.ledger += [entry for entry in store.records(records) if isinstance(entry, LedgerEntry)]


def _provider(world: World, gathered: Gathered) -> None:
    for intent in world.stripe.intents.values():
        if intent.captured:
            gathered.provider.append(Movement(intent.id, intent.captured, intent.currency, intent.order))
            gathered.effects[f"the charge of order {intent.order}, attempt {intent.attempt},"] += 1
        for made in intent.refunds:
            if made.status == "succeeded":
                gathered.provider.append(Movement(made.id, -made.amount, intent.currency, intent.order))
                gathered.effects[f"refund {made.refund} of order {intent.order}"] += 1


def _topics(world: World, gathered: Gathered, counted: dict[tuple[str, str], int]) -> None:
    numbers: defaultdict[tuple[str, str], Numbers] = defaultdict(Numbers)
    latest: dict[str, bytes] = {}
    seen: set[tuple[str, str, str, UUID]] = set()
    shared = _shared_ids(world)
    for record, envelope in world.read:
        place = (record.topic, envelope.subject, envelope.source, envelope.id)
        if place in seen:
            continue
        seen.add(place)
        kind = MESSAGES[envelope.type, envelope.version]
        if record.topic == STATUS.name:
            latest[envelope.subject] = record.value or b""
        elif issubclass(kind, Event) and kind.topic.name == record.topic:
            numbers[envelope.source, envelope.subject].add(envelope.sequence, envelope.id)
        for name, registry in world.wirings.items():
            wanted = record.topic in registry.topics and registry.handles(kind)
            if wanted and not _handled(world, name, record, alone=envelope.id not in shared):
                gathered.unhandled.append(Unhandled(name, kind.type, envelope.subject, str(envelope.id)))
    gathered.status |= {key: orjson.loads(value) for key, value in latest.items()}
    there = {place for place, sequence in counted.items() if sequence}
    for name, key in sorted(there | set(numbers)):
        gathered.stream(name, key, numbers[name, key], counted.get((name, key)))


def _readable(world: World) -> list[tuple[BusRecord, Envelope]]:
    """Every record that somebody sent in earnest, read."""
    garbage = world.poison.is_garbage
    return [
        (record, from_headers(record.headers, record.key))
        for record in world.bus.records()
        if not (record.topic.endswith(".dead-letter.v1") or garbage(record))
    ]


def _shared_ids(world: World) -> set[UUID]:
    """Ids that messages of several sources or keys have."""
    owners: dict[UUID, tuple[str, str]] = {}
    those = ((envelope.id, (envelope.source, envelope.subject)) for _, envelope in world.read)
    return {id for id, owner in those if owners.setdefault(id, owner) != owner}


def _handled(world: World, service: str, record: BusRecord, *, alone: bool) -> bool:
    """In the inbox; where several messages have the id, that alone says nothing of this one."""
    inbound = inbound_of(world.wirings[service], record)
    if inbound is None or inbound.identity not in world.stores[service].rows(INBOX):
        return False
    return (
        alone or isinstance(inbound.message, Malformed) or world.watch.decided(service, inbound.key, inbound.identity)
    )
