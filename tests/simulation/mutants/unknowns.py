"""Mutants about unknown outcomes, unreadable rows and repeated messages."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from deploy.simulation.restore import ONE_IN
from shared.core import NoOutcome, NotTried, Operation, OperatorFault, Outcome, Retry, effect_id
from shared.core import decision as core
from shared.shell.batch import batch, claims, effects
from shared.shell.batch.batch import Batch
from shared.shell.inbound import parked_rows, records
from shared.shell.inbound.message import Inbound
from shared.shell.operations import rules
from shared.shell.ports.rows import OperationRow, OutboxRow, ParkedRow
from shared.simulation.bus import MemorySource
from tests.simulation.mutants.catalogue import instead, mutant

# Operations


@mutant("a pause counts as a try", seeds=range(5, 10_000))
def pause_counts() -> Iterator[None]:
    def counted(
        row: OperationRow, operation: Operation, answer: NotTried | OperatorFault, now: datetime, rng: random.Random
    ) -> rules.Step:
        error = answer.error if isinstance(answer, NotTried) else answer.text
        step = rules.after_perform(row, operation, Retry(error, getattr(answer, "after", None)), now, rng)
        # Asked at once, the outside's records would be asked for ever while their destination is paused.
        return judge(row, operation, answer, now, rng) if isinstance(step, rules.Find) else step

    judge = rules.not_called
    with instead(rules, "not_called", counted):
        yield


@mutant("a retry ends being in doubt", slow=True)
def in_doubt_forgotten() -> Iterator[None]:
    judge = rules.after_perform

    def judged(row: OperationRow, operation: Operation, answer: Outcome | NoOutcome, *more: Any) -> rules.Step:
        if isinstance(answer, Retry):
            row = replace(row, in_doubt=False, abandoned=False)
        return judge(row, operation, answer, *more)

    with instead(rules, "after_perform", judged):
        yield


@mutant("giving up in doubt says failed", slow=True)
def in_doubt_is_failure() -> Iterator[None]:
    def failed(operation: Operation, error: str) -> Outcome:
        kind: Any = type(operation)
        outcome: Outcome = kind.Failed("gave_up", error)
        return outcome

    with instead(rules, "unresolved", failed):
        yield


# Unreadable rows, and repeated messages


@mutant("parking raises", slow=True)
def parking_raises() -> Iterator[None]:
    """At a header without a value, also where only the place and the error are kept."""

    def strict(make: Callable[..., ParkedRow]) -> Callable[..., ParkedRow]:
        def made(inbound: Inbound, *more: Any) -> ParkedRow:
            if inbound.record:
                b"".join(value for _, value in inbound.record.headers)  # type: ignore[misc]
            return make(inbound, *more)

        return made

    with (
        instead(batch, "parked_row", strict(parked_rows.parked_row)),
        instead(batch, "bare_row", strict(parked_rows.bare_row)),
    ):
        yield


@mutant("a dead letter is not bounded", slow=True)
def dead_letter_unbounded() -> Iterator[None]:
    def whole(
        service: str, key: str, origin: str, headers: Sequence[tuple[str, bytes | None]], body: bytes | None, error: str
    ) -> OutboxRow:
        texts = [[name, (value or b"").decode("utf-8", "replace")] for name, value in headers if name.isascii()]
        return OutboxRow(f"{service}.dead-letter.v1", key, orjson.dumps(texts), body or b"")

    with instead(batch, "dead_letter", whole):
        yield


@mutant("a message is known by its id alone")
def id_alone() -> Iterator[None]:
    """A message with a known id is dropped, whatever its source and content."""

    def no_other(*asked: Any) -> None:
        return None

    with instead(records, "identity_of", lambda source, id: id), instead(claims, "_other", no_other):
        yield


@mutant("ids come from the time of handling", slow=True, seeds=range(ONE_IN - 1, 10_000, ONE_IN))
def ids_of_the_moment() -> Iterator[None]:
    """What a restored database decides again has other ids than the first time: only a restore can show it."""
    real, decide = effect_id, Batch._decide
    moment = [""]

    def decided(self: Batch, *work: Any) -> None:
        moment[0] = self.now.isoformat()
        decide(self, *work)

    def effect(cause: UUID, name: str, index: int) -> UUID:
        return real(cause, f"{name} {moment[0]}", index)

    with (
        instead(Batch, "_decide", decided),
        instead(core, "effect_id", effect),
        instead(effects, "effect_id", effect),
    ):
        yield


@mutant("a record of an aborted transaction is read")
def uncommitted_read() -> Iterator[None]:
    with instead(MemorySource, "_visible", lambda self, record: True):
        yield
