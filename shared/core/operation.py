"""A call to the outside, how it can end, and what a gateway may say of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, TypedDict, Unpack
from uuid import UUID

from shared.core.struct import Struct


class Outcome(Struct):
    """How an operation ended, handed to the core as a message."""

    answers: ClassVar[type[Operation] | None] = None
    """The class of operations that ends so."""


class FailedOutcome(Outcome):
    """The outside said no, for good. `text` says what to fix."""

    code: str
    text: str


class UnresolvedOutcome(Outcome):
    """Nobody could find out whether it was done. `text` is the last error."""

    text: str


class Settings(TypedDict, total=False):
    """What a class of operations says of itself: `class HoldDeposit(Operation, safe_to_repeat=True)`."""

    timeout: float
    first_retry: float
    longest_retry: float
    give_up_after: timedelta | None
    deadline_is_strict: bool
    safe_to_repeat: bool
    key_lives: timedelta | None
    serial: bool


class Operation(Struct):
    """A call to the outside, requested by a core; a gateway performs it.

        class HoldDeposit(Operation, safe_to_repeat=True, timeout=10.0):
            card: str

            class Done(Outcome):
                hold: str

    Each class has outcomes of its own: `Done`, which it declares, and `Failed` and `Unresolved`, which it declares only
    to add fields.
    """

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

    class Failed(FailedOutcome): ...

    class Unresolved(UnresolvedOutcome): ...

    def __init_subclass__(cls, **settings: Unpack[Settings]) -> None:
        super().__init_subclass__()
        if unknown := settings.keys() - Settings.__annotations__.keys():
            raise TypeError(f"{cls.__qualname__}: an operation has no setting {', '.join(sorted(unknown))}")
        for name, value in settings.items():
            setattr(cls, name, value)
        for name, outcome in _nested_outcomes(cls):
            if name in vars(cls):
                outcome.answers = vars(outcome).get("answers") or cls
            else:
                names = {"__module__": cls.__module__, "__qualname__": f"{cls.__qualname__}.{name}", "answers": cls}
                setattr(cls, name, type(name, (outcome,), names))

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

    @classmethod
    def outcomes(cls) -> tuple[type[Outcome], ...]:
        """All ways in which it can end."""
        return tuple(outcome for _, outcome in _nested_outcomes(cls))


def _nested_outcomes(operation: type[Operation]) -> list[tuple[str, type[Outcome]]]:
    found = {name: value for kind in reversed(operation.__mro__) for name, value in vars(kind).items()}
    return [(name, value) for name, value in found.items() if isinstance(value, type) and issubclass(value, Outcome)]


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
