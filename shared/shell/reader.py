"""From Kafka into the handler: decode, keep what this service handles, and remember how far it came."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from operator import itemgetter

import structlog

from shared.contracts.envelope import BadBody, BadEnvelope, decode, from_headers, message_type, read_key
from shared.core import Command, Problem
from shared.shell.batch.handler import Handler
from shared.shell.batch.inbound import (
    Inbound,
    Malformed,
    Meta,
    RecordSource,
    Undecodable,
    content_of,
    identity_of,
    named_store,
    record_id,
)
from shared.shell.errors import describe, printable
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import Progress
from shared.shell.ports.bus import BusRecord, BusUnavailable, Source
from shared.shell.ports.clock import back_off
from shared.shell.registry import HandlerRegistry

log = structlog.get_logger(__name__)
MOST_WAITING = 32_000_000
"""Bytes of records: nothing more is read while so many wait to be handled."""


def inbound_of(registry: HandlerRegistry, record: BusRecord) -> Inbound | None:
    """A record as a message for the core; None for an event that this service does not care about.

    Never raises: what cannot be read becomes `Undecodable` (parked), a command with a wrong body `Malformed` (refused).
    """
    if not record.unreadable and (record.topic, dict(record.headers).get("ce_type")) in registry.foreign:
        return None
    place = RecordSource(record.topic, record.partition, record.offset, record.key, record.headers, record.value)
    if record.unreadable:
        return _undecodable(record, place, record.unreadable)
    try:
        return _read(registry, record, place)
    except BadEnvelope as wrong:
        return _undecodable(record, place, str(wrong))
    except Exception as bug:
        log.exception("record cannot be read", record=place.place, error=type(bug).__name__)
        return _undecodable(record, place, describe(bug))


def _read(registry: HandlerRegistry, record: BusRecord, place: RecordSource) -> Inbound | None:
    envelope = from_headers(record.headers, record.key)
    kind = message_type(envelope)
    if kind.topic.name != record.topic:
        raise BadEnvelope(f"{kind.type} does not belong on this topic")
    if not registry.handles(kind):
        if issubclass(kind, Command):
            raise BadEnvelope(f"{registry.name} does not handle {kind.type}")
        return None
    meta = Meta(
        envelope.correlation_id or str(envelope.id),
        envelope.store,
        envelope.traceparent,
        envelope.actor or ("customer" if kind.topic.owner == "storefront" else "system"),
    )
    message: object
    try:
        message = decode(kind, record.value)
    except BadBody as wrong:
        message = Malformed.of(wrong) if issubclass(kind, Command) else Undecodable(kind.type, str(wrong))
    if isinstance(message, Command) and envelope.store and named_store(message) not in ("", envelope.store):
        text = "The body names another store than the header ce_store."
        message = Malformed(kind, (Problem(field="store", code="other_store", text=text),))
    return Inbound(
        envelope.id,
        envelope.subject,
        message,
        meta,
        place,
        claim=identity_of(envelope.source, envelope.id),
        content=content_of(envelope.type, envelope.subject, record.value or b""),
        source=envelope.source,
        occurred=envelope.time,
    )


def _undecodable(record: BusRecord, place: RecordSource, error: str) -> Inbound:
    """Under its key where it has one, else under a key of its own, so that it holds nothing else up."""
    key, wrong = read_key(record.key)
    kind = (dict(record.headers).get("ce_type") or b"").decode("utf-8", "replace")
    identity = record_id(record.topic, record.partition, record.offset, record.at)
    message = Undecodable(printable(kind, 100), error, bool(record.unreadable))
    return Inbound(identity, place.place if wrong else key, message, Meta(), place)


def _size(record: BusRecord) -> int:
    return len(record.value or b"") + sum(map(len, filter(None, map(_value_of, record.headers))))


_value_of: Callable[[tuple[str, bytes | None]], bytes | None] = itemgetter(1)


class Reader:
    """Reads for ever; commits positions once a second and at the end."""

    def __init__(
        self,
        registry: HandlerRegistry,
        source: Source,
        handler: Handler,
        metrics: Metrics,
        limit: int,
        rng: random.Random,
        progress: Progress | None = None,
    ) -> None:
        self.registry, self.source, self.handler, self.metrics = registry, source, handler, metrics
        self.limit = limit
        self.rng = rng
        self.progress = progress or Progress()
        self._handled: dict[tuple[str, int], int] = {}
        self._waiting = 0
        """Bytes of the records that were read and are not handled yet."""
        self._fewer = asyncio.Event()
        self._stopping = False

    async def run(self) -> None:
        troubles = 0
        while not self._stopping:
            try:
                records = await self.source.read(self.limit)
                troubles = 0
            except BusUnavailable as trouble:
                troubles += 1
                self.progress.waits("reader")
                if troubles in (1, 10, 100):
                    log.warning("kafka unavailable, trying again", error=str(trouble), times=troubles)
                await asyncio.sleep(back_off(0.1, troubles, self.rng, 5.0))
                continue
            if records:
                self.progress.rests("reader")  # the next step is the handler's
                await self._take(records)
            elif self.source.lag():
                self.progress.waits("reader")
            else:
                self.progress.rests("reader")

    async def _take(self, records: Sequence[BusRecord]) -> None:
        inbounds = [inbound for record in records if (inbound := inbound_of(self.registry, record))]
        self.metrics.skipped.inc(len(records) - len(inbounds))
        for record in records:
            if record.unreadable:
                self.metrics.unreadable.inc()
                place = f"{record.topic}/{record.partition}/{record.offset}"
                log.error("record cannot be parsed, stepped over", record=place, error=record.unreadable)
        positions = {(record.topic, record.partition): record.offset + 1 for record in records}
        size = sum(map(_size, records))

        def handled() -> None:
            self._handled.update(positions)
            self._waiting -= size
            self._fewer.set()

        self._waiting += size
        await self.handler.put(inbounds, handled)
        while self._waiting > MOST_WAITING:
            self._fewer.clear()
            await self._fewer.wait()

    async def keep_positions(self, every: float = 1.0) -> None:
        while True:
            await asyncio.sleep(every)
            await self.commit()

    async def commit(self) -> None:
        """Tell Kafka how far this worker came; after a failure the inbox sorts the repetitions out."""
        if self._handled:
            positions, self._handled = self._handled, {}
            try:
                await self.source.commit(positions)
            except BusUnavailable as trouble:
                self._handled = positions | self._handled
                log.info("positions not committed", error=str(trouble))

    def stop(self) -> None:
        """Read nothing more."""
        self._stopping = True
