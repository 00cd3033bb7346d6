"""Jobs: what staff start and do not wait for. Which states they go through, and who may stop them when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from shared.core.fast_enums import StrEnum


class JobKind(StrEnum):
    EXPORT = "export"
    """Orders as a file, as they are at one moment."""
    BULK = "bulk"
    """The same command to many orders."""


class JobState(StrEnum):
    WAITING = "waiting"
    """For a worker."""
    RUNNING = "running"
    PAUSING = "pausing"
    """Staff have paused it, and its worker ends what it has begun."""
    PAUSED = "paused"
    CANCELLING = "cancelling"
    """Staff have cancelled it, and its worker ends what it has begun."""
    CANCELLED = "cancelled"
    FAILED = "failed"
    """It could not go on. What was done is done."""
    DONE = "done"


S = JobState
JobRequest = Literal["pause", "resume", "cancel"]
RUNS = frozenset({S.RUNNING, S.PAUSING, S.CANCELLING})
"""A worker has it, or had it when it was killed."""
ENDED = frozenset({S.CANCELLED, S.FAILED, S.DONE})
REQUESTS: Mapping[JobRequest, Mapping[JobState, JobState]] = {
    "pause": {S.WAITING: S.PAUSED, S.RUNNING: S.PAUSING},
    "resume": {S.PAUSED: S.WAITING, S.PAUSING: S.RUNNING, S.FAILED: S.WAITING},
    "cancel": {S.WAITING: S.CANCELLED, S.PAUSED: S.CANCELLED, S.RUNNING: S.CANCELLING, S.PAUSING: S.CANCELLING},
}
"""What follows from what staff ask for."""
UNCHANGED: Mapping[JobRequest, frozenset[JobState]] = {
    "pause": frozenset({S.PAUSING, S.PAUSED}),
    "resume": frozenset({S.WAITING, S.RUNNING}),
    "cancel": frozenset({S.CANCELLING, S.CANCELLED}),
}
"""It was asked for already."""
STOPPED: Mapping[JobState, JobState] = {S.PAUSING: S.PAUSED, S.CANCELLING: S.CANCELLED}
"""What it is once its worker has stopped."""
MOST_TRIES = 3
"""A job that fails is tried so many times."""
MOST_BREAKS = 10
"""So often its worker may be killed, without anything done in between."""


def after_request(kind: JobKind, state: JobState, request: JobRequest) -> JobState | None:
    """The state that follows; None where the request is refused. An export is of one moment: it cannot be paused, and
    begins again when it is resumed."""
    if request == "pause" and kind is JobKind.EXPORT:
        return None
    if state in UNCHANGED[request]:
        return state
    return REQUESTS[request].get(state)


def why_not(kind: JobKind, state: JobState, request: JobRequest) -> str:
    """Why a request is refused, for staff."""
    if request == "pause" and kind is JobKind.EXPORT and state not in ENDED:
        return "An export shows orders as they are at one moment, so it cannot be paused. Cancel it."
    done = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}[request]
    return f"This job is {state}: it cannot be {done}."


def after_failure(tries: int) -> JobState:
    """`tries`: how often it has failed, this time included."""
    return S.FAILED if tries >= MOST_TRIES else S.WAITING


def pause_after_failure(tries: int) -> float:
    """Seconds until the next try."""
    return 5.0 * pow(6.0, tries - 1)


def gives_up(tries: int) -> bool:
    """Whether it was broken off too often to be taken up again."""
    return tries > MOST_BREAKS
