"""Each mutant is a context manager that puts one known fault into the real code and takes it out again.

To add one: write a function that yields with the fault in place, and decorate it with `@mutant("what it is")`; give the
level of faults at which it is looked for where that is not `many`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from services.checkout.domain.change import OrderChange
from services.checkout.domain.expiry import expire
from services.checkout.domain.order import Order, PaymentOverdue, orders
from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Item, StockHold
from services.fulfillment.domain.kinds import discord_role
from services.payments.domain.operations import CancelCharge, ChargeCard, ChargeReported, FindCharge
from services.payments.domain.payment import Payment, Refund, payments
from shared.contracts.payments import PaymentDeclined, RefundPayment
from shared.contracts.values import OrderStatus
from shared.core import Context, Core, Decision, NoOutcome, Operation, Outcome, Refused, Unknown
from shared.shell.batch.batch import Batch
from shared.shell.batch.batcher import Batcher
from shared.shell.inbound.message import Inbound
from shared.shell.inbound.records import inbound_of
from shared.shell.operations import rules
from shared.shell.operations.attempts import Attempts
from shared.shell.ports.bus import BusRecord, Sent
from shared.shell.ports.rows import OperationRow, OutboxRow, StateWrite, TimerRow
from shared.shell.ports.store import Writes
from shared.shell.reader import Reader
from shared.shell.relay.marks import LowMark
from shared.simulation.bus import MemorySink
from shared.simulation.memory_database import INBOX, PARKED, Stored
from shared.simulation.memory_transaction import MemoryTransaction


@dataclass(frozen=True, slots=True)
class Mutant:
    """A known bug, and the level of faults at which it is searched for."""

    name: str
    put: Callable[[], AbstractContextManager[None]]
    level: str
    orders: int
    slow: bool
    """Looked for only with ORDERBUS_LONG=1: it takes more than about three seconds."""
    seeds: range
    """The seeds in which it can be seen."""


MUTANTS: dict[str, Mutant] = {}


def mutant(
    name: str, *, level: str = "many", orders: int = 20, slow: bool = False, seeds: range = range(1, 10_000)
) -> Callable[[Callable[[], Iterator[None]]], Mutant]:
    def register(function: Callable[[], Iterator[None]]) -> Mutant:
        made = MUTANTS[name] = Mutant(name, contextmanager(function), level, orders, slow, seeds)
        return made

    return register


@contextmanager
def instead(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    """An attribute exchanged for a while."""
    before = owner.__dict__[name]
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def handlers_around(
    kinds: Collection[type[Any]], wrap: Callable[[Any], Any], core: Core[Any] = payments
) -> Iterator[None]:
    """Some handlers of a core wrapped for a while."""
    before = dict(core.handlers)
    for kind in kinds:
        core.handlers[kind] = replace(before[kind], function=wrap(before[kind].function))
    try:
        yield
    finally:
        core.handlers.update(before)


# What other systems give


@mutant("a role is removed although another order gives it", seeds=range(10_000))
def role_removed_for_all() -> Iterator[None]:
    with instead(discord_role, "other_giver", lambda removal, entered: None):
        yield


# The shell's one transaction


@mutant("the inbox is skipped", slow=True)
def no_inbox() -> Iterator[None]:
    async def claim(
        self: MemoryTransaction, messages: Mapping[UUID, int], keys: Collection[str], at: datetime
    ) -> tuple[set[UUID], dict[str, str]]:
        for id, content in messages.items():
            self.put(INBOX, id, (at, content))
        return set(messages), await self.parked_keys(set(keys))

    with instead(MemoryTransaction, "claim", claim):
        yield


@mutant("offsets are committed before the work")
def offsets_first() -> Iterator[None]:
    async def take(self: Reader, records: Sequence[BusRecord]) -> None:
        inbounds = [inbound for record in records if (inbound := inbound_of(self.registry, record))]
        self._handled.update({(record.topic, record.partition): record.offset + 1 for record in records})
        await self.commit()
        await self.batcher.put(inbounds)

    with instead(Reader, "_take", take):
        yield


@mutant("the outbox is written in another transaction")
def outbox_apart() -> Iterator[None]:
    write = Batch._write

    async def without_outbox(self: Batch, tx: Any) -> None:
        rows, self._effects.outbox = self._effects.outbox, []
        await write(self, tx)
        self._effects.outbox = rows

    async def transact(self: Batcher, inbounds: Sequence[Inbound], unanswered: Any = None) -> None:
        batch = Batch(self.registry, self.worker, self.clock.now(), self.capacity)
        async with self.store.begin() as tx:
            result = await batch.run(tx, inbounds)
        if rows := batch._effects.outbox:
            async with self.store.begin() as tx:
                await tx.write(Writes(outbox=rows))
            result.published = len(rows)
        self._committed(inbounds, result)

    with instead(Batch, "_write", without_outbox), instead(Batcher, "_transact", transact):
        yield


@mutant("the state is saved without the version guard", slow=True)
def no_version_guard() -> Iterator[None]:
    """Rows that exist are locked from load to commit, so that the guard decides only where two write the first row of a
    key: a row that is not there cannot be locked."""

    async def save(self: MemoryTransaction, table: Any, rows: Sequence[StateWrite]) -> None:
        await self.database.pause("save")
        for write in rows:
            data = write.row.data.decode() if isinstance(write.row.data, bytes) else write.row.data
            await self.database.locks.take((table.table.name, write.row.key), self)
            row = Stored(replace(write.row, data=data), dict(write.columns), write.at)
            self.put(table.table.name, write.row.key, row)

    with instead(MemoryTransaction, "save", save):
        yield


@mutant("a parked key is overtaken by its later messages")
def parked_overtaken() -> Iterator[None]:
    async def nothing_parked(self: MemoryTransaction, keys: set[str]) -> dict[str, str]:
        return {}

    with instead(MemoryTransaction, "parked_keys", nothing_parked):
        yield


@mutant("a claim does not see what was parked while it waited", level="storm", orders=10, slow=True)
def parked_unseen() -> Iterator[None]:
    """As it was before a test in tests/integration/test_claim_races.py held it."""
    real = MemoryTransaction.claim

    async def claim(
        self: MemoryTransaction, messages: Mapping[UUID, int], keys: Collection[str], at: datetime
    ) -> tuple[set[UUID], dict[str, str]]:
        before = {row.key for row in self.scan(PARKED)}
        new, behind = await real(self, messages, keys, at)
        return new, {key: reason for key, reason in behind.items() if key in before}

    with instead(MemoryTransaction, "claim", claim):
        yield


# The relay


@mutant("the relay has a cursor", slow=True)
def relay_cursor() -> Iterator[None]:
    def start(self: LowMark, now: float) -> int:
        return self._highest

    with instead(LowMark, "start", start):
        yield


@mutant("the relay deletes what was not acknowledged", seeds=range(2, 10_000))
def relay_trusts() -> Iterator[None]:
    send = MemorySink.send

    async def all_taken(self: MemorySink, rows: Sequence[OutboxRow]) -> Sent:
        await send(self, rows)
        return Sent([row.id for row in rows])

    with instead(MemorySink, "send", all_taken):
        yield


# Operations


@mutant("a time-out is treated as failed")
def timeout_is_failure() -> Iterator[None]:
    judge = rules.after_perform

    def judged(row: OperationRow, operation: Operation, answer: Outcome | NoOutcome, *more: Any) -> rules.Step:
        if isinstance(answer, Unknown):
            kind: Any = type(operation)
            answer = kind.Failed("timeout", answer.error)
        return judge(row, operation, answer, *more)

    with instead(rules, "after_perform", judged):
        yield


@mutant("a retry has a new idempotency key")
def key_per_attempt() -> Iterator[None]:
    def key(self: Attempts, row: OperationRow, operation: Operation) -> str:
        return f"{row.id}.{row.lease}"

    with instead(Attempts, "_key", key):
        yield


@mutant("an outcome is taken from a worker whose lease ran out", level="storm")
def stale_outcome() -> Iterator[None]:
    async def finish(self: MemoryTransaction, operations: Collection[tuple[UUID, str, int]]) -> set[UUID]:
        for id, _, _ in operations:
            self.delete("operations", id)
        return {id for id, _, _ in operations}

    with instead(MemoryTransaction, "finish", finish):
        yield


@mutant("a timer is fired twice")
def timer_twice() -> Iterator[None]:
    async def fire(self: MemoryTransaction, timers: Collection[TimerRow]) -> set[tuple[str, str]]:
        """Deleted without looking whether it is still there."""
        for timer in timers:
            await self.database.pause("fire")
            self.delete("timers", (timer.key, timer.name))
        return {(timer.key, timer.name) for timer in timers}

    with instead(MemoryTransaction, "fire", fire):
        yield


# The cores


@mutant("a refund is checked without the lock", slow=True)
def refund_unlocked() -> Iterator[None]:
    """What is on its way by another request is not seen."""

    def wrap(function: Any) -> Any:
        def refund(payment: Payment | None, command: Any, context: Context) -> Decision[Payment] | Refused:
            if payment is None:
                return Refused("not_paid", "")
            seen = replace(payment, refunds=tuple(r for r in payment.refunds if not r.is_pending))
            answer: Decision[Payment] | Refused = function(seen, command, context)
            if isinstance(answer, Refused) or answer.state is None:
                return answer
            new: list[Refund] = [r for r in answer.state.refunds if payment.refund(r.id) is None]
            return replace(answer, state=replace(payment, refunds=(*payment.refunds, *new)))

        return refund

    with handlers_around([RefundPayment], wrap):
        yield


@mutant("a late capture after a cancellation is ignored", slow=True)
def late_capture_ignored() -> Iterator[None]:
    def wrap(function: Any) -> Any:
        def ignored(payment: Payment | None, message: Any, context: Context) -> Any:
            if payment and payment.closed_as and message.result.status == "succeeded":
                return Decision(payment)
            return function(payment, message, context)

        return ignored

    with handlers_around([ChargeReported, ChargeCard.Done, CancelCharge.Done, FindCharge.Done], wrap):
        yield


@mutant("stock is released twice", slow=True)
def stock_twice() -> Iterator[None]:
    real = DeliveryChange.release_stock

    def release_stock(self: DeliveryChange, item: Item, *, restock: bool = True) -> Item:
        """Cancelling releases it, and so does the refund that follows."""
        released = real(self, item, restock=restock)
        return replace(released, stock=item.stock) if item.stock is StockHold.TAKEN else released

    with instead(DeliveryChange, "release_stock", release_stock):
        yield


@mutant("the deadline is renewed at each decline", seeds=range(15, 10_000))
def deadline_renewed() -> Iterator[None]:
    def wrap(function: Any) -> Any:
        def declined(order: Order, fact: PaymentDeclined, context: Context) -> Decision[Order]:
            forgotten = replace(order, declined_at=None)
            decision: Decision[Order] = function(forgotten, fact, context)
            return replace(decision, state=order) if decision.state is forgotten else decision

        return declined

    with handlers_around([PaymentDeclined], wrap, orders):
        yield


@mutant("a message that comes too late leaves no trace")
def late_in_silence() -> Iterator[None]:
    def without_effect(self: OrderChange, why: str = "") -> Decision[Order]:
        return Decision(self.before)

    with instead(OrderChange, "without_effect", without_effect):
        yield


@mutant("an order expires without a last look at the provider")
def expires_unseen() -> Iterator[None]:
    def wrap(function: Any) -> Any:
        def overdue(order: Order, timer: PaymentOverdue, context: Context) -> Decision[Order]:
            if order.status is not OrderStatus.PENDING_PAYMENT or order.deadline is None or order.deadline > context.at:
                return cast("Decision[Order]", function(order, timer, context))
            change = OrderChange(order, context)
            expire(change, "Not paid in time.")
            return change.decision()

        return overdue

    with handlers_around([PaymentOverdue], wrap, orders):
        yield
