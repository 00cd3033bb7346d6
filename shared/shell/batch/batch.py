"""One batch: claim, load, decide, write. The middle of the shell; everything in it is one transaction.

`Batch.run` does steps 1 to 4. Its caller commits, which is step 5; only then is anything reported to the outside.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import structlog

from shared.contracts.problems import listed
from shared.core import (
    Command,
    Context,
    Decision,
    Message,
    Problem,
    Ref,
    Refusal,
    Refused,
    Report,
    mixed,
)
from shared.shell.batch.answers import Answers
from shared.shell.batch.claims import claim
from shared.shell.batch.dead_letters import dead_letter
from shared.shell.batch.effects import Cause, Effects
from shared.shell.batch.leases import Capacity
from shared.shell.batch.own_log import OwnLog
from shared.shell.batch.result import BatchResult, DecidedOtherwise, RetryFailed, StillWaits
from shared.shell.batch.rows import LoadedRow, LoadedRows
from shared.shell.batch.state_cache import StateCache
from shared.shell.batch.work import Work
from shared.shell.inbound.errors import describe, printable
from shared.shell.inbound.message import (
    Inbound,
    Malformed,
    Meta,
    Repeated,
    Undecodable,
    UnknownCommand,
    WrongEnvelope,
    named_store,
)
from shared.shell.inbound.parked_rows import bare_row, parked_row
from shared.shell.observability.tracing import child_of, context_of, span_of
from shared.shell.ports.rows import NEWER, Reply
from shared.shell.ports.store import BatchRefused, Conflict, StoreUnavailable, Transaction
from shared.shell.ports.tables import WrittenByNewer
from shared.shell.service.registry import HandlerRegistry

log = structlog.get_logger(__name__)


class Batch:
    """The handling of some messages in one transaction. Used once."""

    def __init__(
        self,
        registry: HandlerRegistry,
        worker: str,
        now: datetime,
        capacity: Capacity,
        cache: StateCache | None = None,
        own_log: OwnLog | None = None,
    ) -> None:
        self.registry, self.worker, self.now = registry, worker, now
        self.result = BatchResult()
        self._rows = LoadedRows(registry.service.storage.states, cache or StateCache(0))
        self._answers = Answers(registry.searches)
        self._effects = Effects(registry, worker, capacity, own_log)
        self._replies: list[Reply] = []
        self._parked_keys: dict[str, str] = {}

    async def run(self, tx: Transaction, inbounds: Sequence[Inbound]) -> BatchResult:
        fresh = await self._claim(tx, inbounds)
        work = [self._work_of(inbound) for inbound in fresh]
        await self._load(tx, [item for item in work if item.own])
        for item in work:
            await self._handle(tx, item)
        await self._write(tx)
        return self.result

    async def park(self, tx: Transaction, inbound: Inbound, error: str) -> BatchResult:
        """Park one message that the database refuses, without deciding anything."""
        for fresh in await self._claim(tx, [inbound]):
            self._park(fresh, "failed", error)
        await self._write(tx)
        return self.result

    async def park_place(self, tx: Transaction, inbound: Inbound, error: str) -> BatchResult:
        """The last resort for a message that cannot be stored: note where it was, and that it was not handled."""
        for fresh in await self._claim(tx, [inbound], by_key=False):
            self.result.parked.append(bare_row(fresh, error, self.now))
            self.result.decided.append((fresh, "parked"))
            if fresh.reply is not None:
                self.result.replies.append((fresh, fresh.id))
        await tx.park(self.result.parked)
        return self.result

    def cache_states(self) -> None:
        """Keep the states for later batches. Only after the commit."""
        self._rows.cache_states()

    # 1. Claim

    async def _claim(self, tx: Transaction, inbounds: Sequence[Inbound], *, by_key: bool = True) -> list[Inbound]:
        claimed = await claim(tx, self.registry, self.worker, inbounds, self.now, by_key=by_key)
        self._parked_keys = claimed.parked_keys
        self.result.duplicates += len(claimed.duplicates)
        self.result.reworded += claimed.reworded
        self.result.finished_serial |= any(
            inbound.operation and inbound.operation[0].serial for inbound in claimed.fresh
        )
        return claimed.fresh

    # 2. Load

    def _work_of(self, inbound: Inbound) -> Work:
        if isinstance(inbound.message, Undecodable | UnknownCommand | WrongEnvelope):
            return Work(inbound, None, None)
        core, handling = self.registry.handler(_kind_of(inbound.message))
        return Work(inbound, handling, Ref(core.kind, inbound.key))

    async def _load(self, tx: Transaction, work: Sequence[Work]) -> None:
        """First the messages' own rows, which are locked, then those that they name."""
        await self._rows.fetch(tx, {item.own for item in work if item.own}, lock=True)
        for item in work:
            # What raises here raises again when the message is decided, and is dealt with there.
            with contextlib.suppress(Exception):
                item.name_rows(self._own_row(item).current())
        await self._load_named(tx, work)
        if asking := [item for item in work if item.handling and item.handling.asks]:
            await self._ask(tx, asking)

    async def _ask(self, tx: Transaction, work: Sequence[Work]) -> None:
        for item in work:
            with contextlib.suppress(Exception):
                item.name_questions(self._own_row(item).current(), self._named_rows(item))
        await self._answers.find(tx, [question for item in work for question in item.asks])

    def _named_rows(self, item: Work) -> dict[Ref[Any], Any]:
        return {ref: self._rows[ref].current() for ref in (*item.locks, *item.reads)}

    async def _load_named(self, tx: Transaction, work: Sequence[Work]) -> None:
        await self._rows.fetch(tx, {ref for item in work for ref in item.locks}, lock=True)
        await self._rows.fetch(tx, {ref for item in work for ref in item.reads}, lock=False)

    def _own_row(self, item: Work) -> LoadedRow:
        assert item.own is not None
        return self._rows[item.own]

    # 3. Decide

    async def _handle(self, tx: Transaction, item: Work) -> None:
        inbound = item.inbound
        if inbound.key in self._parked_keys and inbound.parked is None:
            reason = NEWER if self._parked_keys[inbound.key] == NEWER else "behind"
            self._park(inbound, reason, _BEHIND[reason])
            return
        if isinstance(inbound.message, Undecodable):
            self._park(inbound, NEWER if inbound.message.newer else "failed", inbound.message.error)
            return
        if isinstance(inbound.message, UnknownCommand | WrongEnvelope):
            self._refuse_uncounted(inbound, inbound.message)
            return
        if isinstance(inbound.message, Repeated) and not issubclass(inbound.message.kind, Command):
            self._park(inbound, "failed", Repeated.TEXT)
            return
        try:
            # An earlier message of this batch may have changed the state since, so that it names more rows.
            item.name_rows(self._own_row(item).current())
            if item.locks or item.reads:
                await self._load_named(tx, [item])
            if item.handling and item.handling.asks:
                await self._ask(tx, [item])
            self._decide(item)
        except (Conflict, BatchRefused, StoreUnavailable):
            raise
        except WrittenByNewer as unreadable:
            self._park(inbound, NEWER, str(unreadable))
        except Exception as error:
            self._park(inbound, "failed", describe(error))

    def _decide(self, item: Work) -> None:
        inbound, message, row = item.inbound, item.inbound.message, self._own_row(item)
        self.now += timedelta(microseconds=1)  # so that what follows sorts in the order of the messages
        seed = mixed(inbound.identity, self.registry.salt)
        if isinstance(message, Malformed):
            problems = (*message.problems, *self._also_wrong(item, message, seed))
            self._refuse(item, seed, _malformed(problems))
            return
        if isinstance(message, Repeated):
            self._refuse(item, seed, Refused("repeated_id", Repeated.TEXT))
            return
        if isinstance(message, Command) and (number := self._effects.refused_before(inbound, seed)) is not None:
            row.sequence, row.dirty = max(row.sequence, number), True
            self.result.refused += 1
            self.result.decided.append((inbound, "refused"))
            return
        context = self._context(item, seed)
        assert item.handling is not None
        answer = item.handling.function(row.current(), message, context)
        if isinstance(answer, Refused):
            if not isinstance(message, Command):
                raise TypeError(f"{type(message).__qualname__} is a fact: it cannot be refused ({answer.code})")
            self._check_first_answer(item, seed, answer)
            self._refuse(item, seed, answer)
        else:
            self._accept(item, seed, answer)

    def _context(self, item: Work, seed: UUID) -> Context:
        inbound, row, at = item.inbound, self._own_row(item), self.now
        return Context(
            at,
            inbound.key,
            seed,
            actor=inbound.meta.actor,
            store=_store_of(inbound, row, row.current()),
            rows=self._named_rows(item),
            answers=self._answers.of(item.asks) if item.asks else None,
            operation=inbound.operation[1] if inbound.operation else None,
            attempts=inbound.attempts,
            calls=inbound.operation[0].attempts if inbound.operation else 0,
            candidate=inbound.candidate,
            epoch=self._effects.own_log.epoch,
            happened=self._effects.happened(inbound, at),
        )

    def _also_wrong(self, item: Work, message: Malformed, seed: UUID) -> list[Problem]:
        """What its core finds in the part that can be read."""
        readable, handling = message.readable, item.handling
        if readable is None or handling is None or handling.also_wrong is None:
            return []
        try:
            context, state = self._context(item, seed), self._own_row(item).current()
            return handling.also_wrong(state, readable.message, readable.unread, context)
        except WrittenByNewer:
            raise
        except Exception as bug:  # it is refused anyway
            log.exception("readable part cannot be checked", message=str(item.inbound.id), error=type(bug).__name__)
            return []

    def _accept(self, item: Work, seed: UUID, decision: Decision[Any]) -> None:
        inbound, row = item.inbound, self._own_row(item)
        for ref in decision.other_states:
            if ref not in item.locks:
                raise TypeError(f"{ref} was changed, but {type(inbound.message).__qualname__} does not lock it")
        cause = self._cause(inbound, seed, _store_of(inbound, row, decision.state))
        sequence = self._effects.add(cause, decision, row.sequence)
        # Nothing above changed the batch, so a core that raised has left no trace.
        if decision.state is not row.current() or sequence != row.sequence:
            row.state, row.sequence, row.dirty = decision.state, sequence, True
        for ref, state in decision.other_states.items():
            other = self._rows[ref]
            other.state, other.dirty = state, True
        if inbound.copy is not None:
            self._effects.keep(cause, inbound.copy)
        self.result.handled += 1
        self.result.decided.append((inbound, "handled"))
        self._reply(inbound, inbound.id)

    def _check_first_answer(self, item: Work, seed: UUID, refused: Refused) -> None:
        """After a restore: raises where a command that may begin its row had an effect the first time, and is refused
        now with rows that it reads, which staff can set right. What needs it (the payment of an order) waits behind it.
        A later command of the row may lack what would wait behind itself: it is refused."""
        if item.reads and item.handling and item.handling.begins:
            caused = self._effects.caused_before(item.inbound, seed)
            before = [it for it in caused if it != self.registry.service.refusal.type]
            if before:
                raise DecidedOtherwise(before, refused)

    def _refuse(self, item: Work, seed: UUID, refused: Refused) -> None:
        """A command by Kafka is answered on the service's topic, one by HTTP in the response."""
        inbound, row = item.inbound, self._own_row(item)
        if inbound.reply is None:
            kind = _kind_of(inbound.message)
            assert issubclass(kind, Message)
            cause = self._cause(inbound, seed, _store_of(inbound, row, row.current()))
            event = self._refusal(inbound, kind.type, refused)
            row.sequence = self._effects.add(cause, Decision(row.current(), events=[event]), row.sequence)
            row.dirty = True
        self.result.refused += 1
        self.result.decided.append((inbound, "refused"))
        self._reply(inbound, refused)

    def _refuse_uncounted(self, inbound: Inbound, command: UnknownCommand | WrongEnvelope) -> None:
        """No core, and so no row, counts this refusal."""
        name = printable(command.type, 80)
        if isinstance(command, WrongEnvelope):
            refused = _malformed(command.problems)
        else:
            text = f"{self.registry.name} knows no command {name}, version {command.version}."
            refused = Refused("unknown_command", text)
        event = self._refusal(inbound, name, refused)
        self.now += timedelta(microseconds=1)
        cause = self._cause(inbound, mixed(inbound.identity, self.registry.salt), inbound.meta.store)
        self._effects.add_uncounted(cause, event)
        self.result.refused += 1
        self.result.decided.append((inbound, "refused"))

    def _refusal(self, inbound: Inbound, command: str, refused: Refused) -> Refusal:
        return self.registry.service.refusal(
            command=command,
            command_id=inbound.said_id,
            code=refused.code,
            text=refused.text,
            problems=tuple(refused.problems),
        )

    def _cause(self, inbound: Inbound, seed: UUID, store: str) -> Cause:
        """The sender of a command is the actor of what it does. What follows from that is the system's doing, except
        that staff and API clients stay the actor throughout."""
        meta = inbound.meta
        follows = not isinstance(inbound.message, (*_COMMANDS, Report))
        actor = "system" if follows and not meta.stays_actor() else meta.actor
        span = span_of(inbound.id, self.registry.salt)
        trace = child_of(context_of(meta.traceparent, inbound.key), span)
        return Cause(inbound, seed, self.now, Meta(meta.correlation_id or str(inbound.id), store, trace, actor))

    def _park(self, inbound: Inbound, reason: str, error: str) -> None:
        if inbound.parked is not None:
            raise (StillWaits if reason == NEWER else RetryFailed)(error)
        if inbound.reply is not None and isinstance(inbound.message, Command):
            # The caller is told, and can send it again: nothing is parked.
            refused = _PASSING.get(reason) or Refused("internal", error)
            self.result.decided.append((inbound, "refused"))
            self.result.passing[inbound.identity] = refused
            self.result.replies.append((inbound, refused))
            return
        self._parked_keys.setdefault(inbound.key, reason)
        self.result.decided.append((inbound, "parked"))
        self.result.parked.append(parked_row(inbound, reason, error, self.now))
        if inbound.record is not None and reason != NEWER:
            source = inbound.record
            copy = dead_letter(self.registry.name, inbound.key, source.place, source.headers, source.body, error)
            self._effects.outbox.append(copy)
        self._reply(inbound, inbound.id)

    def _reply(self, inbound: Inbound, answer: Refused | UUID) -> None:
        """For the caller of a command by HTTP: now, and again when the command is repeated."""
        if inbound.reply is None:
            return
        self.result.replies.append((inbound, answer))
        code, text, problems = "", "", b"[]"
        if isinstance(answer, Refused):
            code, text = answer.code, answer.text
            problems = orjson.dumps([problem.model_dump() for problem in answer.problems])
        self._replies.append(Reply(inbound.id, inbound.fingerprint, code, text, problems))

    # 4. Write

    async def _write(self, tx: Transaction) -> None:
        result = self.result
        writes = self._effects.writes([*self._rows.changed(self.now)])
        held = await tx.write(writes)
        if result.parked:
            await tx.park(result.parked)
        if result.passing:
            await tx.forget(result.passing)
        if self._replies:
            await tx.keep_replies(self._replies)
        result.new_keys = self._rows.new_keys()
        result.leased = [pair for pair in self._effects.operations if pair[0].id in held]
        result.unleased = len(self._effects.operations) - len(held)
        result.published = len(writes.outbox)


_COMMANDS = (Command, Malformed, UnknownCommand, WrongEnvelope)
_BEHIND = {
    "behind": "an earlier message of this key is parked",
    NEWER: "an earlier message of this key waits for a newer build",
}
_PASSING = {
    "behind": Refused("parked", "This key waits: an earlier message of it is parked."),
    NEWER: Refused("newer", "This was changed by a newer version of orderbus. Try again when the update is complete."),
}


def _malformed(problems: Sequence[Problem]) -> Refused:
    return Refused("malformed", f"The message is invalid: {listed(problems)}."[:2000], problems)


def _kind_of(message: object) -> type[Any]:
    return message.kind if isinstance(message, Malformed | Repeated) else type(message)


def _store_of(inbound: Inbound, row: LoadedRow, state: Any) -> str:
    """The store that the state tells; before there is a state, the message's own, or else its header's."""
    return row.store(state) or named_store(inbound.message) or inbound.meta.store
