"""Record batches byte by byte, for what no producer library would send, and a way to send them."""

from __future__ import annotations

import gzip
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c
from cramjam import lz4, snappy, zstd

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4


@dataclass(frozen=True)
class RawRecord:
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[bytes, bytes | None]] = field(default=())


def varint(value: int) -> bytes:
    rest = (value << 1) ^ (value >> 63)
    found = bytearray()
    while rest > 0x7F:
        found.append(0x80 | rest & 0x7F)
        rest >>= 7
    found.append(rest)
    return bytes(found)


def sized(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def encoded(record: RawRecord, number: int) -> bytes:
    headers = b"".join(sized(name) + sized(value) for name, value in record.headers)
    body = sized(record.key) + sized(record.value) + varint(len(record.headers)) + headers
    return sized(b"\x00" + varint(0) + varint(number) + body)


def compressed(codec: int, data: bytes) -> bytes:
    match codec:
        case 0:
            return data
        case 1:
            return gzip.compress(data)
        case 2:
            return bytes(snappy.compress_raw(data))
        case 3:
            frame = lz4.Compressor(level=1, content_checksum=False, block_linked=False)  # as Kafka wants it
            frame.compress(data)
            return bytes(frame.finish())
        case _:
            return bytes(zstd.compress(data))


def batch_of(records: Sequence[RawRecord], codec: int = 0) -> bytes:
    """A batch of magic 2."""
    return batch_around(b"".join(encoded(record, number) for number, record in enumerate(records)), len(records), codec)


def batch_around(body: bytes, count: int, codec: int = 0) -> bytes:
    now = int(time.time() * 1000)
    rest = struct.pack(">hiqqqhii", codec, count - 1, now, now, -1, -1, -1, count) + compressed(codec, body)
    return struct.pack(">qiibI", 0, len(rest) + 9, -1, 2, calc_crc32c(rest)) + rest


async def produce(client: AIOKafkaClient, topic: str, partition: int, batch: bytes) -> int:
    """Send a batch as it is; the offset of its first record."""
    await client.add_topic(topic)
    await client._maybe_wait_metadata()
    leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
    response = await client.send(leader, ProduceRequest(None, -1, 20_000, [(topic, [(partition, batch)])]))
    ((_, ((_, code, offset, *_),)),) = response.topics
    if code:
        raise for_code(code)(f"{topic}/{partition}")
    return int(offset)
