"""Where a worker's CPU time goes, by stage: a sample of its stack for every millisecond of CPU that it used.

A sample belongs to the innermost frame that the table knows. SQLAlchemy runs the driver in a greenlet, so that the
stack is followed through the greenlet's parent.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType

import greenlet  # type: ignore[import-untyped]  # SQLAlchemy brings it, without types
import psutil

INTERVAL = 0.001
"""Seconds of CPU."""
BEGIN = signal.SIGUSR1
"""Forget what was sampled before: a warm-up."""

STAGES = {
    ("records.py", "inbound_of"): "decode",
    ("batch.py", "_claim"): "load",
    ("batch.py", "_load"): "load",
    ("batch.py", "_load_named"): "load",
    ("rows.py", "fetch"): "load",
    ("rows.py", "current"): "load",
    ("batch.py", "_decide"): "decide",
    ("work.py", "name_rows"): "decide",
    ("effects.py", "*"): "encode",
    ("rows.py", "written"): "encode",
    ("batch.py", "_write"): "save",
    ("batch.py", "*"): "batch",
    ("batcher.py", "*"): "batch",
    ("relay.py", "*"): "relay",
    ("sink.py", "*"): "relay",
    ("source.py", "*"): "read Kafka",
    ("reader.py", "*"): "read Kafka",
    ("engine.py", "*"): "operations",
    ("attempts.py", "*"): "operations",
    ("rules.py", "*"): "operations",
    ("grouped.py", "*"): "operations",
    ("timers.py", "*"): "timers",
}
"""By file of the shell and function; `*`: any other one."""
LIBRARIES = {
    "aiokafka/producer/": "relay",
    "aiokafka/consumer/": "read Kafka",
    "aiokafka/": "Kafka client",
    "asyncpg/": "driver",
}
"""For code outside the project's own frames: the clients' tasks and callbacks."""
ELSE = "else"


def stage_of(frame: FrameType | None) -> str:
    """By the innermost frame of the shell; where there is none, by the library."""
    library = ""
    current = greenlet.getcurrent()
    while frame is not None:
        code = frame.f_code
        ours, theirs = _known(code.co_filename, code.co_name)
        if ours:
            return ours
        library = library or theirs
        frame = frame.f_back
        while frame is None and current.parent is not None:
            current = current.parent
            frame = current.gr_frame
    return library or ELSE


@cache
def _known(path: str, name: str) -> tuple[str, str]:
    """The stage, as one of the shell's frames and as one of a library's."""
    if "shared/shell/" in path:
        file = Path(path).name
        return STAGES.get((file, name)) or STAGES.get((file, "*"), ""), ""
    return "", next((stage for part, stage in LIBRARIES.items() if f"site-packages/{part}" in path), "")


@contextmanager
def sampled(file: Path) -> Iterator[None]:
    """Sample this process, and write seconds of CPU by stage at the end."""
    counts: Counter[str] = Counter()
    process = psutil.Process()
    began = [sum(process.cpu_times()[:2])]

    def sample(_: int, frame: FrameType | None) -> None:
        counts[stage_of(frame)] += 1

    def again(_: int, frame: FrameType | None) -> None:
        counts.clear()
        began[0] = sum(process.cpu_times()[:2])

    signal.signal(signal.SIGPROF, sample)
    signal.signal(BEGIN, again)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        seconds = sum(process.cpu_times()[:2]) - began[0]
        total = max(1, sum(counts.values()))
        file.write_text(json.dumps({stage: seconds * count / total for stage, count in counts.most_common()}))
