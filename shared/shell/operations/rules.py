"""What follows from each answer of a gateway. Pure: row, operation, answer and time in; the next step out.

    first_step ──► Perform ──► after_perform ──► Ended | Waits | Find (a last one)
              └──► Find ─────► after_find ─────► Ended | Waits | Perform

- Only calls that were begun count. `NotTried` and `OperatorFault` change neither the count nor whether it is in doubt.
- An operation is in doubt after `Unknown`, and after its worker died. Only the provider's records (`find`) end that.
- What is safe to repeat is performed again under its key, as long as that lives; anything else in doubt is looked for.
- Nothing is given up before its deadline, nor without an answer at or after it; in doubt, not without a look into the
  records either. `Failed` is said only where nothing was carried out for certain; otherwise it is `Unresolved`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from shared.core import Attempt, NoOutcome, NotDone, NotTried, Operation, OperatorFault, Outcome, Unknown
from shared.core.fast_dataclasses import fast, replace
from shared.shell.ports.clock import back_off
from shared.shell.ports.rows import OperationRow

KEPT = 20
"""How many failed calls a row remembers."""
NOT_TRIED_CEILING = 60.0
"""Seconds that the wait after a call that was not made grows to, where the gateway names none."""


@fast
@dataclass(frozen=True, slots=True)
class Perform:
    row: OperationRow


@fast
@dataclass(frozen=True, slots=True)
class Find:
    """Ask the outside's records. `last`: what they say ends the operation."""

    row: OperationRow
    last: bool = False


@fast
@dataclass(frozen=True, slots=True)
class Ended:
    """Hand the outcome to the core."""

    row: OperationRow
    outcome: Outcome


@fast
@dataclass(frozen=True, slots=True)
class Waits:
    """Give the row back, to be tried again when it is due."""

    row: OperationRow


Step = Perform | Find | Ended | Waits


def first_step(row: OperationRow, operation: Operation, now: datetime) -> Perform | Find | Ended:
    """How a leased operation begins."""
    uncertain = in_doubt(row, operation, now)
    if is_over(row, operation, now):
        if operation.deadline_is_strict and not uncertain:
            return Ended(row, given_up(row, operation))
        if uncertain and (operation.deadline_is_strict or _answered_since_deadline(row, operation)):
            return Find(row, last=True)
    if uncertain and not (operation.safe_to_repeat and not key_expired(row, operation, now)):
        return Find(row)
    return Perform(row)


def after_find(
    row: OperationRow,
    operation: Operation,
    answer: Outcome | NotDone | NoOutcome,
    now: datetime,
    rng: random.Random,
    *,
    last: bool,
) -> Step:
    if isinstance(answer, Outcome):
        return Ended(row, answer)
    if isinstance(answer, NotDone):
        row = replace(row, in_doubt=False, abandoned=False)
        return Ended(row, given_up(row, operation)) if last else Perform(row)
    if isinstance(answer, NotTried | OperatorFault):
        return not_called(row, operation, answer, now, rng)
    called = _called(row, answer.error, now)
    if _records_are_final(row, operation, now):
        return Ended(called, unresolved(operation, answer.error))
    return _waits(called, operation, getattr(answer, "after", None), now, rng)


def after_perform(
    row: OperationRow, operation: Operation, answer: Outcome | NoOutcome, now: datetime, rng: random.Random
) -> Step:
    """`row` as it was before the call."""
    if isinstance(answer, Outcome):
        return Ended(replace(row, attempts=row.attempts + 1), answer)
    if isinstance(answer, NotTried | OperatorFault):
        return not_called(row, operation, answer, now, rng)
    called = _called(row, answer.error, now)
    if isinstance(answer, Unknown):
        # Not asked about at once, not even after the deadline: the call may still be in progress at the other end.
        return _waits(replace(called, in_doubt=True), operation, None, now, rng)
    if not is_over(row, operation, now):
        return _waits(called, operation, answer.after, now, rng)
    if in_doubt(called, operation, now):
        return Find(called, last=True)
    return Ended(called, given_up(called, operation))


def not_called(
    row: OperationRow,
    operation: Operation,
    answer: NotTried | OperatorFault,
    now: datetime,
    rng: random.Random,
) -> Ended | Waits:
    """No call was made, or none that counts: it waits, unless its deadline is strict."""
    error = answer.error if isinstance(answer, NotTried) else answer.text
    row = replace(row, error=clean(error))
    if operation.deadline_is_strict and is_over(row, operation, now):
        if not in_doubt(row, operation, now):
            return Ended(row, given_up(row, operation))
        if _records_are_final(row, operation, now):
            return Ended(row, unresolved(operation, error))
        # It is leased although its destination is paused, so it has to wait by itself.
        return _waits(row, operation, _not_tried_wait(row, operation, rng), now, rng)
    if isinstance(answer, OperatorFault):
        # Its destination is paused. It is due as soon as that is resumed, and the last of those to probe with.
        return Waits(replace(row, due=now))
    after = answer.after
    if after is None:
        after = _not_tried_wait(row, operation, rng)
    return _waits(row, operation, after, now, rng)


def _not_tried_wait(row: OperationRow, operation: Operation, rng: random.Random) -> float:
    return back_off(operation.first_retry, row.lease, rng, min(operation.longest_retry, NOT_TRIED_CEILING))


def is_over(row: OperationRow, operation: Operation, now: datetime) -> bool:
    deadline = operation.deadline(row.requested_at)
    return deadline is not None and now >= deadline


def _records_are_final(row: OperationRow, operation: Operation, now: datetime) -> bool:
    """Whether the deadline is over, and the time after it in which records that do not answer are asked again."""
    until = operation.records_checked_until(row.requested_at)
    return until is not None and now >= until


def in_doubt(row: OperationRow, operation: Operation, now: datetime) -> bool:
    """Whether it may have been carried out. For kinds that are safe to repeat it is not recorded that a call was begun,
    so a lease that ended without a report counts; so does a key that is so old that the outside has forgotten
    what it did under it (the decision may be one that was made again, from a restored database)."""
    perhaps = operation.safe_to_repeat and (row.abandoned or key_expired(row, operation, now))
    return row.in_doubt or perhaps


def key_expired(row: OperationRow, operation: Operation, now: datetime) -> bool:
    lifetime = operation.key_lifetime
    if lifetime is None:
        return False
    return row.occurred is None or now - min(row.requested_at, row.occurred) >= lifetime


def given_up(row: OperationRow, operation: Operation) -> Outcome:
    """Certainly not done. The text has what the outside said, never what a pause or the operator's fault said."""
    kind: Any = type(operation)
    outcome: Outcome
    if not row.attempts:
        outcome = kind.Failed("not_tried", "No call could be made before the deadline.")
    else:
        errors = failed_calls(row)
        text = f"given up after {row.attempts} attempts: {errors[-1].error if errors else 'no answer'}"
        outcome = kind.Failed("gave_up", text[:1000])
    return outcome


def unresolved(operation: Operation, error: str) -> Outcome:
    kind: Any = type(operation)
    outcome: Outcome = kind.Unresolved(clean(error))
    return outcome


def failed_calls(row: OperationRow) -> list[Attempt]:
    """The calls that did not succeed, oldest first."""
    return [Attempt.model_validate(entry, strict=False) for entry in orjson.loads(row.history)]


def clean(error: str) -> str:
    """A foreign text, made storable in every database and JSON, and short enough to read."""
    return error.encode("utf-8", "replace").decode().replace("\x00", "")[:500]


def _called(row: OperationRow, error: str, now: datetime) -> OperationRow:
    history: Sequence[Any] = orjson.loads(row.history)
    error = clean(error)
    entry = {"at": now.isoformat(), "error": error}
    return replace(row, attempts=row.attempts + 1, error=error, history=orjson.dumps([*history, entry][-KEPT:]))


def _waits(row: OperationRow, operation: Operation, after: float | None, now: datetime, rng: random.Random) -> Waits:
    """The last try comes at the deadline, not a back-off later; only what the outside asked for goes beyond."""
    seconds = back_off(operation.first_retry, row.attempts, rng, operation.longest_retry) if after is None else after
    due = now + timedelta(seconds=seconds)
    deadline, until = operation.deadline(row.requested_at), operation.records_checked_until(row.requested_at)
    if deadline is not None and now < deadline and (after is None or operation.deadline_is_strict):
        due = min(due, deadline)
    elif until is not None and is_over(row, operation, now) and now < until:
        due = min(due, until)
    return Waits(replace(row, due=due))


def _answered_since_deadline(row: OperationRow, operation: Operation) -> bool:
    deadline, calls = operation.deadline(row.requested_at), failed_calls(row)
    return deadline is not None and bool(calls) and calls[-1].at >= deadline
