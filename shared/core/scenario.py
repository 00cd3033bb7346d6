"""Drives cores in a test, without a shell: messages go in, and their effects are kept.

    rental = Scenario(rentals, bikes).given(RequestBike(bike="b1"))
    rental.answer(HoldDeposit, HoldDeposit.Done(hold="pi_1"))
    assert rental.published == [BikeReserved(bike="b1", until=rental.at + RESERVATION)]

Every decision is checked for what must hold for all of them: see `checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, NamedTuple, Self, TypeVar
from uuid import UUID

from shared.core.checks import Step, check_decision, check_json
from shared.core.core import Core, Handling
from shared.core.decision import Context, Question, Record, Ref, Refused, Timer, TimerMessage
from shared.core.ids import derived_id, hashed_id
from shared.core.messages import Attempt, Command, Event
from shared.core.operation import FailedOutcome, Operation, Outcome, UnresolvedOutcome

S = TypeVar("S")
T = TypeVar("T")
P = TypeVar("P", bound=Operation)

START = datetime(2026, 1, 1, tzinfo=UTC)
NEVER_DONE = ("gave_up", "not_tried")
"""The codes of operations that end without a last call."""
MOST_TIMERS = 1000
"""The most timers in one stretch of time, so that a timer that sets itself again immediately does not go on forever."""


class Sent(NamedTuple):
    """A command to another key."""

    key: str
    command: Command


class Brought:
    """The effects of messages, in order."""

    def __init__(self, entries: Iterable[tuple[str, object]] = ()) -> None:
        self.entries: list[tuple[str, object]] = [*entries]
        """Each with the key of its message."""

    def of(self, *kinds: type[T]) -> list[T]:
        return [entry for _, entry in self.entries if isinstance(entry, kinds)]

    def about(self, key: str) -> Brought:
        """The effects of messages of one key."""
        return Brought(pair for pair in self.entries if pair[0] == key)

    @property
    def published(self) -> list[Event]:
        return self.of(Event)

    @property
    def requested(self) -> list[Operation]:
        return self.of(Operation)

    @property
    def timers(self) -> list[Timer]:
        return self.of(Timer)

    @property
    def records(self) -> list[Record]:
        return self.of(Record)

    @property
    def sent(self) -> list[Sent]:
        return self.of(Sent)


class Scenario(Generic[S]):
    """One key of a core, and all other rows that its messages need. Commands to other keys are delivered if one of the
    cores handles them."""

    def __init__(
        self,
        core: Core[S],
        *others: Core[Any],
        key: str = "o-1",
        actor: str = "customer",
        store: str = "",
        at: datetime = START,
        pace: timedelta = timedelta(seconds=1),
        rows: Mapping[Ref[Any], object] | None = None,
        check: Callable[[Step], None] | None = None,
    ) -> None:
        """`pace`: the time from one message to the next. `check`: what else must hold for each decision."""
        self.core, self.key, self.actor, self.store = core, key, actor, store
        self.at, self.pace = at, pace
        self.rows: dict[Ref[Any], Any] = dict(rows or {})
        self.answers: dict[Question, bool] = {}
        """Of what is asked; no, where it is not said."""
        self.open: list[tuple[str, Operation]] = []
        """Operations without an outcome so far, each with its key."""
        self.pending: dict[tuple[str, str], Timer] = {}
        """Timers that are not due yet, by key and name."""
        self.refused: Refused | None = None
        """Why the last message was refused."""
        self.last = Brought()
        """The effects of the last call, including those of commands to other keys."""
        self.all = Brought()
        self._check = check
        self._handlers = {kind: (one, one.handlers[kind]) for one in (core, *others) for kind in one.handlers}
        self._messages = 0

    # What happens

    def given(self, *messages: object) -> Self:
        """Earlier messages, to the scenario's own key."""
        for message in messages:
            self.hear(message)
        return self

    def hear(
        self,
        message: object,
        key: str | None = None,
        *,
        actor: str | None = None,
        operation: Operation | None = None,
        message_id: UUID | None = None,
    ) -> Self:
        """A message that must not be refused."""
        refused = self.offer(message, key, actor=actor, operation=operation, message_id=message_id)
        assert refused is None, f"{type(message).__qualname__} was refused: {refused}"
        return self

    def refuses(self, message: object, key: str | None = None, *, actor: str | None = None) -> Refused:
        """A command that must be refused; returns the refusal."""
        refused = self.offer(message, key, actor=actor)
        assert refused is not None, f"{type(message).__qualname__} was not refused"
        return refused

    def offer(
        self,
        message: object,
        key: str | None = None,
        *,
        actor: str | None = None,
        operation: Operation | None = None,
        message_id: UUID | None = None,
    ) -> Refused | None:
        """A message that may be refused or not."""
        self.last = Brought()
        self.at += self.pace
        self.refused = self._hear(
            message,
            self.key if key is None else key,
            actor=self.actor if actor is None else actor,
            operation=operation,
            message_id=message_id,
        )
        return self.refused

    def answer(
        self,
        operation: Operation | type[Operation],
        outcome: Outcome,
        *,
        after: Sequence[str | Attempt] = (),
        calls: int | None = None,
        key: str | None = None,
    ) -> Self:
        """End an open operation: this one, or the only one of its kind. `after`: errors of earlier calls; `calls`: the
        number of calls that were begun, if it is not one more than that."""
        wanted: Operation = self.operation(operation, key) if isinstance(operation, type) else operation
        place = self._place(wanted, key)
        assert type(outcome) in wanted.outcomes(), f"{outcome} does not answer {wanted}"
        check_json(outcome)
        key, wanted = self.open.pop(place)
        tries = [one if isinstance(one, Attempt) else Attempt(at=self.at, error=one) for one in after]
        never = isinstance(outcome, UnresolvedOutcome) or (
            isinstance(outcome, FailedOutcome) and outcome.code in NEVER_DONE
        )
        self.last = Brought()
        self.at += self.pace
        self.refused = self._hear(
            outcome,
            key,
            actor="system",
            operation=wanted,
            attempts=tries,
            calls=len(tries) + (not never) if calls is None else calls,
        )
        return self

    def let_time_pass(self, duration: timedelta) -> Self:
        """Let time pass. Timers that become due go off, in their order."""
        self.last, end = Brought(), self.at + duration
        for _ in range(MOST_TIMERS):
            due = min(self.pending, key=lambda name: self.pending[name].due, default=None)
            if due is None or self.pending[due].due > end:
                self.at = max(self.at, end)
                return self
            self._go_off(due)
        raise AssertionError(f"more than {MOST_TIMERS} timers in {duration}")

    def let_go_off(self, timer: type[TimerMessage] | str, key: str | None = None) -> Self:
        """Let one timer go off, by message class or name."""
        name = self._timer_name(timer, key)
        assert name in self.pending, f"no timer {name} is pending: {[*self.pending]}"
        self.last = Brought()
        self._go_off(name)
        return self

    def put(self, kind: type[T], key: str, state: T) -> Self:
        """Set the state of a row."""
        self.rows[Ref(kind, key)] = state
        return self

    # What there is now

    @property
    def state(self) -> S:
        """Of the scenario's own key."""
        found = self.row(self.core.kind)
        assert found is not None, f"there is no {self.core.kind.__qualname__} {self.key}"
        return found

    def row(self, kind: type[T], key: str | None = None) -> T | None:
        found: T | None = self.rows.get(Ref(kind, self.key if key is None else key))
        return found

    def operation(self, kind: type[P], key: str | None = None, **fields: object) -> P:
        """The only open operation of its kind that has these fields."""
        found = [
            one
            for owner, one in self.open
            if isinstance(one, kind)
            and key in (None, owner)
            and all(getattr(one, name) == value for name, value in fields.items())
        ]
        assert len(found) == 1, f"{len(found)} open {kind.__qualname__}: {found or self.open}"
        return found[0]

    def timer(self, timer: type[TimerMessage] | str, key: str | None = None) -> Timer | None:
        """A pending timer, by message class or name."""
        return self.pending.get(self._timer_name(timer, key))

    @property
    def published(self) -> list[Event]:
        """The events of the last call; `all.published` has all events so far."""
        return self.last.published

    @property
    def requested(self) -> list[Operation]:
        return self.last.requested

    @property
    def timers(self) -> list[Timer]:
        return self.last.timers

    @property
    def records(self) -> list[Record]:
        return self.last.records

    @property
    def sent(self) -> list[Sent]:
        return self.last.sent

    # One message

    def _hear(
        self,
        message: object,
        key: str,
        *,
        actor: str,
        operation: Operation | None = None,
        attempts: Sequence[Attempt] = (),
        calls: int = 0,
        message_id: UUID | None = None,
    ) -> Refused | None:
        self._messages += 1
        core, handling = self._handler(message)
        ref: Ref[Any] = Ref(core.kind, key)
        state = self.rows.get(ref)
        locked, read = ([*rows(message, key, state)] if rows else [] for rows in (handling.locks, handling.reads))
        others = {row: self.rows.get(row) for row in (*locked, *read)}
        asked = [*handling.asks(message, key, state, others)] if handling.asks else []
        identity = message_id or derived_id(hashed_id("scenario", self.key), self._messages, self.at)

        def context() -> Context:
            return Context(
                self.at,
                key,
                identity,
                actor=actor,
                store=self.store,
                rows=others,
                answers={question: self.answers.get(question, False) for question in asked},
                operation=operation,
                attempts=attempts,
                calls=calls,
            )

        answer = handling.function(state, message, context())
        again = handling.function(state, message, context())
        assert answer == again, f"{type(message).__qualname__} was decided in two ways: {answer}, {again}"
        if isinstance(answer, Refused):
            assert isinstance(message, Command), f"{type(message).__qualname__} is a fact and was refused: {answer}"
            return answer
        step = Step(ref, state, message, answer, frozenset(locked), self.at)
        check_decision(step)
        if self._check:
            self._check(step)
        self._keep(step)
        return None

    def _handler(self, message: object) -> tuple[Core[Any], Handling]:
        assert type(message) in self._handlers, f"no core of the scenario handles {type(message).__qualname__}"
        return self._handlers[type(message)]

    def _keep(self, step: Step) -> None:
        decision, key = step.decision, step.ref.key
        if decision.state is not None:
            self.rows[step.ref] = decision.state
        self.rows |= decision.other_states
        for name in decision.cancel:
            self.pending.pop(self._timer_name(name, key), None)
        self.pending |= {(key, timer.named()): timer for timer in decision.timers}
        self.open += ((key, operation) for operation in decision.operations)
        sent = [Sent(*pair) for pair in decision.commands]
        brought = [*decision.events, *decision.operations, *decision.timers, *decision.records, *sent]
        for so_far in (self.last, self.all):
            so_far.entries += ((key, one) for one in brought)
        for to, command in sent:
            if type(command) in self._handlers:
                self._hear(command, to, actor="system")

    def _go_off(self, name: tuple[str, str]) -> None:
        timer = self.pending.pop(name)
        self.at = max(self.at, timer.due)
        self.refused = self._hear(timer.message, name[0], actor="system")

    def _timer_name(self, timer: type[TimerMessage] | str, key: str | None) -> tuple[str, str]:
        return self.key if key is None else key, timer if isinstance(timer, str) else timer.__name__

    def _place(self, wanted: Operation, key: str | None) -> int:
        """The place of this operation, or of the oldest that is equal to it."""
        places = [place for place, (owner, one) in enumerate(self.open) if key in (None, owner) and one == wanted]
        assert places, f"{wanted} is not open: {self.open}"
        return next((place for place in places if self.open[place][1] is wanted), places[0])
