"""Reads the status topics from their beginning, and compares a service's read models with them, in use as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka import TopicPartition

from deploy.check.read_models.comparison import Comparison, Differing
from deploy.check.read_models.latest import LatestRecords
from deploy.check.topics import Topics
from deploy.settings import database_of
from services.declared import declared
from shared.settings import Settings
from shared.shell.kafka.source import bus_record
from shared.shell.postgres.engine import CONNECTION_SETTINGS, new_engine

SETTLE_SECONDS = 10.0
"""Seconds after which what still differs does so for good: a worker is that far behind at most, as a rule."""
LOOK_SECONDS = 0.5
ROUNDS = 5
"""How often what differs is written again before it is given up: a record may come in between."""
Progress = Callable[[str, int, int], None]
"""Told what is done (`read`, `compare`), how far, and of how much."""


@dataclass
class Report:
    """What a comparison came to."""

    rows: int
    """Records whose rows were compared."""
    unreadable: int
    """Records that this build cannot show."""
    differing: Differing = field(default_factory=dict)
    counts: list[str] = field(default_factory=list)
    """Counters that are wrong, in words."""
    fixed: int = 0
    behind: int = 0
    """Records of topics that had been written when the comparison ended, and that the service had yet to read."""

    @property
    def ok(self) -> bool:
        return not self.differing and not self.counts

    def lines(self) -> list[str]:
        keys = [(key, said) for kind in self.differing.values() for key, said in kind.items()]
        return [*(f"{key}: {said}" for key, said in sorted(keys)), *self.counts]


def _silent(what: str, done: int, whole: int) -> None:
    """Progress that nothing is told of."""


async def compare(
    settings: Settings,
    service: str,
    *,
    fix: bool = False,
    since: datetime | None = None,
    progress: Progress = _silent,
) -> Report:
    """`fix`: write what differs again. `since`: only what was told from then on is compared. Raises BusUnavailable,
    OSError and what the database's driver raises."""
    declaration = declared()[service]
    projection, tables = declaration.projection, declaration.storage.read_models
    assert projection is not None and tables is not None
    unlimited = {**CONNECTION_SETTINGS, "statement_timeout": "0", "application_name": "orderbus read models"}
    engine = new_engine(database_of(settings, service), unlimited)
    try:
        with LatestRecords() as latest:
            comparison = Comparison(engine, projection, tables, latest)
            return await _compared(settings, comparison, fix=fix, since=since, progress=progress)
    finally:
        await engine.dispose()


async def _compared(
    settings: Settings, comparison: Comparison, *, fix: bool, since: datetime | None, progress: Progress
) -> Report:
    ends = await _read(settings, comparison, since, progress)
    differing = await comparison.compare(whole=since is None)
    progress("compare", comparison.compared, comparison.compared)
    differing, ends = await _settled(settings, comparison, differing, ends)
    fixed = 0
    for _ in range(ROUNDS if fix else 0):
        written = await comparison.fix(differing)
        if not written:
            break
        fixed += written
        differing, ends = await _settled(settings, comparison, differing, ends)
    counts = await comparison.wrong_counts()
    if fix and counts:
        await comparison.count_again()
        counts = await comparison.wrong_counts()
    behind = await comparison.behind(ends)
    return Report(comparison.compared, comparison.unreadable, differing, counts, fixed, behind)


async def _settled(
    settings: Settings, comparison: Comparison, differing: Differing, ends: Mapping[TopicPartition, int]
) -> tuple[Differing, Mapping[TopicPartition, int]]:
    """What differs after a while, with what has been written meanwhile, here and there."""
    deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
    while differing and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
        ends = await _read(settings, comparison, ends, _silent)
        differing = await comparison.again(differing)
    return differing, ends


async def _read(
    settings: Settings,
    comparison: Comparison,
    since: Mapping[TopicPartition, int] | datetime | None,
    progress: Progress,
) -> Mapping[TopicPartition, int]:
    """From there to the end as it is now, which is returned."""
    async with Topics(settings.kafka, comparison.topics()) as topics:
        begin = await topics.offsets_at(since) if isinstance(since, datetime) else since or {}
        starts = {place: begin.get(place, first) for place, first in topics.first.items()}
        whole = sum(max(0, topics.ends[place] - start) for place, start in starts.items())
        done = 0
        async for records in topics.read(starts):
            comparison.take(bus_record(record) for record in records)
            done += len(records)
            progress("read", done, whole)
            await asyncio.sleep(0)
        return dict(topics.ends)
