"""Faults that the control API injects into answers and webhooks."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from deploy.sandboxes.stripe.cards import RefundCourse

RequestFault = Literal[
    "delay",
    "answer_delay",
    "close_before",
    "close_after",
    "rate_limit",
    "error",
    "error_after",
    "expired_key",
    "forbidden",
]
WebhookFault = Literal["webhook_duplicate", "webhook_delay", "webhook_swap", "webhook_shuffle"]
RefundFault = Literal["refund_pending", "refund_bounce"]
REQUEST_FAULTS, WEBHOOK_FAULTS = get_args(RequestFault), get_args(WebhookFault)
REFUND_FAULTS = get_args(RefundFault)
DELAYS = ("delay", "answer_delay")
KINDS = (*REQUEST_FAULTS, *WEBHOOK_FAULTS, *REFUND_FAULTS)
Metadata = Callable[[], dict[str, str]]


class BadFaultError(ValueError):
    """The control API was asked for a fault that does not exist; the text says what does."""


@dataclass(slots=True)
class Fault:
    """One fault. It strikes what matches, `count` times (None: forever), each time with that `probability`, and for
    `seconds` from when it was set (None: forever)."""

    id: str
    kind: str
    path: str = ""
    method: str | None = None
    event: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    count: int | None = 1
    seconds: float | None = None
    probability: float = 1.0
    milliseconds: int = 0
    retry_after: float = 1.0
    copies: int = 2
    saved: bool = False
    failure_reason: str = "expired_or_canceled_card"
    hits: int = 0
    set_at: float = field(default_factory=time.monotonic)

    def strikes(self, rng: random.Random) -> bool:
        if self.seconds is not None and time.monotonic() > self.set_at + self.seconds:
            return False
        if self.count == 0 or (self.probability < 1 and rng.random() >= self.probability):
            return False
        self.hits += 1
        if self.count is not None:
            self.count -= 1
        return True

    def concerns(self, metadata: Metadata) -> bool:
        return not self.metadata or self.metadata.items() <= metadata().items()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


class Faults:
    """The faults that are set, in the order they were set. Not kept across a restart."""

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self.rng = random.Random(0)  # noqa: S311  (faults are drawn, not secrets)
        self._made = 0

    def add(self, request: dict[str, Any]) -> Fault:
        match_ = request.pop("match", {})
        if request.get("kind") not in KINDS:
            raise BadFaultError(f"kind must be one of {', '.join(KINDS)}")
        for name in ("count", "seconds", "milliseconds", "copies", "probability", "retry_after"):
            if (
                name in request
                and not (request[name] is None and name in ("count", "seconds"))
                and not _is_number(request[name])
            ):
                raise BadFaultError(f"{name} must be a number, 0 or more")
        self._made += 1
        try:
            fault = Fault(f"fault_{self._made}", **match_, **request)
        except TypeError as wrong:
            raise BadFaultError(f"{wrong}; README.md lists the fields") from None
        self.active.append(fault)
        return fault

    def remove(self, identifier: str | None = None) -> None:
        """One fault, or all."""
        self.active = [fault for fault in self.active if identifier is not None and fault.id != identifier]

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self.active]

    def for_request(self, method: str, path: str, metadata: Metadata) -> list[Fault]:
        """Those that strike this request: any number of delays and at most one other."""
        struck: list[Fault] = []
        for fault in self.active:
            if fault.kind not in REQUEST_FAULTS or not path.startswith(fault.path):
                continue
            if fault.method not in (None, method) or not fault.concerns(metadata):
                continue
            taken = fault.kind not in DELAYS and any(other.kind not in DELAYS for other in struck)
            if not taken and fault.strikes(self.rng):
                struck.append(fault)
        return struck

    def for_refund(self, metadata: Metadata) -> RefundCourse | None:
        """How a refund goes on that is made now; None: as its card says."""
        course: RefundCourse | None = None
        for fault in self.active:
            if fault.kind not in REFUND_FAULTS or not fault.concerns(metadata) or not fault.strikes(self.rng):
                continue
            course, after = course or RefundCourse(), fault.milliseconds / 1000
            if fault.kind == "refund_pending":
                course = replace(course, pending=after or None)
            else:
                course = replace(course, bounces=after, reason=fault.failure_reason)
        return course

    def for_event(self, type_: str, metadata: Metadata) -> list[Fault]:
        return [
            fault
            for fault in self.active
            if fault.kind in WEBHOOK_FAULTS
            and fault.event in (None, type_)
            and fault.concerns(metadata)
            and fault.strikes(self.rng)
        ]
