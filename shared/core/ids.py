"""Ids: UUIDs of version 7 and 8 (RFC 9562) that are derived, so that what is made again has the same id.

asyncpg's UUID is a `uuid.UUID`, equal to any other of the same value, and written in C: making one takes a quarter of
the time, writing it as text a fifteenth. What comes from the database is of this class as well.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from uuid import UUID

from asyncpg.pgproto import pgproto


def uuid_of(value: int) -> UUID:
    """`UUID(int=value)`."""
    id: UUID = _Uuid(value.to_bytes(16))
    return id


def uuid_from(text: str) -> UUID | None:
    """The UUID that a text is in its usual form: lower case, with hyphens. None for any other text."""
    try:
        id: UUID = _Uuid(text)
    except ValueError:
        return None
    return id if str(id) == text else None


_Uuid = pgproto.UUID


def effect_id(cause: UUID, name: str, index: int) -> UUID:
    """The id of one effect of a message, from the message's own id and nothing else.

    The effect of a UUIDv7 is a UUIDv7 of the same time, those of one name in the order of `index`. An id that tells no
    time (version 8) has effects that tell none.
    """
    value = int.from_bytes(blake2b(b"%b%d %b" % (cause.bytes, index, name.encode()), digest_size=16).digest())
    time = cause.int >> 64
    if time >> 12 & 0xF != 7:
        time = value >> 64 & ~0xF000 | 0x8000
    return uuid_of(time << 64 | 0x2 << 62 | (index & 0x3FF) << 52 | value & 0xFFFFFFFFFFFFF)


def mixed(id: UUID, salt: int) -> UUID:
    """Another id of the same time: what comes of one id at several places is told apart by a salt for each."""
    return uuid_of(id.int ^ (salt & 0x3FFFFFFFFFFFFFFF))


def hashed_id(*parts: str) -> UUID:
    """A UUID (version 8, RFC 9562) of texts: for what names itself otherwise, such as an Idempotency-Key."""
    value = int.from_bytes(blake2b("\x00".join(parts).encode(), digest_size=16).digest())
    return uuid_of(value & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0x2 << 62)


def derived_id(source: UUID, index: int, at: datetime) -> UUID:
    """A UUIDv7 (RFC 9562) that is the same whenever it is derived again, of what has a time by itself.

    Sorts by the time `at` (to the microsecond, method 3 of section 6.2), then by `index`; the rest is a hash.
    """
    microseconds = (at - _EPOCH) // timedelta(microseconds=1)
    milliseconds, fraction = divmod(microseconds, 1000)
    digest = blake2b(source.bytes + index.to_bytes(8), digest_size=7).digest()
    tail = (index & 0x3FF) << 52 | int.from_bytes(digest) & 0xFFFFFFFFFFFFF
    return uuid_of(milliseconds << 80 | 0x7 << 76 | (fraction * 4096 // 1000) << 64 | 0x2 << 62 | tail)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
