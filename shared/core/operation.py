"""Calls to outside systems, how they can end, and what a gateway may answer instead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, TypedDict, Unpack
from uuid import UUID

from shared.core.struct import Struct


class Outcome(Struct):
    """How an operation ended, handed to the core as a message."""

    answers: ClassVar[type[Operation] | None] = None
    """The class of operations that this is an outcome of."""


class FailedOutcome(Outcome):
    """The outside system permanently refused. `text` says what to fix."""

    code: str
    text: str


class UnresolvedOutcome(Outcome):
    """It is unknown whether it was done. `text` is the last error."""

    text: str


class Settings(TypedDict, total=False):
    """The settings of a class of operations: `class HoldDeposit(Operation, safe_to_repeat=True)`."""

    timeout: float
    first_retry: float
    longest_retry: float
    give_up_after: timedelta | None
    deadline_is_strict: bool
    safe_to_repeat: bool
    key_lifetime: timedelta | None
    serial: bool


class Operation(Struct):
    """A call to an outside system. A core requests it, a gateway performs it.

        class HoldDeposit(Operation, safe_to_repeat=True, timeout=10.0):
            card: str

            class Done(Outcome):
                hold: str

    Each class has its own outcomes: `Done`, which it declares, and `Failed` and `Unresolved`, which it declares only to
    add fields.
    """

    timeout: ClassVar[float] = 30.0
    """Seconds allowed for one attempt."""
    first_retry: ClassVar[float] = 1.0
    """Seconds before the second attempt, unless the gateway names a time; doubled each time, with jitter."""
    longest_retry: ClassVar[float] = 3600.0
    """The maximum back-off, in seconds."""
    give_up_after: ClassVar[timedelta | None] = timedelta(hours=1)
    """How long it is tried, from when it was first requested. None: until it is done."""
    deadline_is_strict: ClassVar[bool] = False
    """True: no call begins after the deadline, even if none was made before, and the outcome is `Failed("not_tried")`.
    False: an operation that could not be tried in time waits until it can, and is given up after a real attempt."""
    safe_to_repeat: ClassVar[bool] = False
    """The outside system recognises a repetition by its idempotency key, so an unknown outcome is resolved by repeating
    the call. The beginning of a call that is not safe to repeat is committed before the call."""
    key_lifetime: ClassVar[timedelta | None] = None
    """How long the outside system remembers an idempotency key, from when the operation was first requested. After
    that, even an operation that is safe to repeat is checked (`find`) before it is performed. None: forever."""
    serial: ClassVar[bool] = False
    """One at a time per key, in the order in which they were requested."""

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
        """The outside system that the call goes to. It is paused, and limited in its rate, as a whole."""
        return type(self).__qualname__

    def about(self) -> str:
        """What distinguishes it from others of its kind that the same message requests (an item, an endpoint). Its id
        is derived from this, and so is the same if the message is decided again, even if other things have changed."""
        return ""

    def idempotency_key(self, id: UUID) -> str:
        """How the outside system recognises a repetition. `id` is the operation's id, derived from the message that
        requested it; if the effect has a name of its own (an order's second charge), that name is the better key."""
        return str(id)

    def deadline(self, wanted: datetime) -> datetime | None:
        """When it is given up if it has not succeeded. None: never."""
        return None if self.give_up_after is None else wanted + self.give_up_after

    def records_checked_until(self, wanted: datetime) -> datetime | None:
        """Until when, after the deadline, the outside system's records are checked again if they cannot be read. None,
        or the deadline: they are checked once."""
        return self.deadline(wanted)

    @classmethod
    def outcomes(cls) -> tuple[type[Outcome], ...]:
        """All its outcomes."""
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
    """A gateway's answer: it is unknown whether it was done (a timeout). The shell calls `find` before repeating it."""

    error: str


@dataclass(frozen=True, slots=True)
class NotTried:
    """A gateway's answer: no call was made (the circuit is open, the rate limit is reached). Changes neither the number
    of attempts nor the state "in doubt". `after` in seconds, or the operation's own back-off."""

    error: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class OperatorFault:
    """A gateway's answer: certainly not done, because of a configuration error (401, 403, a wrong URL) and not because
    of this operation. Its destination is paused until a call succeeds or staff resume it. `text` is for operators and
    says what to fix; it never reaches a customer."""

    text: str


NoOutcome = Retry | Unknown | NotTried | OperatorFault
"""What a gateway may answer instead of an outcome: the operation stays open."""


@dataclass(frozen=True, slots=True)
class NotDone:
    """A gateway's answer to `find`: it was certainly not done; perform it."""
