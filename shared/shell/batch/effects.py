"""What decisions bring about, as rows to be written: messages in the outbox, operations, timers, records.

All ids derive from the message that was decided, never from the time: the same decision made again has the same ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import orjson

from shared.contracts.envelope import MAX_BODY, Envelope, attributes, encode
from shared.core import Decision, Event, Message, Operation, Record, Timer, codec, effect_id
from shared.core.epochs import SPAN
from shared.core.fast_dataclasses import fast, replace
from shared.shell.batch.leases import Capacity, lease_seconds
from shared.shell.batch.own_log import OwnLog
from shared.shell.inbound.message import Copy, Inbound, Meta, kept_id, kept_source
from shared.shell.ports.rows import OperationRow, OutboxRow, StateWrite, TimerRow
from shared.shell.ports.store import Writes
from shared.shell.ports.tables import StateTable
from shared.shell.service.registry import HandlerRegistry


@fast
@dataclass(frozen=True, slots=True)
class Cause:
    """The message that a decision was made on."""

    inbound: Inbound
    seed: UUID
    """What the ids of its effects derive from."""
    at: datetime
    meta: Meta
    """What its effects carry along."""

    @property
    def occurred(self) -> datetime | None:
        """The latest time at which it can have happened; None where that is unknown."""
        return min(self.inbound.occurred, self.at) if self.inbound.occurred else None


class Effects:
    def __init__(
        self, registry: HandlerRegistry, worker: str, capacity: Capacity, own_log: OwnLog | None = None
    ) -> None:
        self.registry, self.worker, self.capacity = registry, worker, capacity
        self.own_log = own_log or OwnLog()
        self.outbox: list[OutboxRow] = []
        self._latest: dict[tuple[str, str, str], list[OutboxRow]] = {}
        """Records of topics that are coalesced, by topic, key and type."""
        self.operations: list[tuple[OperationRow, Operation]] = []
        self._timers: dict[tuple[str, str], TimerRow | None] = {}
        """By key and name; None: to be cancelled."""
        self._records: dict[type[Record], list[Record]] = {}
        self._leases: Counter[str] = Counter()

    def add(self, cause: Cause, decision: Decision[Any], sequence: int) -> int:
        """Take up a decision: all of it, or nothing where this raises. `sequence` is that of the key's last message;
        returns the new one."""
        key = cause.inbound.key
        messages = [*((key, event) for event in decision.events), *decision.commands]
        latest: dict[tuple[str, str, str], list[OutboxRow]] = {}
        outbox, sequence = self._outbox_rows(cause, messages, sequence, latest)
        counts: dict[str, int] = {}
        operations = [self._operation(cause, counts, operation) for operation in decision.operations]
        timers = [_timer(cause, timer) for timer in decision.timers]
        self.outbox += outbox
        self._latest.update(latest)
        self.operations += operations
        for name in decision.cancel:
            self._timers[key, name if isinstance(name, str) else name.__name__] = None
        self._timers.update({(row.key, row.name): row for row in timers})
        for record in decision.records:
            self._records.setdefault(type(record), []).append(record)
        return sequence

    def add_uncounted(self, cause: Cause, event: Event) -> None:
        """Take up an event that no row numbers."""
        rows, _ = self._outbox_rows(cause, [(cause.inbound.key, event)], 0, {}, numbered=False)
        self.outbox += rows

    def happened(self, inbound: Inbound, now: datetime) -> datetime:
        """When a message that is read again after a restore came first; now at other times, for senders set theirs."""
        return min(inbound.occurred or now, now) if self.own_log.is_open else now

    def refused_before(self, inbound: Inbound, seed: UUID) -> int | None:
        """While it catches up: the number of the refusal that was all that came of a command the first time. Its sender
        was told, so it stays refused."""
        if not self.own_log.is_open:
            return None
        refusal = self.registry.service.refusal.type
        if self.caused_before(inbound, seed) != [refusal]:
            return None
        return self.own_log.said_already(inbound.key, effect_id(seed, f"{refusal} {inbound.key}", 1))

    def caused_before(self, inbound: Inbound, seed: UUID) -> list[str]:
        """While it catches up: the types of what the message brought about the first time."""
        if not self.own_log.is_open:
            return []
        return self.own_log.caused(inbound.key, (inbound.id, inbound.identity), seed)

    def keep(self, cause: Cause, copy: Copy) -> None:
        """Copy what was accepted over HTTP to its topic. As all that follows from it, it has the id that its sender was
        told as `ce_causationid`. This service reads it there as known; if its database is restored to an earlier point,
        as new."""
        inbound, name = cause.inbound, self.registry.name
        envelope = Envelope(
            id=kept_id(name, inbound.id),
            type=copy.kind.type,
            version=copy.kind.version,
            source=kept_source(name),
            subject=inbound.key,
            time=inbound.occurred or cause.at,
            store=inbound.meta.store,
            correlation_id=cause.meta.correlation_id,
            causation_id=inbound.said_id,
            actor=inbound.meta.actor,
            traceparent=cause.meta.traceparent,
            epoch=self.own_log.epoch,
        )
        headers = orjson.dumps(attributes(envelope))
        self.outbox.append(OutboxRow(copy.kind.topic.name, inbound.key, headers, copy.body))

    def writes(self, states: Sequence[tuple[StateTable, Sequence[StateWrite]]]) -> Writes:
        return Writes(
            states=states,
            records=[(self.registry.records[kind], records) for kind, records in self._records.items()],
            timers=[row for row in self._timers.values() if row],
            cancelled=[name for name, row in self._timers.items() if row is None],
            operations=[row for row, _ in self.operations],
            outbox=[*self.outbox, *chain.from_iterable(self._latest.values())] if self._latest else self.outbox,
        )

    def _outbox_rows(
        self,
        cause: Cause,
        messages: Iterable[tuple[str, Message]],
        sequence: int,
        latest: dict[tuple[str, str, str], list[OutboxRow]],
        *,
        numbered: bool = True,
    ) -> tuple[list[OutboxRow], int]:
        """Key and message each. Events of topics that keep all are numbered per key; records of those that are
        coalesced go to `latest`."""
        rows = []
        counts: dict[str, int] = {}
        meta, emitted, versioned = cause.meta, self.registry.emitted, self.registry.versioned
        epoch, own_log = self.own_log.epoch, self.own_log if self.own_log.is_open else None
        before = epoch * SPAN
        for key, message in messages:
            if type(message) not in emitted:
                raise TypeError(f"{type(message).__qualname__} is not among what {self.registry.name} emits")
            counted = numbered and isinstance(message, Event) and not message.topic.compacted
            number = max(sequence, before) + 1 if counted else 0
            name = f"{message.type} {key}"
            counts[name] = counts.get(name, 0) + 1
            envelope = Envelope(
                id=effect_id(cause.seed, name, counts[name]),
                type=message.type,
                version=message.version,
                source=self.registry.name,
                subject=key,
                time=cause.at,
                store=meta.store,
                sequence=number,
                correlation_id=meta.correlation_id,
                causation_id=cause.inbound.said_id,
                actor=meta.actor,
                traceparent=meta.traceparent,
                epoch=epoch,
            )
            if own_log and counted:
                kind, body = f"{message.type}/{message.version}", encode(message)
                known = own_log.number_of(key, kind, body, envelope.id, sequence)
                if known is not None:
                    sequence = max(sequence, known)
                    continue
            sequence = number or sequence
            if message.topic.coalesced:
                latest[message.topic.name, key, message.type] = rows_of(envelope, message, versioned)
                continue
            rows += rows_of(envelope, message, versioned)
        return rows, sequence

    def _operation(self, cause: Cause, counts: dict[str, int], operation: Operation) -> tuple[OperationRow, Operation]:
        """The row, leased to this worker if it has room. Here a lease begins."""
        kind, destination, at = type(operation).__qualname__, operation.destination(), cause.at
        name = f"{kind} {operation.about()}"
        counts[name] = counts.get(name, 0) + 1
        lease = self._leases[kind] < self.capacity.lease_budget(kind, destination)
        self._leases[kind] += lease
        meta = cause.meta
        row = OperationRow(
            id=effect_id(cause.seed, name, counts[name]),
            key=cause.inbound.key,
            kind=kind,
            payload=codec.dump(operation),
            meta=(meta if meta.stays_actor() else replace(meta, actor="system")).dump(),
            due=at,
            requested_at=at,
            destination=destination,
            serial=operation.serial,
            lease=1 if lease else 0,
            leased_by=self.worker if lease else "",
            leased_until=at + timedelta(seconds=lease_seconds(operation)) if lease else None,
            expires=operation.deadline(at) if operation.deadline_is_strict else None,
            begun=lease and not operation.safe_to_repeat and self._leases[kind] <= self.capacity.call_budget(kind),
            occurred=cause.occurred,
        )
        return row, operation


def rows_of(envelope: Envelope, message: Message, versioned: Collection[type[Message]]) -> list[OutboxRow]:
    """One message, in all versions in which it is published."""
    if versioned and type(message) in versioned:
        return _in_versions(envelope, message, versioned)
    return [_outbox_row(envelope, message)]


def _outbox_row(envelope: Envelope, message: Message) -> OutboxRow:
    body = encode(message)
    if len(body) > MAX_BODY:
        raise ValueError(f"{message.type} would be larger than {MAX_BODY} bytes")
    return OutboxRow(message.topic.name, envelope.subject, orjson.dumps(attributes(envelope)), body)


def _in_versions(envelope: Envelope, message: Message, versioned: Collection[type[Message]]) -> list[OutboxRow]:
    """The newest first: a reader that knows several handles that one, for they have one id."""
    messages = [message]
    while isinstance(last := messages[-1], Event) and type(last) in versioned:
        messages.append(last.earlier())
    versions = ",".join(str(each.version) for each in messages)
    return [_outbox_row(replace(envelope, version=each.version, versions=versions), each) for each in messages]


def _timer(cause: Cause, timer: Timer) -> TimerRow:
    kind, name = type(timer.message).__qualname__, timer.named()
    id = effect_id(cause.seed, f"timer {name}", 0)
    occurred = timer.due - (cause.at - cause.occurred) if cause.occurred else None
    meta = replace(cause.meta, actor="system")  # when it is due, it fires by itself
    return TimerRow(cause.inbound.key, name, timer.due, kind, codec.dump(timer.message), meta.dump(), id, occurred)
