"""From records to what they come to: per key only the last status record that can be read is looked at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson
import structlog

from shared.contracts.envelope import (
    BadBody,
    BadMessage,
    Envelope,
    UnknownMessage,
    decode,
    from_headers,
    message_type,
    read_key,
)
from shared.core import Event
from shared.core.fast_dataclasses import replace
from shared.core.projection import About, Projection, Row, Shown
from shared.shell.inbound.errors import describe
from shared.shell.inbound.message import Undecodable, identity_of, record_id
from shared.shell.inbound.parked_rows import parked_row
from shared.shell.inbound.records import undecodable
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.read_models import Folded, Place, ReadModelTables, ShownRow
from shared.shell.ports.rows import NEWER, PROJECTED, ParkedRow

log = structlog.get_logger(__name__)


@dataclass
class Counts:
    """What happened to the records of a batch."""

    shown: int = 0
    kept: int = 0
    repeated: int = 0
    """Read before."""
    unknown: int = 0
    """Of a type or version that this build does not know."""
    unreadable: int = 0


@dataclass
class _Batch:
    moves: dict[Place, tuple[int, int]] = field(default_factory=dict)
    shown: dict[str, dict[str, ShownRow]] = field(default_factory=dict)
    """By kind of row, and key."""
    kept: list[Row] = field(default_factory=list)
    parked: list[ParkedRow] = field(default_factory=list)
    told: set[tuple[str, str]] = field(default_factory=set)
    counts: Counts = field(default_factory=Counts)


class Fold:
    """What a service's projection makes of records. Pure: its time is given."""

    def __init__(self, projection: Projection, tables: ReadModelTables) -> None:
        self.projection = projection
        self._records = {record.topic.name: record for record in projection.shown}
        self._keeps = {topic.name: function for topic, function in projection.kept.items()}
        self._tables = {table.kind: table for table in tables.shown}
        self._parts = {table.kind: {part.kind: part.table.name for part in table.parts} for table in tables.shown}

    def topics(self) -> list[str]:
        return [topic.name for topic in self.projection.topics()]

    def fold(
        self,
        records: Sequence[BusRecord],
        positions: Mapping[Place, int],
        now: datetime,
        parked: Collection[tuple[str, str]] = (),
        on_unknown: Callable[[str, int], None] = lambda type, version: None,
    ) -> tuple[Folded, Counts]:
        """`positions`: how far each partition has been read. `parked`: topics and keys of which something is."""
        batch, by_key = _Batch(), dict[tuple[str, int, bytes | None], list[BusRecord]]()
        for record in records:
            place = (record.topic, record.partition)
            start, following = batch.moves.get(place, (positions.get(place, 0),) * 2)
            if record.offset < following:
                batch.counts.repeated += 1
                continue
            batch.moves[place] = (start, record.offset + 1)
            if record.unreadable:
                batch.counts.unreadable += 1
                where = f"{record.topic}/{record.partition}/{record.offset}"
                log.error("record cannot be parsed, skipped", record=where, error=record.unreadable)
                continue
            if record.topic in self._keeps:
                self._keep(batch, record)
            if record.topic in self._records:
                by_key.setdefault((record.topic, record.partition, record.key), []).append(record)
        for of_key in by_key.values():
            self._show_last(batch, of_key, now, on_unknown)
        caught_up = batch.told & set(parked) if parked else ()
        return Folded(batch.moves, _listed(batch.shown), batch.kept, batch.parked, caught_up), batch.counts

    def parking(self, record: BusRecord, positions: Mapping[Place, int], error: str, now: datetime) -> Folded:
        """A record whose rows the database refuses is parked instead."""
        place = (record.topic, record.partition)
        row = _row_of(record, "failed", error, now)
        return Folded({place: (positions.get(place, 0), record.offset + 1)}, parked=[row])

    def again(self, record: BusRecord, parked: int) -> Folded:
        """A parked record, by the id of its row, to be written now that it can be. Raises what is still wrong."""
        batch = _Batch()
        if record.topic in self._keeps:
            self._keep(batch, record)
        if record.topic in self._records:
            row = self._read(record)
            self._enter(batch, row)
        return Folded({}, _listed(batch.shown), batch.kept, released=[parked])

    def _keep(self, batch: _Batch, record: BusRecord) -> None:
        batch.kept.append(self._keeps[record.topic](record.value or b"", _about(record, _envelope(record))))
        batch.counts.kept += 1

    def _show_last(
        self, batch: _Batch, records: Sequence[BusRecord], now: datetime, on_unknown: Callable[[str, int], None]
    ) -> None:
        """The last that can be read; those behind it are parked."""
        unread: list[ParkedRow] = []
        for record in reversed(_by_revision(records)):
            try:
                row = self._read(record)
            except UnknownMessage:
                envelope = from_headers(record.headers, record.key)
                on_unknown(envelope.type, envelope.version)
                batch.counts.unknown += 1
                continue
            except Exception as error:
                unread.append(_parked(record, error, now))
                continue
            self._enter(batch, row)
            batch.told.add((record.topic, (record.key or b"").decode()))
            batch.counts.shown += 1
            break
        batch.parked += reversed(unread)

    def _enter(self, batch: _Batch, row: ShownRow) -> None:
        """A key has records in two partitions where some were added to the topic: the higher revision is shown."""
        table = self._tables[type(row.row)]
        rows = batch.shown.setdefault(table.kind.__name__, {})
        other = rows.get(key := getattr(row.row, table.key))
        if other is None or getattr(other.row, table.revision) <= getattr(row.row, table.revision):
            rows[key] = row

    def _read(self, record: BusRecord) -> ShownRow:
        """Raises BadMessage, or what the projection's function raises."""
        kind = self._records[record.topic]
        if record.value is None:
            key, wrong = read_key(record.key)
            if wrong:
                raise BadMessage(wrong)
            return self._row(self.projection.blank[kind](key), erased=True)
        envelope = from_headers(record.headers, record.key)
        if message_type(envelope) is not kind:
            raise UnknownMessage(f"{envelope.type} is no status record of {record.topic}")
        message = decode(kind, record.value)
        assert isinstance(message, Event)
        shown: Shown = self.projection.shown[kind](message, _about(record, envelope))
        return self._row(shown.row, shown.parts)

    def _row(self, row: Row, parts: Sequence[Row] = (), *, erased: bool = False) -> ShownRow:
        tables = self._parts[type(row)]
        found: dict[str, list[Row]] = {name: [] for name in tables.values()}
        for part in parts:
            found[tables[type(part)]].append(part)
        return ShownRow(row, found, erased)


def _by_revision(records: Sequence[BusRecord]) -> Sequence[BusRecord]:
    """As they came, but where an earlier one was sent late: by a relay that did not know yet that another one had its
    place. Before and after one that erases, each by themselves, as if read apart."""
    if len(records) == 1:
        return records
    found, erased, revision = list[tuple[int, int, BusRecord]](), 0, 0
    for record in records:
        if record.value is None:
            erased, revision = erased + 1, 0
        else:
            revision = _revision_of(record.value, revision)
        found.append((erased, revision, record))
    found.sort(key=lambda each: each[:2])
    return [record for _, _, record in found]


def _revision_of(value: bytes, before: int) -> int:
    """Of a status record; that of the record before, where it cannot be read."""
    try:
        revision = orjson.loads(value)["revision"]
    except (ValueError, TypeError, KeyError):
        return before
    return revision if isinstance(revision, int) else before


def _parked(record: BusRecord, error: Exception, now: datetime) -> ParkedRow:
    text = str(error) if isinstance(error, BadMessage) else describe(error)
    return _row_of(record, NEWER if is_newer(record, error) else "failed", text, now)


def _row_of(record: BusRecord, reason: str, text: str, now: datetime) -> ParkedRow:
    return replace(parked_row(undecodable(record, text), reason, text, now), origin=PROJECTED)


def is_newer(record: BusRecord, error: Exception) -> bool:
    """Its owner checks what it sends: a newer build of it sent what this one cannot read."""
    if not isinstance(error, BadBody):
        return False
    return from_headers(record.headers, record.key).source == error.kind.topic.owner


def _envelope(record: BusRecord) -> Envelope | None:
    try:
        return from_headers(record.headers, record.key)
    except BadMessage:
        return None


def _about(record: BusRecord, envelope: Envelope | None) -> About:
    """Of a record whose headers cannot be read, what its place tells."""
    if envelope is None:
        inbound = undecodable(record, "")
        assert isinstance(inbound.message, Undecodable)
        place = record_id(record.topic, record.partition, record.offset, record.at)
        return About(
            inbound.key, place, "", inbound.message.type, 0, record.at, topic=record.topic, body=record.value or b""
        )
    return About(
        envelope.subject,
        identity_of(envelope.source, envelope.id),
        envelope.source,
        envelope.type,
        envelope.version,
        envelope.time,
        envelope.store,
        envelope.sequence,
        envelope.actor,
        envelope.correlation_id,
        envelope.causation_id,
        record.topic,
        record.value or b"",
    )


def _listed(shown: Mapping[str, Mapping[str, ShownRow]]) -> dict[str, list[ShownRow]]:
    return {kind: list(rows.values()) for kind, rows in shown.items()}
