"""Where a worker's spans go. `observability/telemetry.py` is production's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

Value = str | int | bool
Kind = Literal["internal", "server", "client", "consumer"]


@dataclass(frozen=True, slots=True)
class Span:
    """Something that was done, told when it is over. Attributes are ids, types and counts: no personal data."""

    name: str
    kind: Kind
    context: str
    """Trace context whose span id is this span's."""
    parent: str
    """Trace context whose span id is the parent's; empty for the root."""
    start: datetime
    end: datetime
    attributes: Mapping[str, Value] = field(default_factory=dict)
    failed: bool = False


class Tracer(Protocol):
    """Takes spans, never waits, never raises. Where there is none, no span is made."""

    def record(self, span: Span) -> None: ...
