"""How consumers read the record batches of Kafka: what aiokafka cannot parse is handed on as `Unreadable`, not raised.

aiokafka 0.14 raises in the middle of a fetch for a header name that is not UTF-8, for damaged records and for codecs
that it lacks. The records that it had already taken out of other partitions are then lost to the caller, the position
stays where it was, and the next fetch raises again. It also decompresses without a limit. It offers no way to change
this, so `install` replaces the classes that its fetcher parses with. As long as a batch is well-formed, all the work
per record is done by aiokafka's own C parser.

A batch is parsed record by record in Python (`_one_by_one`) only after something in it has raised. Header names that
are not UTF-8 are then decoded with `surrogateescape`, which keeps their bytes.

The format: Kafka protocol guide, "Record Batch" and "Record" (magic 2).
"""

from __future__ import annotations

import contextlib
import struct
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar

from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.structs import ConsumerRecord

from shared.shell.kafka.decompression import LIMIT, CannotDecompress, decompress

_HEAD = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and greatest timestamp, producer
id and epoch, base sequence, number of records."""
_OVERHEAD = 12
"""Bytes of offset and length, in front of what the length counts."""
_SMALLEST = 14
_MAGIC, _ATTRIBUTES, _LEGACY_ATTRIBUTES = 16, 21, 17
_CODEC, _LOG_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20
FETCHES = 3
"""How often a batch that does not match its checksum is fetched before it is given up."""


@dataclass
class Unreadable(ConsumerRecord):  # type: ignore[misc]  # aiokafka is untyped
    """Stands in for one record, or for the rest of a batch, that cannot be parsed. The offset is that of the last."""

    error: str = ""


class Damaged(Exception):
    """What is wrong with a record or a batch, in words."""


class Misplaced(Exception):
    """A record's offset is impossible at its place in the batch."""


class FetchAgain(Exception):
    """The batch does not match its checksum; the network may be at fault."""


def install() -> None:
    """Make every consumer of this process read as this module does."""
    fetcher.MemoryRecords, fetcher.PartitionRecords, fetcher.FetchResult = Batches, TolerantRecords, BoundedResult


@dataclass
class FetchBudget:
    """How many bytes of batches may still be opened by what reads in this context."""

    left: int


_budget: ContextVar[FetchBudget | None] = ContextVar("fetch_budget", default=None)


@contextlib.contextmanager
def at_most(size: int) -> Iterator[None]:
    """Reads in this context open no more batches when these have so many bytes, decompressed; at least one is read."""
    before = _budget.set(FetchBudget(size))
    try:
        yield
    finally:
        _budget.reset(before)


class BoundedResult(FetchResult):  # type: ignore[misc]
    """One partition's part of a fetch: handed out up to a number of records, and as far as the fetch budget goes."""

    _partition_records: TolerantRecords | None

    def getall(self, max_records: int | None = None) -> list[Any]:
        budget, found = _budget.get(), list[Any]()
        if budget is None:
            return super().getall(max_records)  # type: ignore[no-any-return]
        if (
            budget.left <= 0
            or not self.check_assignment(self._topic_partition)
            or (records := self._partition_records) is None
        ):
            return found
        until = records.opened + budget.left
        for record in records:
            found.append(record)
            if len(found) == max_records or records.opened >= until:
                break
        else:
            self._partition_records = None
        budget.left = until - records.opened
        self._assignment.state_value(self._topic_partition).consumed_to(records.next_fetch_offset)
        return found


class Batches:
    """The bytes of one partition in a fetch. Stands in for aiokafka's MemoryRecords."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def size_in_bytes(self) -> int:
        return len(self.data)

    def has_next(self) -> bool:
        return next(iter(self), None) is not None

    def __iter__(self) -> Iterator[memoryview]:
        """Batch by batch. A fetch mostly ends in the middle of a batch; that part is left out. After an impossible
        length the next one cannot be found: all the rest comes as one piece."""
        data, start = memoryview(self.data), 0
        while len(data) - start > _LEGACY_ATTRIBUTES:
            length = int.from_bytes(data[start + 8 : start + 12], signed=True)
            if length < _SMALLEST:
                yield data[start:]
                return
            end = start + _OVERHEAD + length
            if end > len(data):
                return
            yield data[start:end]
            start = end


class TolerantRecords(PartitionRecords):  # type: ignore[misc]
    """The records of one partition in a fetch, in order; only committed ones, where the consumer asks for that."""

    next_fetch_offset: int
    opened = 0
    """Bytes of the batches that were begun so far, decompressed."""
    _mismatches: ClassVar[Counter[tuple[str, int, int]]] = Counter()

    def _unpack_records(self) -> Iterator[Any]:
        before = self.next_fetch_offset
        for data in self._records:
            self.opened += len(data)
            try:
                batch = self._batch(data)
                if batch is None:
                    continue
                least, most = _possible_offsets(data)
                for record in batch:
                    offset = record.offset
                    if not least <= offset <= most:
                        raise Misplaced
                    least, most = offset + 1, most + 1
                    if offset < self.next_fetch_offset:
                        continue  # a fetch begins with the whole batch that contains the offset asked for
                    found = self._consumer_record(self._tp, record)
                    self.next_fetch_offset = least
                    yield found
                self._pass_over(batch.next_offset)
            except FetchAgain:
                return
            except Exception as error:
                yield from self._one_by_one(data, error)
        if self.next_fetch_offset == before:  # or the same would be fetched forever
            self.next_fetch_offset = before + 1
            yield self._unreadable(before, before, 0, Damaged("the batch ends before its offset"))

    def _batch(self, data: memoryview) -> Any:
        """The batch, ready to be iterated; None for one that holds nothing for us. The steps are aiokafka's."""
        if data[_MAGIC] < 2:
            if data[_LEGACY_ATTRIBUTES] & _CODEC:
                raise Damaged("compressed in the format of before Kafka 0.11")
            legacy = LegacyRecordBatch(data, data[_MAGIC])
            self._check(legacy)
            return legacy
        if len(data) < _HEAD.size:
            raise Damaged("the batch is shorter than its header")
        batch = DefaultRecordBatch(data)
        self._check(batch)
        attributes = batch.attributes
        if not attributes & (_CODEC | _TRANSACTIONAL | _CONTROL):
            return batch
        if self._isolation_level == READ_COMMITTED:
            self._consume_aborted_up_to(batch.base_offset)
            if attributes & _CONTROL and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if attributes & _TRANSACTIONAL and batch.producer_id in self._aborted_producers:
                return self._pass_over(batch.next_offset)
        if attributes & _CONTROL:
            return self._pass_over(batch.next_offset)
        return self._decompressed(data) if attributes & _CODEC else batch

    def _decompressed(self, data: memoryview) -> Any:
        """The batch as if it had never been compressed. Raises Damaged or TooLarge."""
        head = _HEAD.unpack_from(data)
        body, whole = _body(data, head)
        self.opened += len(body)
        if not whole:
            raise TooLarge(f"larger than {LIMIT:,} bytes decompressed")
        plain = bytearray(data[: _HEAD.size])
        plain[_ATTRIBUTES : _ATTRIBUTES + 2] = (head[5] & ~_CODEC).to_bytes(2, signed=True)
        return DefaultRecordBatch(bytes(plain) + body)

    def _check(self, batch: Any) -> None:
        if not self._check_crcs or batch.validate_crc():
            return
        place = (self._tp.topic, self._tp.partition, self.next_fetch_offset)
        self._mismatches[place] += 1
        if self._mismatches[place] < FETCHES:
            raise FetchAgain
        del self._mismatches[place]
        raise Damaged("the batch does not match its checksum")

    def _pass_over(self, next_offset: int) -> None:
        self.next_fetch_offset = max(self.next_fetch_offset, next_offset)

    def _one_by_one(self, data: memoryview, error: Exception) -> Iterator[Any]:
        """What can be read of a batch that raised, from the next record on; the rest as unreadable."""
        first = last = int.from_bytes(data[:8], signed=True)
        at = 0
        try:
            if isinstance(error, Damaged):
                raise error
            head = _HEAD.unpack_from(data)
            last, at = first + head[6], head[8]
            if head[5] & _CONTROL:
                raise Damaged("a damaged control batch")
            for offset, found in _records(data, head):
                if offset < self.next_fetch_offset:
                    continue
                self.next_fetch_offset = offset + 1
                if isinstance(found, Damaged):
                    yield self._unreadable(offset, offset, at, found)
                else:
                    yield ConsumerRecord(self._tp.topic, self._tp.partition, offset, *found)
            self._pass_over(last + 1)
        except (Damaged, struct.error) as damage:
            if len(data) >= _HEAD.size and data[_MAGIC] >= 2:
                last = first + _HEAD.unpack_from(data)[6]
            first, last = self.next_fetch_offset, max(last, self.next_fetch_offset)
            self.next_fetch_offset = last + 1
            yield self._unreadable(first, last, at, damage)

    def _unreadable(self, first: int, last: int, at: int, error: Exception) -> Unreadable:
        text = f"offsets {first} to {last}: {error}" if last > first else str(error)
        return Unreadable(self._tp.topic, self._tp.partition, last, at, 0, None, None, None, -1, -1, (), text)


def _possible_offsets(data: memoryview) -> tuple[int, int]:
    """The least and the greatest that a batch's first record can have.

    Records say their offsets themselves, and for uncompressed batches Kafka believes them: it checks only that there
    are as many offsets as records. (After compaction there can be more.) A reader that believed them too would skip
    good records, or ask for offsets behind the end and start over with the oldest.
    """
    if data[_MAGIC] < 2:
        return 0, 1 << 63
    head = _HEAD.unpack_from(data)
    return head[0], head[0] + head[6] + 1 - head[12]


Fields = tuple[int, int, bytes | None, bytes | None, None, int, int, tuple[tuple[str, bytes | None], ...]]
"""Of a ConsumerRecord, behind the offset."""


class TooLarge(Exception):
    """A batch holds more than LIMIT bytes."""


def _body(data: memoryview, head: tuple[int, ...]) -> tuple[bytes, bool]:
    """The records' bytes, and whether they are all."""
    body = bytes(data[_HEAD.size :])
    if not head[5] & _CODEC:
        return body, True
    try:
        return decompress(head[5] & _CODEC, body)
    except CannotDecompress as error:
        raise Damaged(str(error)) from None


def _records(data: memoryview, head: tuple[int, ...]) -> Iterator[tuple[int, Fields | Damaged]]:
    """Offset and fields of each record. Raises Damaged where the following ones cannot be found."""
    body, whole = _body(data, head)
    position = 0
    least, most = _possible_offsets(data)
    if least > most:
        raise Damaged("the batch has more records than offsets")
    for _ in range(head[12]):
        try:
            length, start = _varint(body, position)
            if length < 0 or start + length > len(body):
                raise Damaged("a record is longer than its batch")
        except Damaged:
            if whole:
                raise
            raise Damaged(f"the batch is larger than {LIMIT:,} bytes decompressed") from None
        position = start + length
        record = body[start:position]
        found: Fields | Damaged
        offset = least
        try:
            offset = _offset(record, head[0], least, most)
            found = _fields(record, head)
        except Damaged as damage:
            found = damage
        yield offset, found
        least, most = offset + 1, most + 1


def _offset(record: bytes, base: int, least: int, most: int) -> int:
    _, position = _varint(record, 1)
    offset = base + _varint(record, position)[0]
    if not least <= offset <= most:
        raise Damaged(f"the record says offset {offset}, which is impossible at its place")
    return offset


def _fields(record: bytes, head: tuple[int, ...]) -> Fields:
    delta, position = _varint(record, 1)
    _, position = _varint(record, position)
    key, position = _taken(record, position)
    value, position = _taken(record, position)
    count, position = _varint(record, position)
    headers = []
    for _ in range(count):
        name, position = _taken(record, position)
        if name is None:
            raise Damaged("a header has no name")
        content, position = _taken(record, position)
        headers.append((name.decode("utf-8", "surrogateescape"), content))
    if count < 0 or position != len(record):
        raise Damaged("the record's length is not that of its parts")
    by_broker = bool(head[5] & _LOG_APPEND_TIME)
    at = head[8] if by_broker else head[7] + delta
    return at, int(by_broker), key, value, None, len(key or b""), len(value or b""), tuple(headers)


def _taken(record: bytes, position: int) -> tuple[bytes | None, int]:
    """Bytes behind their length, which is negative for null; and the next position."""
    length, position = _varint(record, position)
    if length < 0:
        return None, position
    if position + length > len(record):
        raise Damaged("a part of the record is longer than the record")
    return record[position : position + length], position + length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A number of the zigzag form, and the next position."""
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), position
        shift += 7
    raise Damaged("the record ends in the middle of a number")
