"""What a core is made of: pure functions from state and message to a decision.

A core does no I/O, knows no clock and no random numbers: time and new ids come in by the `Context`.

    message (command, event, outcome, report, timer) ──► handler ──► Decision | Refused
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from shared.core.decision import Context, Decision, Question, Ref, Refused
from shared.core.messages import Command, Problem
from shared.core.operation import Operation, Outcome

S = TypeVar("S")
M = TypeVar("M")
P = TypeVar("P", bound=Operation)
Q = TypeVar("Q", bound=Outcome)

Refs = Iterable[Ref[Any]]
Rows = Callable[[M, str, S], Refs]
"""Which other rows a message needs, given the message, its key and its state."""
Asks = Callable[[M, str, S, Mapping[Ref[Any], Any]], Iterable[Question]]
"""What a message must know besides, given the message, its key, its state and the other rows. Each question costs a
search: ask it only where the answer matters."""
Begins = Callable[[S | None, M, Context], Decision[S] | Refused]
Hears = Callable[[S, M, Context], Decision[S] | Refused]
AlsoWrong = Callable[[S | None, M, Sequence[str], Context], list[Problem]]
"""What else is wrong with a command that cannot be read whole: of state, the message with other values in their places,
the paths of what could not be read, and context."""
Answers = Callable[[S, P, Q, Context], Decision[S] | Refused]


@dataclass(frozen=True, slots=True)
class Handling:
    """One registered handler, and the other rows that it needs. Called with the state, or None."""

    function: Callable[[Any, Any, Context], Decision[Any] | Refused]
    locks: Callable[[Any, str, Any], Refs] | None = None
    reads: Callable[[Any, str, Any], Refs] | None = None
    begins: bool = False
    """There may be no row yet."""
    asks: Callable[[Any, str, Any, Mapping[Ref[Any], Any]], Iterable[Question]] | None = None
    also_wrong: Callable[[Any, Any, Sequence[str], Context], list[Problem]] | None = None


class Core(Generic[S]):
    """The decisions about one kind of state. `core = Core(Order)`, then `@core.begins(…)`, `@core.on(…)` and
    `@core.answers(…)` on the handlers, which stay plain functions.

    Each takes two declarations of other rows, both functions of message, key and state: `locks`, rows to lock and
    perhaps change; `reads`, rows to read. `begins` takes a third: `asks`, questions to be answered with yes or no.
    """

    def __init__(self, kind: type[S], *, missing: Refused | None = None) -> None:
        """`missing`: the refusal of a command for whose key there is no row."""
        self.kind = kind
        self.missing = missing
        self.handlers: dict[type[Any], Handling] = {}

    @overload
    def begins(
        self,
        message: type[M],
        /,
        *,
        locks: Rows[M, S | None] | None = None,
        reads: Rows[M, S | None] | None = None,
        asks: Asks[M, S | None] | None = None,
        also_wrong: AlsoWrong[S, M] | None = None,
    ) -> Callable[[Begins[S, M]], Begins[S, M]]: ...

    @overload
    def begins(
        self, *messages: type[Any], locks: Rows[Any, S | None] | None = None, reads: Rows[Any, S | None] | None = None
    ) -> Callable[[Begins[S, M]], Begins[S, M]]: ...

    def begins(
        self, *messages: type[Any], locks: Any = None, reads: Any = None, asks: Any = None, also_wrong: Any = None
    ) -> Any:
        """Register the handler of messages that may find no row: `handler(state or None, message, context)`.
        `also_wrong` checks what can be read of one that is invalid."""

        def register(function: Begins[S, Any]) -> Begins[S, Any]:
            for message in _checked(messages):
                self._add(message, Handling(function, locks, reads, begins=True, asks=asks, also_wrong=also_wrong))
            return function

        return register

    @overload
    def on(
        self, message: type[M], /, *, locks: Rows[M, S] | None = None, reads: Rows[M, S] | None = None
    ) -> Callable[[Hears[S, M]], Hears[S, M]]: ...

    @overload
    def on(
        self, *messages: type[Any], locks: Rows[Any, S] | None = None, reads: Rows[Any, S] | None = None
    ) -> Callable[[Hears[S, M]], Hears[S, M]]: ...

    def on(self, *messages: type[Any], locks: Any = None, reads: Any = None) -> Any:
        """Register the handler of messages that need a row: `handler(state, message, context)`. Without a row a command
        is refused with `missing`; facts, timers and reports change nothing."""

        def register(function: Hears[S, Any]) -> Hears[S, Any]:
            for message in _checked(messages):
                handle = _with_row(function, self._refusal_of(message))
                self._add(message, Handling(handle, _of_row(locks), _of_row(reads)))
            return function

        return register

    @overload
    def answers(
        self, outcome: type[Q], /, *, locks: Rows[Q, S] | None = None, reads: Rows[Q, S] | None = None
    ) -> Callable[[Answers[S, P, Q]], Answers[S, P, Q]]: ...

    @overload
    def answers(
        self, *outcomes: type[Any], locks: Rows[Any, S] | None = None, reads: Rows[Any, S] | None = None
    ) -> Callable[[Answers[S, P, Q]], Answers[S, P, Q]]: ...

    def answers(self, *outcomes: type[Any], locks: Any = None, reads: Any = None) -> Any:
        """Register the handler of operations' outcomes: `handler(state, operation, outcome, context)`. Without a row
        they are parked."""

        def register(function: Answers[S, Any, Any]) -> Answers[S, Any, Any]:
            for outcome in outcomes:
                if not issubclass(outcome, Outcome) or outcome.answers is None:
                    raise TypeError(f"{outcome.__qualname__} is no outcome of an operation: use `on` or `begins`")
                self._add(outcome, Handling(_with_operation(function), _of_row(locks), _of_row(reads)))
            return function

        return register

    def decide(self, state: S | None, message: object, context: Context) -> Decision[S] | Refused:
        """Decide one message. Pure: the same arguments give the same decision."""
        answer: Decision[S] | Refused = self.handlers[type(message)].function(state, message, context)
        return answer

    def _refusal_of(self, message: type[Any]) -> Refused | None:
        if not issubclass(message, Command):
            return None
        if self.missing is None:
            name = self.kind.__qualname__
            raise TypeError(f"{message.__qualname__} is a command: say Core({name}, missing=…), or let it begin a row")
        return self.missing

    def _add(self, message: type[Any], handling: Handling) -> None:
        if message in self.handlers:
            raise TypeError(f"{message.__qualname__} has two handlers")
        self.handlers[message] = handling


def _checked(messages: tuple[type[Any], ...]) -> tuple[type[Any], ...]:
    for message in messages:
        if issubclass(message, Outcome):
            raise TypeError(f"{message.__qualname__} is the outcome of an operation: use `answers`")
    return messages


def _with_row(
    function: Callable[[Any, Any, Context], Decision[Any] | Refused], missing: Refused | None
) -> Callable[[Any, Any, Context], Decision[Any] | Refused]:
    def handle(state: Any, message: Any, context: Context) -> Decision[Any] | Refused:
        if state is None:
            return missing or Decision(None)
        return function(state, message, context)

    return handle


def _with_operation(
    function: Callable[[Any, Any, Any, Context], Decision[Any] | Refused],
) -> Callable[[Any, Any, Context], Decision[Any] | Refused]:
    def handle(state: Any, outcome: Any, context: Context) -> Decision[Any] | Refused:
        if state is None:  # it was there when the operation was requested: the outcome must not be lost without a trace
            raise LookupError(f"{type(outcome).__qualname__} answers an operation of a row that is not there")
        return function(state, context.operation, outcome, context)

    return handle


def _of_row(rows: Callable[[Any, str, Any], Refs] | None) -> Callable[[Any, str, Any], Refs] | None:
    """A message that finds no row is not handled, so it needs no other rows."""
    if rows is None:
        return None
    return lambda message, key, state: () if state is None else rows(message, key, state)
