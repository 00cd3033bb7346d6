"""One batch: claim, load, decide, write. The middle of the shell; everything in it is one transaction.

See DESIGN: "The shell's one transaction". `Batch.run` does steps 1 to 4; the caller's transaction is step 5.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from shared.contracts.envelope import MAX_BODY, Envelope, attributes, encode
from shared.core import (
    Command,
    Context,
    Decision,
    Event,
    Handling,
    Message,
    Operation,
    Record,
    Ref,
    Refused,
    Report,
    Timer,
    codec,
    effect_id,
    mixed,
)
from shared.core.fast_dataclasses import replace
from shared.shell.batch.claims import claim
from shared.shell.batch.dead_letters import dead_letter
from shared.shell.batch.state_cache import Recent
from shared.shell.inbound.errors import describe
from shared.shell.inbound.message import Inbound, Malformed, Meta, Repeated, Undecodable, named_store
from shared.shell.inbound.parked_rows import bare_row, parked_row
from shared.shell.observability.tracing import child_of, context_of, span_of
from shared.shell.ports.store import (
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
    Transaction,
    Writes,
)
from shared.shell.ports.tables import StateTable
from shared.shell.service.registry import HandlerRegistry

LeaseBudget = Callable[[str, str], int]
"""How many more leases this worker takes for a kind of operation and a destination."""
CallBudget = Callable[[str], int]
"""How many more calls of a kind this worker can begin at once."""


class RetryFailed(Exception):
    """A parked message could not be handled this time either. Carries the reason for staff."""


@dataclass(slots=True)
class LoadedRow:
    """A row in the batch's hands."""

    table: StateTable
    key: str
    version: int
    sequence: int
    stored: bytes | str | None
    locked: bool
    parsed: bool = False
    state: Any = None
    dirty: bool = False

    def current(self) -> Any:
        if not self.parsed:
            self.state = None if self.stored is None else codec.load(self.table.kind, self.stored)
            self.parsed = True
        return self.state


@dataclass(slots=True)
class BatchResult:
    """What a committed batch leaves to be done: answers to give, operations whose lease is ours, and counts."""

    replies: list[tuple[Inbound, Refused | UUID]] = field(default_factory=list)
    leased: list[tuple[OperationRow, Operation]] = field(default_factory=list)
    unleased: int = 0
    published: int = 0
    handled: int = 0
    duplicates: int = 0
    reworded: list[Inbound] = field(default_factory=list)
    """Duplicates from our own services whose body was another one: decided again by a database that was set back."""
    refused: int = 0
    parked: list[ParkedRow] = field(default_factory=list)
    passing: dict[UUID, Refused] = field(default_factory=dict)
    """Refusals by identity that are not kept: the same command, sent again later, is handled as if it were new."""
    finished_serial: bool = False
    earliest_timer: datetime | None = None
    duplicate_ids: set[UUID] = field(default_factory=set)
    answered: list[tuple[Inbound, str]] = field(default_factory=list)
    """Every message that was not a duplicate, with what became of it: `handled`, `refused` or `parked`."""
    begun: set[str] = field(default_factory=set)
    """Keys that had no row before."""


@dataclass(slots=True)
class _Work:
    inbound: Inbound
    handling: Handling | None
    main: Ref[Any] | None
    locks: tuple[Ref[Any], ...] = ()
    reads: tuple[Ref[Any], ...] = ()

    def name_rows(self, state: Any) -> None:
        """Ask which rows the message needs beside its own, now that the state is known."""
        message, key, handling = self.inbound.message, self.inbound.key, self.handling
        if handling is None or isinstance(message, Malformed | Repeated):
            return
        if handling.locks:
            self.locks = tuple(handling.locks(message, key, state))
        if handling.reads:
            self.reads = tuple(handling.reads(message, key, state))


class Batch:
    """The handling of some messages in one transaction. Used once."""

    def __init__(
        self,
        registry: HandlerRegistry,
        worker: str,
        now: datetime,
        lease_budget: LeaseBudget,
        recent: Recent | None = None,
        call_budget: CallBudget = lambda kind: 0,
    ) -> None:
        self.registry = registry
        self._recent = recent or Recent(0)
        self.worker = worker
        self.now = now
        self.lease_budget, self.call_budget = lease_budget, call_budget
        self._leases: Counter[str] = Counter()
        self.done = BatchResult()
        self._rows: dict[Ref[Any], LoadedRow] = {}
        self._outbox: list[OutboxRow] = []
        self._operations: list[tuple[OperationRow, Operation]] = []
        self._timers: dict[tuple[str, str], TimerRow | None] = {}
        self._records: dict[type[Record], list[Record]] = {}
        self._answers: list[Answer] = []
        self._blocked: set[str] = set()

    async def run(self, tx: Transaction, inbounds: Sequence[Inbound]) -> BatchResult:
        fresh = await self._claim(tx, inbounds)
        work = [self._prepare(inbound) for inbound in fresh]
        await self._load(tx, [item for item in work if item.main])
        for item in work:
            await self._answer(tx, item)
        await self._write(tx)
        return self.done

    def remember(self) -> None:
        """Keep the states for later batches. Only after the commit: until then they are nobody's truth."""
        for ref, loaded in self._rows.items():
            if loaded.parsed and loaded.state is not None:
                self._recent.keep(ref, loaded.version + loaded.dirty, loaded.state)

    async def set_aside(self, tx: Transaction, inbound: Inbound, error: str) -> BatchResult:
        """Park one message that the database refuses, without deciding anything."""
        for fresh in await self._claim(tx, [inbound]):
            self._park(fresh, "failed", error)
        await self._write(tx)
        return self.done

    async def note_place(self, tx: Transaction, inbound: Inbound, error: str) -> BatchResult:
        """The last resort: note where a message was that cannot be stored, and that it was not handled."""
        for fresh in await self._claim(tx, [inbound], by_key=False):
            self.done.parked.append(bare_row(fresh, error, self.now))
            self.done.answered.append((fresh, "parked"))
            if fresh.reply is not None:
                self.done.replies.append((fresh, fresh.id))
        await tx.park(self.done.parked)
        return self.done

    # 1. Claim

    async def _claim(self, tx: Transaction, inbounds: Sequence[Inbound], *, by_key: bool = True) -> list[Inbound]:
        claimed = await claim(tx, self.registry, self.worker, inbounds, self.now, by_key=by_key)
        self._blocked = claimed.blocked
        self.done.duplicates += len(claimed.duplicates)
        self.done.duplicate_ids |= {inbound.identity for inbound in claimed.duplicates}
        self.done.reworded += claimed.reworded
        self.done.finished_serial |= any(inbound.operation and inbound.operation[0].serial for inbound in claimed.fresh)
        return claimed.fresh

    # 2. Load

    def _prepare(self, inbound: Inbound) -> _Work:
        """A message and its own row; what nobody can read has none."""
        message = inbound.message
        if isinstance(message, Undecodable):
            return _Work(inbound, None, None)
        core, handling = self.registry.handler(
            message.kind if isinstance(message, Malformed | Repeated) else type(message)
        )
        return _Work(inbound, handling, Ref(core.kind, inbound.key))

    async def _load(self, tx: Transaction, work: Sequence[_Work]) -> None:
        """First the messages' own rows, then those that they name; each table in key order."""
        await self._fetch(tx, {item.main for item in work if item.main}, lock=True)
        for item in work:
            # What raises here raises again when the message's turn comes, and is dealt with there.
            with contextlib.suppress(Exception):
                item.name_rows(self._main(item).current())
        await self._fetch_named(tx, work)

    async def _fetch_named(self, tx: Transaction, work: Sequence[_Work]) -> None:
        await self._fetch(tx, {ref for item in work for ref in item.locks}, lock=True)
        await self._fetch(tx, {ref for item in work for ref in item.reads}, lock=False)

    async def _fetch(self, tx: Transaction, refs: set[Ref[Any]], *, lock: bool) -> None:
        missing = [ref for ref in refs if not self._has(ref, lock)]
        for table in self.registry.service.storage.states if missing else ():
            keys = sorted(ref.key for ref in missing if ref.kind is table.kind)
            if keys:
                known = self._recent.states(table.kind, keys)
                versions = {key: version for key, (version, _) in known.items()}
                found = await tx.load(table, keys, lock=lock, known=versions)
                for key in keys:
                    self._rows[Ref(table.kind, key)] = _loaded_row(table, key, found.get(key), lock, known.get(key))

    def _main(self, item: _Work) -> LoadedRow:
        assert item.main is not None
        return self._rows[item.main]

    def _has(self, ref: Ref[Any], lock: bool) -> bool:
        loaded = self._rows.get(ref)
        return loaded is not None and (loaded.locked or not lock)

    # 3. Decide

    async def _answer(self, tx: Transaction, item: _Work) -> None:
        inbound = item.inbound
        if inbound.key in self._blocked and inbound.parked is None:
            self._park(inbound, "behind", "an earlier message of this key is parked")
            return
        if isinstance(inbound.message, Undecodable):
            self._park(inbound, "failed", inbound.message.error)
            return
        if isinstance(inbound.message, Repeated) and not issubclass(inbound.message.kind, Command):
            self._park(inbound, "failed", Repeated.TEXT)
            return
        try:
            # The state may have changed since loading, by an earlier message of this batch, and name more rows.
            item.name_rows(self._main(item).current())
            if item.locks or item.reads:
                await self._fetch_named(tx, [item])
            self._decide(item)
        except (Conflict, BatchRefused, StoreUnavailable):
            raise
        except Exception as error:
            self._park(inbound, "failed", describe(error))

    def _decide(self, item: _Work) -> None:
        inbound, message = item.inbound, item.inbound.message
        loaded = self._main(item)
        self.now += timedelta(microseconds=1)  # so that what follows sorts in the order of the messages
        seed = mixed(inbound.identity, self.registry.salt)
        if isinstance(message, Malformed):
            self._refuse(item, seed, Refused("malformed", "The message is not right.", message.problems))
            return
        if isinstance(message, Repeated):
            self._refuse(item, seed, Refused("repeated_id", Repeated.TEXT))
            return
        context = Context(
            self.now,
            inbound.key,
            seed,
            actor=inbound.meta.actor,
            store=self._store_of(inbound, loaded, loaded.current()),
            rows={ref: self._rows[ref].current() for ref in (*item.locks, *item.reads)},
            operation=inbound.operation[1] if inbound.operation else None,
            attempts=inbound.attempts,
            calls=inbound.operation[0].attempts if inbound.operation else 0,
        )
        assert item.handling is not None
        answer = item.handling.function(loaded.current(), message, context)
        if isinstance(answer, Refused):
            if not isinstance(message, Command):
                raise TypeError(f"{type(message).__qualname__} is a fact: it cannot be refused ({answer.code})")
            self._refuse(item, seed, answer)
        else:
            self._accept(item, seed, answer)

    def _accept(self, item: _Work, seed: UUID, decision: Decision[Any]) -> None:
        inbound, loaded = item.inbound, self._main(item)
        for ref in decision.other_states:
            if ref not in item.locks:
                raise TypeError(f"{ref} was changed, but {type(inbound.message).__qualname__} does not lock it")
        meta = self._meta_after(inbound, self._store_of(inbound, loaded, decision.state))
        outbox, sequence = self._outbox_rows(inbound, seed, loaded, decision, meta)
        counts: dict[str, int] = {}
        operations = [self._operation(inbound, seed, counts, operation, meta) for operation in decision.operations]
        timers = [self._timer(inbound, seed, timer, meta) for timer in decision.timers]
        # Nothing above changed the batch, so a core that raised has left no trace.
        if decision.state is not loaded.current() or sequence != loaded.sequence:
            loaded.state, loaded.sequence, loaded.dirty = decision.state, sequence, True
        for ref, state in decision.other_states.items():
            beside = self._rows[ref]
            beside.state, beside.dirty = state, True
        self._outbox += outbox
        self._operations += operations
        for name in decision.cancel:
            self._timers[inbound.key, name if isinstance(name, str) else name.__name__] = None
        self._timers.update({(row.key, row.name): row for row in timers})
        for record in decision.records:
            self._records.setdefault(type(record), []).append(record)
        self.done.handled += 1
        self.done.answered.append((inbound, "handled"))
        self._reply(inbound, inbound.id)

    def _refuse(self, item: _Work, seed: UUID, refused: Refused) -> None:
        """A refusal by topic is answered on the service's topic; one by HTTP by the response."""
        inbound, loaded = item.inbound, self._main(item)
        if inbound.reply is None:
            message = inbound.message
            kind = message.kind if isinstance(message, Malformed | Repeated) else type(message)
            store = self._store_of(inbound, loaded, loaded.current())
            assert issubclass(kind, Message)
            event = self.registry.service.refusal(
                command=kind.type,
                command_id=str(inbound.id),
                code=refused.code,
                text=refused.text,
                problems=tuple(refused.problems),
            )
            rows, sequence = self._outbox_rows(
                inbound, seed, loaded, Decision(loaded.current(), events=[event]), self._meta_after(inbound, store)
            )
            self._outbox += rows
            loaded.sequence, loaded.dirty = sequence, True
        self.done.refused += 1
        self.done.answered.append((inbound, "refused"))
        self._reply(inbound, refused)

    # 4. Write

    async def _write(self, tx: Transaction) -> None:
        timers = [row for row in self._timers.values() if row]
        writes = Writes(
            states=[(table, rows) for table in self.registry.service.storage.states if (rows := self._changed(table))],
            records=[(self.registry.records[kind], records) for kind, records in self._records.items()],
            timers=timers,
            cancelled=[name for name, row in self._timers.items() if row is None],
            operations=[row for row, _ in self._operations],
            outbox=self._outbox,
        )
        held = await tx.write(writes)
        if self.done.parked:
            await tx.park(self.done.parked)
        if self.done.passing:
            await tx.forget(self.done.passing)
        if self._answers:
            await tx.keep_answers(self._answers)
        self.done.earliest_timer = min((row.due for row in timers), default=None)
        self.done.leased = [pair for pair in self._operations if pair[0].id in held]
        self.done.unleased = len(self._operations) - len(held)
        self.done.published = len(writes.outbox)

    def _changed(self, table: StateTable) -> list[StateWrite]:
        """In key order, as they were locked."""
        writes = [self._write_of(loaded) for loaded in self._rows.values() if loaded.dirty and loaded.table is table]
        return sorted(writes, key=lambda write: write.row.key)

    def _write_of(self, loaded: LoadedRow) -> StateWrite:
        data = None if loaded.state is None else codec.dump(loaded.state)
        columns = {} if loaded.state is None else loaded.table.columns(loaded.state)
        if not loaded.version:
            self.done.begun.add(loaded.key)
        return StateWrite(StateRow(loaded.key, loaded.version + 1, loaded.sequence, data), columns, self.now)

    # What a decision becomes

    def _outbox_rows(
        self, inbound: Inbound, seed: UUID, loaded: LoadedRow, decision: Decision[Any], meta: Meta
    ) -> tuple[list[OutboxRow], int]:
        sequence = loaded.sequence
        rows = []
        counts: dict[str, int] = {}
        messages: Iterable[tuple[str, Message]] = [(inbound.key, event) for event in decision.events]
        emitted = self.registry.emitted
        for key, message in [*messages, *decision.commands]:
            if emitted is not None and type(message) not in emitted:
                raise TypeError(f"{type(message).__qualname__} is not among what {self.registry.name} emits")
            counted = isinstance(message, Event) and not message.topic.compacted
            sequence += counted
            name = f"{message.type} {key}"
            counts[name] = counts.get(name, 0) + 1
            envelope = Envelope(
                id=effect_id(seed, name, counts[name]),
                type=message.type,
                version=message.version,
                source=self.registry.name,
                subject=key,
                time=self.now,
                store=meta.store,
                sequence=sequence if counted else 0,
                correlation_id=meta.correlation_id,
                causation_id=str(inbound.id),
                actor=meta.actor,
                traceparent=meta.traceparent,
            )
            headers = orjson.dumps(attributes(envelope))
            body = encode(message)
            if len(body) > MAX_BODY:
                raise ValueError(f"{message.type} would be larger than {MAX_BODY} bytes")
            rows.append(OutboxRow(message.topic.name, key, headers, body))
        return rows, sequence

    def _operation(
        self, inbound: Inbound, seed: UUID, counts: dict[str, int], operation: Operation, meta: Meta
    ) -> tuple[OperationRow, Operation]:
        kind, destination = type(operation).__qualname__, operation.destination()
        name = f"{kind} {operation.about()}"
        counts[name] = counts.get(name, 0) + 1
        lease = self._leases[kind] < self.lease_budget(kind, destination)
        self._leases[kind] += lease
        row = OperationRow(
            id=effect_id(seed, name, counts[name]),
            key=inbound.key,
            kind=kind,
            payload=codec.dump(operation),
            meta=(meta if meta.actor.startswith("staff") else replace(meta, actor="system")).dump(),
            due=self.now,
            wanted=self.now,
            destination=destination,
            serial=operation.serial,
            lease=1 if lease else 0,
            leased_by=self.worker if lease else "",
            leased_until=self.now + timedelta(seconds=lease_seconds(operation)) if lease else None,
            expires=operation.deadline(self.now) if operation.deadline_is_strict else None,
            begun=lease and not operation.safe_to_repeat and self._leases[kind] <= self.call_budget(kind),
            occurred=self._occurred(inbound),
        )
        return row, operation

    def _store_of(self, inbound: Inbound, loaded: LoadedRow, state: Any) -> str:
        """The store that the state says; before there is a state, what the message itself says, or else its header."""
        known = "" if state is None else loaded.table.store(loaded.key, state)
        return known or named_store(inbound.message) or inbound.meta.store

    def _meta_after(self, inbound: Inbound, store: str) -> Meta:
        """What goes on with the messages that this one causes. Who gave a command did what it says; of what follows
        from that, a person of the staff stays the cause, while a customer's order goes its way by itself."""
        meta = inbound.meta
        by_itself = not isinstance(inbound.message, Command | Malformed | Report)
        actor = "system" if by_itself and not meta.actor.startswith("staff") else meta.actor
        span = span_of(inbound.id, self.registry.salt)
        trace = child_of(context_of(meta.traceparent, inbound.key), span)
        return Meta(meta.correlation_id or str(inbound.id), store, trace, actor)

    def _occurred(self, inbound: Inbound) -> datetime | None:
        return min(inbound.occurred, self.now) if inbound.occurred else None

    def _timer(self, inbound: Inbound, seed: UUID, timer: Timer, meta: Meta) -> TimerRow:
        kind, name = type(timer.message).__qualname__, timer.named()
        identity = effect_id(seed, f"timer {name}", 0)
        began = self._occurred(inbound)
        occurred = timer.due - (self.now - began) if began else None
        payload = codec.dump(timer.message)
        return TimerRow(inbound.key, name, timer.due, kind, payload, _later(meta), identity, occurred)

    def _reply(self, inbound: Inbound, answer: Refused | UUID) -> None:
        if inbound.reply is None:
            return
        self.done.replies.append((inbound, answer))
        code, text, problems = "", "", b"[]"
        if isinstance(answer, Refused):
            code, text = answer.code, answer.text
            problems = orjson.dumps([problem.model_dump() for problem in answer.problems])
        self._answers.append(Answer(inbound.id, inbound.fingerprint, code, text, problems))

    def _park(self, inbound: Inbound, reason: str, error: str) -> None:
        if inbound.parked is not None:
            raise RetryFailed(error)
        if inbound.reply is not None and isinstance(inbound.message, Command):
            # Whoever sent it learns of it and can send it again: nothing is set aside.
            waits = Refused("parked", "This key waits for staff: an earlier message of it is parked.")
            refused = waits if reason == "behind" else Refused("internal", error)
            self.done.answered.append((inbound, "refused"))
            self.done.passing[inbound.identity] = refused
            self.done.replies.append((inbound, refused))
            return
        self._blocked.add(inbound.key)
        self.done.answered.append((inbound, "parked"))
        self.done.parked.append(parked_row(inbound, reason, error, self.now))
        if inbound.record is not None:
            source = inbound.record
            letter = dead_letter(self.registry.name, inbound.key, source.place, source.headers, source.body, error)
            self._outbox.append(letter)
        self._reply(inbound, inbound.id)


def _loaded_row(
    table: StateTable, key: str, row: StateRow | None, locked: bool, known: tuple[int, Any] | None
) -> LoadedRow:
    """A row as it was loaded, with the state that is remembered where it still is that one."""
    if row is None:
        return LoadedRow(table, key, 0, 0, None, locked)
    if known is not None and known[0] == row.version:
        return LoadedRow(table, key, row.version, row.sequence, None, locked, True, known[1])
    return LoadedRow(table, key, row.version, row.sequence, row.data, locked)


def _later(meta: Meta) -> bytes:
    """The same for timers: when they are due, nobody is behind them."""
    return replace(meta, actor="system").dump()


def lease_seconds(operation: Operation | type[Operation]) -> float:
    """Long enough for a look at the outside's books and a call, after it waited its turn; a dead worker's lease ends by
    its next start, or by this."""
    return operation.timeout * 2 + 30
