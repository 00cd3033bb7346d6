"""What a service's own topics say of the time that its restored database has forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from deploy.check.evidence import counted_topics
from deploy.check.topics import Topics
from shared.contracts.envelope import BadMessage, from_headers
from shared.settings import KafkaSettings
from shared.shell.batch.own_log import OwnLog, Said, said_by
from shared.shell.kafka.record_batches import Unreadable
from shared.shell.operations.recall import recalled_kinds, recalled_topics
from shared.shell.service.registry import HandlerRegistry


async def latest_epoch(settings: KafkaSettings, registry: HandlerRegistry, since: datetime) -> int:
    """The latest epoch in which something was published. A database that is restored again to the same point does not
    know of it. Raises BusUnavailable."""
    latest = 0
    async for found in _facts(settings, registry, since, since):
        latest = max([latest, *(epoch for epoch, _ in found)])
    return latest


async def read_own_facts(
    log: OwnLog, settings: KafkaSettings, registry: HandlerRegistry, since: datetime, to: datetime
) -> None:
    """Everything since then; what is later than `to` is not known to the database. Raises BusUnavailable."""
    log.open()
    async for found in _facts(settings, registry, since, to):
        log.add(said for _, said in found)


async def _facts(
    settings: KafkaSettings, registry: HandlerRegistry, since: datetime, to: datetime
) -> AsyncIterator[Sequence[tuple[int, Said]]]:
    """Each with its epoch."""
    kept = recalled_kinds(registry.service)
    async with Topics(settings, sorted(counted_topics(registry) | recalled_topics(registry.service))) as topics:
        async for records in topics.read(await topics.offsets_at(since)):
            found = []
            for record in records:
                if isinstance(record, Unreadable):
                    continue
                try:
                    it = from_headers(record.headers, record.key)
                except BadMessage:
                    continue
                late = datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC) > to
                if it.source == registry.name and (said := said_by(it, record.value or b"", kept, late=late)):
                    found.append((it.epoch, said))
            yield found
