"""Puts a decision together step by step."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from shared.core.decision import Context, Decision, Record, Ref, Timer, TimerMessage
from shared.core.fast_dataclasses import replace
from shared.core.messages import Command, Event
from shared.core.operation import Operation

S = TypeVar("S")
R = TypeVar("R")


class Change(Generic[S]):
    """Collects the effects of one message; `decision()` returns them.

    Until then nothing happens, so a handler may still return something else. A service adds the verbs of its domain in
    a subclass, and overrides `decision` to add what every decision about its state must contain.
    """

    def __init__(self, state: S, context: Context) -> None:
        self.before = state
        self.state = state
        self.context = context
        self.events: list[Event] = []
        self.operations: list[Operation] = []
        self.timers: dict[str, Timer] = {}
        self.records: list[Record] = []
        self.commands: list[tuple[str, Command]] = []
        self._cancelled: list[type[TimerMessage] | str] = []
        self._others: dict[Ref[Any], object] = {}

    @property
    def changed(self) -> bool:
        """Whether the state was set."""
        return self.state is not self.before

    def set(self, **fields: Any) -> None:
        """Change fields of the state."""
        if fields:
            state: Any = self.state
            self.state = replace(state, **fields)

    def publish(self, *events: Event) -> None:
        """Publish facts, in this order."""
        self.events += events

    def request(self, *operations: Operation) -> None:
        """Request calls to outside systems."""
        self.operations += operations

    def timer(self, due: datetime, message: TimerMessage, name: str = "") -> None:
        """Have `message` delivered to the core when it is due. Replaces the key's timer of that name."""
        timer = Timer(due, message, name)
        self.timers[timer.named()] = timer

    def cancel_timer(self, *timers: type[TimerMessage] | str) -> None:
        """Cancel timers, by message class or name."""
        self._cancelled += timers
        for timer in timers:
            self.timers.pop(timer if isinstance(timer, str) else timer.__name__, None)

    def record(self, *records: Record) -> None:
        """Add rows to append-only tables."""
        self.records += records

    def send(self, key: str, command: Command) -> None:
        """Send a command to another key."""
        self.commands.append((key, command))

    def other(self, kind: type[R], key: str) -> R | None:
        """Another row, including the changes so far. The handler declared it in `locks` or `reads`."""
        changed: Any = self._others.get(Ref(kind, key))
        return self.context.row(kind, key) if changed is None else changed

    def put(self, kind: type[R], key: str, state: R) -> None:
        """Set the state of another row. The handler declared it in `locks`."""
        self._others[Ref(kind, key)] = state

    def decision(self) -> Decision[S]:
        return Decision(
            self.state,
            events=self.events,
            operations=self.operations,
            timers=[*self.timers.values()],
            cancel=self._cancelled,
            records=self.records,
            other_states=self._others,
            commands=self.commands,
        )
