"""Messages of fulfillment about redemption codes and their pools."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from shared.contracts.fulfillment import COMMANDS, EVENTS
from shared.contracts.values import (
    Count,
    Execution,
    Id,
    Line,
    PartId,
)
from shared.core import Command, Event


class AddCodes(Command, type="codes.add", topic=COMMANDS):
    """Add codes to a pool; codes that it already has are ignored. Key: `<store>/<pool>`."""

    codes: tuple[Line, ...] = Field(min_length=1, max_length=10_000)
    """The codes, one for each unit sold unless the product says otherwise."""


class CodesImported(Command, type="codes.imported", topic=COMMANDS):
    """Codes of a file are in the pool. Sent by fulfillment to itself; never refused. Key: `<store>/<pool>`."""

    added: Count
    """How many codes the import has added; those that were there already are not counted."""
    left: Count | None = None
    """Free codes, counted up to the pool's low-water mark; missing if it has none."""


class ConfigurePool(Command, type="pool.configure", topic=COMMANDS):
    """Set what a pool is called, and below how many free codes staff are told. Key: `<store>/<pool>`."""

    name: Line = ""
    """Its name, as staff read it. Empty: the pool's id."""
    low_water: int = Field(0, ge=0, le=100_000)
    """Staff are told when fewer codes than this are free. 0: only when it is empty."""


class ProvideCode(Command, type="code.provide", topic=COMMANDS):
    """Deliver an item with codes that staff type, instead of those of its pool: one that waits for codes, or failed."""

    item: PartId
    execution: Execution | None = None
    """Which of the item's executions is meant, where several could be: `1/2`."""
    codes: tuple[Line, ...] = Field(min_length=1, max_length=1000)
    """As many as the item needs: `per_unit` for each unit."""
    reason: Line = Field(min_length=1)
    """Why. Appears in the order's timeline."""


class PoolLow(Event, type="pool.low", topic=EVENTS):
    """A pool has fewer free codes than its low-water mark. Told by the order that took the last ones, once, and again
    each day while it stays so."""

    pool: Id
    """The pool's id."""
    name: Line
    """The pool's name, as staff read it."""
    left: Count
    """How many codes are free."""
    low_water: Count
    """The pool's low-water mark: fewer free codes are low."""
    waiting: Count = 0
    """Orders that wait for its codes."""
    since: AwareDatetime
    """Since when it has been low."""
