"""Batches as they come from Kafka: what can be parsed is, what cannot is named, and the position always moves on."""

from __future__ import annotations

import gzip
import struct
import time
from itertools import pairwise
from typing import Any
from unittest import mock

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.shell.kafka.decompression import LIMIT
from shared.shell.kafka.record_batches import Batches, BoundedResult, TolerantRecords, Unreadable, at_most
from tests.kafka_bytes import GZIP, LZ4, SNAPPY, ZSTD, RawRecord, batch_around, batch_of, encoded, varint

PLACE = TopicPartition("t", 0)
GOOD = RawRecord(b"k", b"v", ((b"name", b"value"), (b"nothing", None), (b"empty", b"")))
CODECS = (0, GZIP, SNAPPY, LZ4, ZSTD)


def records_of(data: bytes, offset: int = 0) -> Any:
    return TolerantRecords(PLACE, Batches(data), None, offset, None, None, True, READ_COMMITTED)


def read(data: bytes, offset: int = 0) -> tuple[list[Any], int]:
    """The records, and the offset to go on with."""
    records = records_of(data, offset)
    return list(records), records.next_fetch_offset


def moved(batch: bytes, offset: int) -> bytes:
    return struct.pack(">q", offset) + batch[8:]


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_is_read_as_aiokafka_reads_a_plain_batch(codec: int) -> None:
    batches = [[GOOD, RawRecord(None, None)], [RawRecord(b"x" * 300, b"y" * 70_000)]]
    plain = b"".join(moved(batch_of(batch), 2 * n) for n, batch in enumerate(batches))
    expected = list(PartitionRecords(PLACE, MemoryRecords(plain), None, 0, None, None, True, READ_COMMITTED))
    data = b"".join(moved(batch_of(batch, codec), 2 * n) for n, batch in enumerate(batches))

    found, position = read(data)

    assert [(r.offset, r.key, r.value, r.headers) for r in found] == [
        (r.offset, r.key, r.value, r.headers) for r in expected
    ]
    assert position == 3


@pytest.mark.parametrize("codec", CODECS)
def test_a_header_name_that_is_not_utf8_keeps_its_bytes_and_harms_no_neighbour(codec: int) -> None:
    strange = RawRecord(b"k", None, ((b"\xff\xfe\x00", b"1"), (b"n\xc3\xa4me", None)))
    found, position = read(batch_of([GOOD, strange, GOOD], codec))
    assert [record.offset for record in found] == [0, 1, 2]
    assert found[0].headers == found[2].headers == (("name", b"value"), ("nothing", None), ("empty", b""))
    assert [(name.encode("utf-8", "surrogateescape"), value) for name, value in found[1].headers] == list(
        strange.headers
    )
    assert position == 3


def test_a_damaged_record_is_named_and_its_neighbours_are_read() -> None:
    damaged = bytearray(encoded(GOOD, 1))
    damaged[6] = 0x7E  # the key's length
    found, position = read(batch_around(encoded(GOOD, 0) + bytes(damaged) + encoded(GOOD, 2), 3))
    assert [(record.offset, isinstance(record, Unreadable)) for record in found] == [(0, False), (1, True), (2, False)]
    assert found[1].error
    assert position == 3


MISPLACED = {
    "beyond the batch": ((0, 60, 2), [1]),
    "that of the next": ((0, 2, 2), [1]),
    "that of the one before": ((0, 1, 0), [2]),
    "in front of the batch": ((-5, 1, 2), [0]),
    "that of the next batch": ((0, 1, 3), [2]),
    "exchanged": ((1, 0, 2), [0, 1]),
    "beyond 32 bits": ((0, 1, 2**33), [2]),
}


@pytest.mark.parametrize(("deltas", "damaged"), MISPLACED.values(), ids=MISPLACED)
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", [b"name", b"\xff"])
def test_a_record_that_says_another_offset_is_named_and_moves_nothing(
    deltas: tuple[int, ...], damaged: list[int], codec: int, name: bytes
) -> None:
    """Kafka takes such a batch, if it is not compressed, and counts the records itself."""
    record = RawRecord(b"k", b"v", ((name, b"1"),))
    batch = batch_around(b"".join(encoded(record, delta) for delta in deltas), 3, codec)
    found, position = read(moved(batch, 100) + moved(batch_of([GOOD]), 103), 100)
    assert [found.offset for found in found] == [100, 101, 102, 103]
    assert [found.offset - 100 for found in found if isinstance(found, Unreadable)] == damaged
    assert position == 104


def test_a_compacted_batch_has_fewer_records_than_offsets() -> None:
    batch = bytearray(batch_around(encoded(GOOD, 2) + encoded(GOOD, 5), 2))
    struct.pack_into(">i", batch, 23, 9)
    found, position = read(_with_checksum(batch))
    assert [(record.offset, isinstance(record, Unreadable)) for record in found] == [(2, False), (5, False)]
    assert position == 10


def test_a_batch_with_more_records_than_offsets_is_named() -> None:
    batch = bytearray(batch_of([GOOD, GOOD, GOOD]))
    struct.pack_into(">i", batch, 23, 1)
    found, position = read(_with_checksum(batch) + moved(batch_of([GOOD]), 2))
    assert [(record.offset, isinstance(record, Unreadable)) for record in found] == [(1, True), (2, False)]
    assert "offsets 0 to 1" in found[0].error
    assert position == 3


def test_after_an_impossible_length_the_rest_of_the_batch_is_named_and_the_next_batch_is_read() -> None:
    broken = batch_around(encoded(GOOD, 0) + varint(1 << 40) + b"rubbish", 5)
    found, position = read(broken + moved(batch_of([GOOD]), 5))
    assert [(record.offset, isinstance(record, Unreadable)) for record in found] == [(0, False), (4, True), (5, False)]
    assert "offsets 1 to 4" in found[1].error
    assert position == 6


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_bomb_is_named_with_the_limit_and_what_is_in_front_of_it_is_read(codec: int) -> None:
    bomb = batch_of([GOOD, RawRecord(b"bomb", bytes(LIMIT + 1)), GOOD], codec)
    found, position = read(bomb + moved(batch_of([GOOD]), 3))
    kinds = [(record.offset, isinstance(record, Unreadable)) for record in found]
    assert kinds[-2:] == [(2, True), (3, False)]
    assert f"larger than {LIMIT:,} bytes decompressed" in found[-2].error
    assert position == 4


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD, 5])
def test_data_that_do_not_decompress_are_named(codec: int) -> None:
    batch = bytearray(batch_around(b"no such data" * 10, 7))
    struct.pack_into(">h", batch, 21, codec)
    found, position = read(_with_checksum(batch))
    assert [record.offset for record in found] == [6]
    assert "offsets 0 to 6" in found[0].error
    assert position == 7


def test_a_wrong_checksum_is_fetched_again_before_it_is_given_up() -> None:
    batch = bytearray(batch_of([GOOD, GOOD]))
    batch[-1] ^= 1
    assert read(bytes(batch)) == ([], 0)
    assert read(bytes(batch)) == ([], 0)
    found, position = read(bytes(batch))
    assert "checksum" in found[0].error
    assert position == 2


def test_a_batch_that_claims_to_end_before_it_begins_is_stepped_over() -> None:
    batch = bytearray(batch_around(b"", 0))
    struct.pack_into(">i", batch, 23, -5)
    found, position = read(moved(_with_checksum(batch), 7), 7)
    assert [(record.offset, isinstance(record, Unreadable)) for record in found] == [(7, True)]
    assert position == 8


def test_a_position_inside_a_batch_goes_on_there() -> None:
    strange = RawRecord(b"k", None, ((b"\xff", b"1"),))
    assert [record.offset for record in read(batch_of([GOOD, strange, GOOD]), 1)[0]] == [1, 2]
    assert [record.offset for record in read(batch_of([GOOD, GOOD, GOOD]), 2)[0]] == [2]


@given(data=st.binary(max_size=200), flips=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4))
@settings(max_examples=300, deadline=None)
def test_whatever_the_bytes_nothing_is_raised_and_the_position_moves_on(
    data: bytes, flips: list[tuple[int, int]]
) -> None:
    batch = bytearray(batch_of([GOOD, RawRecord(data, data, ((data, data),)), GOOD]))
    for place, value in flips:
        if place < len(batch) and not 8 <= place < 17:
            batch[place] = value
    before = 0
    if len(batch) > 61:
        found, position = read(_with_checksum(batch))
        assert position > before or not found
        assert all(a.offset < b.offset for a, b in pairwise(found))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), min_size=1, max_size=3), st.sampled_from(CODECS))
@settings(max_examples=500, deadline=None)
def test_whatever_the_records_say_each_of_them_is_read_or_named(flips: list[tuple[int, int]], codec: int) -> None:
    body = bytearray(b"".join(encoded(RawRecord(b"k", b"v", ((b"n", b""),)), number) for number in range(4)))
    for place, value in flips:
        body[place % len(body)] = value
    found, position = read(moved(batch_around(bytes(body), 4, codec), 100), 100)
    offsets = [record.offset for record in found]
    assert position == 104
    assert offsets == [100, 101, 102, 103] or isinstance(found[-1], Unreadable)
    assert offsets == sorted(set(offsets)) and offsets[-1] == 103
    if len(offsets) < 4:
        assert f"offsets {100 + len(offsets) - 1} to 103" in found[-1].error


@given(data=st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_raise_nothing_either(data: bytes) -> None:
    records = records_of(data)
    assert list(records) == [] or records.next_fetch_offset > 0


def test_a_well_formed_batch_is_parsed_as_fast_as_by_aiokafka() -> None:
    data = batch_of([RawRecord(b"order-12345", b"x" * 400, ((b"ce_type", b"order.paid"),) * 12)] * 300)

    def seconds(parse: Any) -> float:
        began = time.perf_counter()
        assert len(list(parse())) == 300
        return time.perf_counter() - began

    def theirs() -> Any:
        return PartitionRecords(PLACE, MemoryRecords(data), None, 0, None, None, True, READ_COMMITTED)

    both = [(seconds(lambda: records_of(data)), seconds(theirs)) for _ in range(30)]
    assert min(ours for ours, _ in both) < 1.5 * min(other for _, other in both)


def _with_checksum(batch: bytearray) -> bytes:
    struct.pack_into(">I", batch, 17, calc_crc32c(bytes(batch[21:])))
    return bytes(batch)


def test_a_hundred_thousand_empty_gzip_members_take_no_time() -> None:
    """Kafka would get no answer meanwhile, and the worker would lose its partitions, again and again."""
    members = gzip.compress(encoded(GOOD, 0)) + gzip.compress(b"") * 90_000
    batch = bytearray(batch_around(members, 1))
    struct.pack_into(">h", batch, 21, GZIP)
    began = time.process_time()
    found, position = read(_with_checksum(batch))
    assert ([record.offset for record in found], position) == ([0], 1)
    assert time.process_time() - began < 2


def _result(data: bytes, offset: int = 0) -> BoundedResult:
    assignment = mock.Mock(active=True)
    state = assignment.state_value.return_value
    state.paused, state.position = False, offset
    state.consumed_to = lambda position: setattr(state, "position", position)
    return BoundedResult(PLACE, assignment=assignment, partition_records=records_of(data, offset), backoff=0)


@pytest.mark.parametrize("codec", CODECS)
def test_a_read_opens_no_more_batches_than_its_room_allows_and_the_next_one_goes_on(codec: int) -> None:
    large = [RawRecord(b"k", bytes(1_000_000))] * 3
    data = b"".join(moved(batch_of(large, codec), 3 * n) for n in range(5))
    result, other, reads = _result(data), _result(data), list[list[int]]()
    while result.has_more():
        with at_most(4_000_000):
            reads.append([record.offset for record in result.getall(100)])
            assert other.getall(100) == [] or len(reads) > 1, "another partition has its turn at another time"
    assert reads[0] == [0, 1, 2, 3]
    assert [offset for read in reads for offset in read] == list(range(15))
    assert max(map(len, reads)) < 7


def test_without_a_bound_all_is_read_at_once() -> None:
    data = b"".join(moved(batch_of([GOOD], GZIP), n) for n in range(5))
    result = _result(data)
    assert len(result.getall(3)) == 3
    assert len(result.getall()) == 2
    assert not result.has_more()
