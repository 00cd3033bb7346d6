"""What a core is made of: pure functions from state and message to a decision.

A core does no I/O, knows no clock and no random numbers: time and new ids come in by the `Context`.

    message (command, event, outcome, report, timer) ──► handler ──► Decision | Refused
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from shared.core.decision import Context, Decision, Ref, Refused
from shared.core.messages import Attempt
from shared.core.operation import Operation

S = TypeVar("S")
M = TypeVar("M")

Handler = Callable[[S | None, Any, Context], Decision[S] | Refused]
Rows = Callable[[Any, str], Iterable[Ref[Any]]]
"""Which other rows a message needs, from the message and its key."""
LookUp = Callable[[Any, Any], Iterable[Ref[Any]]]
"""Which other rows a message wants to see, from the message and the state that it meets (None: there is none)."""


@dataclass(frozen=True, slots=True)
class Handling:
    """One registered handler and the rows that it wants beside its own."""

    function: Handler[Any]
    touches: Rows | None = None
    reads: Rows | None = None
    looks_up: LookUp | None = None
    holds: LookUp | None = None


class Core(Generic[S]):
    """The decisions about one kind of state. `core = Core(Order)`, then `@core.on(MessageType)` on each handler."""

    def __init__(self, kind: type[S]) -> None:
        self.kind = kind
        self.handlers: dict[type[Any], Handling] = {}

    def on(
        self,
        *messages: type[Any],
        touches: Rows | None = None,
        reads: Rows | None = None,
        looks_up: LookUp | None = None,
        holds: LookUp | None = None,
    ) -> Callable[[Callable[[S | None, M, Context], Decision[S] | Refused]], Callable[..., Decision[S] | Refused]]:
        """Register the handler of messages. `touches`: rows to lock and perhaps change; `reads`: rows to look at;
        `looks_up`: rows to look at that only the state knows (the endpoints of an order's store); `holds`: rows to lock
        and perhaps change that only the state knows (the stock of an order's SKUs)."""

        def register(
            function: Callable[[S | None, M, Context], Decision[S] | Refused],
        ) -> Callable[..., Decision[S] | Refused]:
            for message in messages:
                if message in self.handlers:
                    raise TypeError(f"{message.__qualname__} has two handlers")
                self.handlers[message] = Handling(function, touches, reads, looks_up, holds)
            return function

        return register

    def decide(self, state: S | None, message: object, context: Context) -> Decision[S] | Refused:
        """Answer one message. Pure: the same arguments give the same answer."""
        handling = self.handlers[type(message)]
        answer: Decision[S] | Refused = handling.function(state, message, context)
        return answer


def context_at(
    at: datetime | None = None,
    key: str = "o-1",
    *,
    actor: str = "system",
    rows: Mapping[Ref[Any], object] | None = None,
    operation: Operation | None = None,
    attempts: Sequence[Attempt] = (),
    message_id: UUID | None = None,
) -> Context:
    """A context for a unit test or a trial."""
    return Context(
        at or datetime(2026, 1, 1, tzinfo=UTC),
        key,
        message_id or UUID("01900000-0000-7000-8000-000000000001"),
        actor=actor,
        rows=rows,
        operation=operation,
        attempts=attempts,
    )
