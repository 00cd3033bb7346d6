"""Why something is where it is: what its owner says by its own rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.core.fast_dataclasses import fast


@fast
@dataclass(frozen=True, slots=True)
class Waits:
    """What something waits for."""

    who: Literal["customer", "staff", "payments", "fulfillment", "notifications", "provider", "outside"]
    """Who has to act; `provider`: the company that moves the money; `outside`: another system."""
    what: str
    """What they have to do, for staff."""
    until: datetime | None = None
    """When that time ends; null: it does not."""


@fast
@dataclass(frozen=True, slots=True)
class Possible:
    """A command that staff may send, or why not now."""

    command: str
    """Its wire type: `order.cancel`."""
    possible: bool
    """Whether it would be accepted now."""
    code: str = ""
    """Why it would be refused, machine-readable."""
    why_not: str = ""
    """Why it would be refused, in the words of the refusal."""


@fast
@dataclass(frozen=True, slots=True)
class Explanation:
    """What the owner says of it."""

    state: str
    """Its status."""
    why: str
    """Why it is in it, for staff; empty: nothing more is to be said."""
    waits: Sequence[Waits] = ()
    """What it waits for; empty: for nothing."""
    following: Sequence[str] = ()
    """The statuses that it can have next."""
    commands: Sequence[Possible] = ()
    """What staff may do."""
