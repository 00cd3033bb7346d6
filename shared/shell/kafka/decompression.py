"""Decompression of Kafka's codecs with an upper limit, so that a small record cannot fill the memory.

The formats are those of the Kafka protocol: gzip, LZ4 and Zstandard frames, and Snappy either raw or in the blocks of
the xerial library, which Java clients write.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

from aiokafka.codec import cramjam

LIMIT = 16_000_000
"""Bytes of a decompressed batch. Java clients fill a batch up to about ten times its compressed size, which is 1 MB."""
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
NAMES = {GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}
_PIECE = 16_384
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER = 16


class CannotDecompress(Exception):
    """The data are damaged, or the codec is unknown."""


def decompress(codec: int, data: bytes, limit: int = LIMIT) -> tuple[bytes, bool]:
    """The decompressed data, and whether that is all: at most `limit` bytes are produced, and the rest is left out.

    Raises CannotDecompress.
    """
    if cramjam is None and codec in (SNAPPY, LZ4, ZSTD):
        raise CannotDecompress(f"{NAMES[codec]} data cannot be read: the Python package cramjam is not installed")
    try:
        match codec:
            case 1:
                return _gzip(data, limit)
            case 2:
                return _snappy(data, limit)
            case 3:
                return _frames(cramjam.lz4, data, limit)
            case 4:
                return _frames(cramjam.zstd, data, limit)
    except (zlib.error, struct.error, ValueError) as error:
        raise CannotDecompress(f"{NAMES[codec]} data are damaged: {str(error)[:200]}") from None
    raise CannotDecompress(f"unknown compression codec {codec}")


def _gzip(data: bytes, limit: int) -> tuple[bytes, bool]:
    """Piece by piece: what is behind a member's end is copied, and there may be a hundred thousand members."""
    parts: list[bytes] = []
    room, position, piece = limit, 0, b""
    member: Any = None
    while piece or position < len(data):
        if not piece:
            piece = data[position : position + _PIECE]
            position += len(piece)
        if member is None:
            piece = piece.lstrip(b"\x00")
            if not piece:
                continue
            member = zlib.decompressobj(wbits=31)
        if not room:
            return b"".join(parts), False
        part = member.decompress(piece, room)
        parts.append(part)
        room -= len(part)
        if member.eof:
            member, piece = None, member.unused_data
        else:
            piece = member.unconsumed_tail
    if member is not None:
        raise CannotDecompress("gzip data are damaged: they end early")
    return b"".join(parts), True


def _frames(codec: Any, data: bytes, limit: int) -> tuple[bytes, bool]:
    """Into a buffer of a fixed size, which the library fills before it gives up."""
    for size in (min(limit, max(65_536, 16 * len(data))), limit):
        buffer = bytearray(size)
        try:
            written = codec.decompress_into(data, buffer)
        except cramjam.DecompressionError as error:
            if "whole buffer" not in str(error):
                raise ValueError(str(error)) from None
            if size == limit:
                return bytes(buffer), False
        else:
            return bytes(memoryview(buffer)[:written]), True
    raise AssertionError("the last size is the limit")


def _snappy(data: bytes, limit: int) -> tuple[bytes, bool]:
    try:
        return _snappy_blocks(data, limit)
    except cramjam.DecompressionError as error:
        raise ValueError(str(error)) from None


def _snappy_blocks(data: bytes, limit: int) -> tuple[bytes, bool]:
    snappy = cramjam.snappy
    if not data.startswith(_XERIAL):
        whole = snappy.decompress_raw_len(data) <= limit
        return (bytes(snappy.decompress_raw(data)) if whole else b""), whole
    parts: list[bytes] = []
    position, room = _XERIAL_HEADER, limit
    while position < len(data):
        (size,) = struct.unpack_from(">i", data, position)
        position += 4
        if size < 0 or position + size > len(data):
            raise CannotDecompress("snappy data are damaged: they end early")
        block = data[position : position + size]
        length = snappy.decompress_raw_len(block)
        if length > room:
            return b"".join(parts), False
        parts.append(bytes(snappy.decompress_raw(block)))
        room -= length
        position += size
    return b"".join(parts), True
