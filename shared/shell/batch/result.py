"""What a committed batch leaves to be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from shared.core import Operation, Refused
from shared.shell.inbound.message import Inbound
from shared.shell.ports.rows import NEWER, OperationRow, ParkedRow

Verdict = Literal["handled", "refused", "parked"]


class RetryFailed(Exception):
    """A parked message could not be handled this time either. Carries the reason for staff."""

    reason: str | None = "failed"
    """Why it is parked now; None: as before, for nothing was learnt."""


class StillWaits(RetryFailed):
    """Only a newer build can read it."""

    reason = NEWER


class TryLater(RetryFailed):
    """The database could not take it at this moment."""

    reason = None


class DecidedOtherwise(Exception):
    """A restored database refuses a command that had an effect before."""

    def __init__(self, before: Sequence[str], refused: Refused) -> None:
        super().__init__(
            f"It had an effect the first time ({', '.join(before)}), and would now be refused: {refused.code}: "
            f"{refused.text} Set right what it lacks, then retry it."
        )


@dataclass(slots=True)
class BatchResult:
    """Replies to give, operations leased to this worker, and counts."""

    decided: list[tuple[Inbound, Verdict]] = field(default_factory=list)
    """Every message that was not a duplicate."""
    handled: int = 0
    refused: int = 0
    duplicates: int = 0
    reworded: list[Inbound] = field(default_factory=list)
    """Duplicates from our own services with another body: decided again after a database was restored."""
    parked: list[ParkedRow] = field(default_factory=list)
    replies: list[tuple[Inbound, Refused | UUID]] = field(default_factory=list)
    """What the callers of commands by HTTP are told: a refusal, or the id of the accepted message."""
    passing: dict[UUID, Refused] = field(default_factory=dict)
    """Refusals that are not kept, by identity: the same command is handled if it is sent again later."""
    new_keys: set[str] = field(default_factory=set)
    """Keys that had no row before."""
    leased: list[tuple[OperationRow, Operation]] = field(default_factory=list)
    unleased: int = 0
    """Operations that were requested and not leased."""
    finished_serial: bool = False
    """A serial operation ended: the next one of its key may begin."""
    published: int = 0
