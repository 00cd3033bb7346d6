"""What a run left, as evidence for the invariants: states, what the provider did, and every record that was sent in
earnest. `deploy/check/run.py` reads the same from real databases."""

from __future__ import annotations

from uuid import UUID

from deploy.check import facts
from deploy.check.evidence import Findings, readers
from deploy.check.topics import Seen
from deploy.simulation.world import World
from services.payments.domain.ledger import LedgerEntry
from shared.contracts.envelope import Envelope, from_headers
from shared.core import MESSAGES
from shared.invariants.facts import Unhandled
from shared.shell.inbound.message import Malformed
from shared.shell.inbound.records import inbound_of
from shared.shell.ports.bus import BusRecord
from shared.simulation.memory_database import INBOX, OPERATIONS, TIMERS

Broken = tuple[str, str, str]
"""Rule, order or other key, what is wrong."""


def findings(world: World) -> Findings:
    found = Findings(world.now(), world.registries)
    world.read = _readable(world)
    for name in world.names:
        _rows(world, name, found)
    _provider(world, found)
    _records(world, found)
    return found


def _rows(world: World, name: str, found: Findings) -> None:
    store, storage = world.stores[name], world.service(name).storage
    for table in storage.states:
        for key, stored in store.states(table).items():
            found.row(name, table, key, stored.row.sequence, stored.row.data, stored.columns)
    for records in storage.records:
        if records.kind is LedgerEntry:
            found.ledger += [entry for entry in store.records(records) if isinstance(entry, LedgerEntry)]
    registry = world.registries[name]
    for call in store.rows(OPERATIONS).values():
        found.under_way[call.key].add(facts.operation_task(registry, call.kind, call.payload))
    for timer in store.rows(TIMERS).values():
        if task := facts.timer_task(registry, timer.kind, timer.payload):
            found.under_way[timer.key].add(task)


def _provider(world: World, found: Findings) -> None:
    for intent in world.stripe.intents.values():
        if intent.captured and not intent.stray:
            found.charge(intent.id, intent.captured, intent.currency, intent.order, str(intent.attempt))
        for made in intent.refunds:
            if made.status == "succeeded":
                amount = intent.in_minor_units(made.amount)
                found.refund(made.id, amount, intent.currency, intent.order, made.refund)


def _records(world: World, found: Findings) -> None:
    shared, readers_of = _shared_ids(world), readers(world.registries)
    known: set[tuple[str, str, str, UUID]] = set()
    for record, envelope in world.read:
        kind = MESSAGES[envelope.type, envelope.version]
        seen = Seen(
            *(record.topic, envelope.subject, envelope.id, kind, envelope.source, envelope.sequence),
            *(world.now(), record.value or b""),
        )
        place = (seen.topic, seen.key, seen.source, seen.id)
        if place in known:
            continue  # a repetition
        known.add(place)
        found.record(seen)
        for name in readers_of.get((seen.topic, kind), ()):
            if not _handled(world, name, record, alone=seen.id not in shared):
                found.unhandled(Unhandled(name, kind.type, seen.key, str(seen.id)))


def _readable(world: World) -> list[tuple[BusRecord, Envelope]]:
    """Every record that was sent in earnest, read."""
    return [
        (record, from_headers(record.headers, record.key))
        for record in world.bus.records()
        if not (record.topic.endswith(".dead-letter.v1") or world.is_garbage(record))
    ]


def _shared_ids(world: World) -> set[UUID]:
    """Ids that messages of several sources or keys have."""
    owners: dict[UUID, tuple[str, str]] = {}
    those = ((envelope.id, (envelope.source, envelope.subject)) for _, envelope in world.read)
    return {id for id, owner in those if owners.setdefault(id, owner) != owner}


def _handled(world: World, service: str, record: BusRecord, *, alone: bool) -> bool:
    """In the inbox; where several messages have the id, that alone says nothing of this one."""
    inbound = inbound_of(world.registries[service], record)
    if inbound is None or inbound.identity not in world.stores[service].rows(INBOX):
        return False
    return (
        alone or isinstance(inbound.message, Malformed) or world.watch.decided(service, inbound.key, inbound.identity)
    )
