"""A call to the outside, how it can end, and what a gateway may say of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Operation:
    """A call to the outside, wanted by a core; a gateway performs it. Subclasses are frozen dataclasses that nest
    their outcomes: `Done`, `Failed`, and `Unresolved` when nobody could find out what became of it."""

    timeout: ClassVar[float] = 30.0
    """Seconds that one attempt may take."""
    first_retry: ClassVar[float] = 1.0
    """Seconds before the second attempt where the gateway names none; doubled each time, with jitter."""
    longest_retry: ClassVar[float] = 3600.0
    """Seconds that back-off grows to."""
    give_up_after: ClassVar[timedelta | None] = timedelta(hours=1)
    """How long it is tried, from when it was first wanted. None: until it is done."""
    deadline_is_strict: ClassVar[bool] = False
    """No call is begun after the deadline, even if none was made before: the core is told `Failed("not_tried")`.
    Otherwise an operation that could not be tried in time waits until it can, and is given up after a real try."""
    safe_to_repeat: ClassVar[bool] = False
    """The outside knows a repetition by its idempotency key, so an unknown outcome is settled by asking again. The
    beginning of a call that is not safe to repeat is committed before the call."""
    key_lives: ClassVar[timedelta | None] = None
    """How long the outside remembers an idempotency key, from when the operation was first wanted. After that even an
    operation that is safe to repeat is looked for (`find`) before it is performed. None: for ever."""
    serial: ClassVar[bool] = False
    """One at a time per key, in the order in which they were wanted."""

    def destination(self) -> str:
        """The outside system that the call goes to: what is paused, and limited in its rate, as one."""
        return type(self).__qualname__

    def about(self) -> str:
        """What tells it from others of its kind that the same message wants (an item, an endpoint). Its id is derived
        from it, and so is the same when the message is decided again, whatever else has changed by then."""
        return ""

    def idempotency_key(self, id: UUID) -> str:
        """What the outside knows a repetition by. `id` is the operation's own, derived from the message that wanted it;
        where what is done has a name of its own (an order's second charge), that name is the better key."""
        return str(id)

    def deadline(self, wanted: datetime) -> datetime | None:
        """When it is given up, if nothing came of it. None: never."""
        return None if self.give_up_after is None else wanted + self.give_up_after

    def books_asked_until(self, wanted: datetime) -> datetime | None:
        """Until when the outside's books are asked again, after the deadline, where they do not answer whether it was
        done. None or the deadline: they are asked once."""
        return self.deadline(wanted)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an operation ended, handed to the core as a message. `context.operation` is the operation itself."""


@dataclass(frozen=True, slots=True)
class FailedOutcome(Outcome):
    """The outside said no, for good. `text` says what to fix."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class UnresolvedOutcome(Outcome):
    """Nobody could find out whether it was done. `text` is the last error."""

    text: str


@dataclass(frozen=True, slots=True)
class Retry:
    """A gateway's answer: not done, try again. `after` in seconds, or the operation's own back-off."""

    error: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A gateway's answer: nobody knows whether it was done (a time-out). Before a repetition the shell asks `find`."""

    error: str


@dataclass(frozen=True, slots=True)
class NotTried:
    """A gateway's answer: no call was made (the circuit is open, its turn had not come). Changes neither the number of
    attempts nor the doubt. `after` in seconds, or the operation's own back-off."""

    error: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class OperatorFault:
    """A gateway's answer: certainly not done, because of how we are set up (401, 403, a wrong URL), not because of this
    operation. Its destination is paused until a call succeeds or a person resumes it. `text` is for operators, and
    says what to fix; it never reaches a customer."""

    text: str


NoOutcome = Retry | Unknown | NotTried | OperatorFault
"""What a gateway may answer instead of an outcome: the operation stays wanted."""


@dataclass(frozen=True, slots=True)
class NotDone:
    """A gateway's answer to `find`: it was certainly not done; perform it."""
