"""Which commands would be accepted now: each is decided on the core that decides it in earnest, and nothing of that is
kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

from shared.core.core import Core
from shared.core.decision import Context, Ref, Refused
from shared.core.explanation import Possible
from shared.core.ids import NIL
from shared.core.messages import Command

S = TypeVar("S")
Rows = Mapping[Ref[Any], object]


def needed_rows(core: Core[S], state: S, commands: Iterable[Command], key: str) -> set[Ref[Any]]:
    """The other rows by which these commands are decided."""
    handlings = [(core.handlers[type(command)], command) for command in commands]
    declared = [(each, command) for handling, command in handlings for each in (handling.locks, handling.reads) if each]
    return {ref for rows, command in declared for ref in rows(command, key, state)}


def possible(
    core: Core[S], state: S, commands: Iterable[Command], key: str, at: datetime, rows: Rows | None = None
) -> Iterator[Possible]:
    """`rows`: those that are needed; None for one that is not there."""
    for command in commands:
        refused = core.decide(state, command, Context(at, key, NIL, actor="staff", rows=rows or {}))
        if isinstance(refused, Refused):
            yield Possible(command.type, False, refused.code, refused.text)
        else:
            yield Possible(command.type, True)
