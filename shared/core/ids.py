"""Ids: UUIDs of version 7, which tell a time, and 8, which tell none (RFC 9562). The only module that knows their bits.

    time in milliseconds (48) | version (4) | fraction or random (12) | variant (2) | index or random (62)

The ids of a service's own messages are derived, so that an effect made again has the same id.

asyncpg's UUID is a `uuid.UUID`, equal to any other of the same value, and written in C: making one takes a quarter of
the time, writing it as text a fifteenth. What comes from the database is of this class as well.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from uuid import UUID

from asyncpg.pgproto import pgproto

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MILLISECOND = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp() * 1000)
_VERSION_7, _VERSION_8, _VERSION = 0x7 << 76, 0x8 << 76, 0xF << 76
_RFC_VARIANT, _VARIANT = 0x2 << 62, 0x3 << 62
_Uuid = pgproto.UUID

NIL = UUID(int=0)
"""Sorts before every other id."""


# Ids that are derived


def effect_id(cause: UUID, name: str, index: int) -> UUID:
    """The id of one effect of a message, from the message's own id and nothing else.

    The effect of a UUIDv7 is a UUIDv7 of the same time, those of one name in the order of `index`. An id that tells no
    time (version 8) has effects that tell none.
    """
    value = int.from_bytes(blake2b(b"%b%d %b" % (cause.bytes, index, name.encode()), digest_size=16).digest())
    time = cause.int >> 64
    if time >> 12 & 0xF != 7:
        time = value >> 64 & ~0xF000 | 0x8000
    return uuid_of(time << 64 | _RFC_VARIANT | (index & 0x3FF) << 52 | value & 0xFFFFFFFFFFFFF)


def mixed(id: UUID, salt: int) -> UUID:
    """Another id of the same time, made different by a salt."""
    return uuid_of(id.int ^ (salt & 0x3FFFFFFFFFFFFFFF))


def salt_of(*parts: str) -> int:
    """A salt for `mixed`."""
    return hashed_id(*parts).int


def hashed_id(*parts: str) -> UUID:
    """A UUIDv8 of texts, for something that has a name already, such as an Idempotency-Key."""
    value = int.from_bytes(blake2b("\x00".join(parts).encode(), digest_size=16).digest())
    return uuid_of(value & ~_VERSION & ~_VARIANT | _VERSION_8 | _RFC_VARIANT)


def derived_id(source: UUID, index: int, at: datetime) -> UUID:
    """A UUIDv7 that is the same whenever it is derived again, for something with its own time.

    Sorts by the time `at` (to the microsecond, method 3 of section 6.2), then by `index`; the rest is a hash.
    """
    microseconds = (at - _EPOCH) // timedelta(microseconds=1)
    milliseconds, fraction = divmod(microseconds, 1000)
    digest = blake2b(source.bytes + index.to_bytes(8), digest_size=7).digest()
    tail = (index & 0x3FF) << 52 | int.from_bytes(digest) & 0xFFFFFFFFFFFFF
    return uuid_of(milliseconds << 80 | _VERSION_7 | (fraction * 4096 // 1000) << 64 | _RFC_VARIANT | tail)


# Random ids, and bounds


RANDOM_BITS = 74
"""The number of random bits that `random_id` needs."""


def random_id(milliseconds: int, random: int) -> UUID:
    """A new UUIDv7, as clients make them: Unix time, and RANDOM_BITS random bits."""
    return uuid_of(milliseconds << 80 | _VERSION_7 | (random >> 62) << 64 | _RFC_VARIANT | random & (1 << 62) - 1)


def lowest_id(at: datetime) -> UUID:
    """Not above any UUIDv7 of this millisecond or a later one: a bound for ranges. Has no version."""
    return UUID(int=(at - _EPOCH) // timedelta(milliseconds=1) << 80)


# The parts of an id


def time_of(id: UUID) -> datetime | None:
    """The time in a UUIDv7, to the millisecond; None for any other id, and after the year 9999."""
    milliseconds = id.int >> 80
    if _version(id) != 7 or milliseconds > _LAST_MILLISECOND:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def last_64_bits(id: UUID) -> int:
    """Its random or hashed part."""
    return id.int & 0xFFFFFFFFFFFFFFFF


def _version(id: UUID) -> int:
    """0 for a UUID of another variant than RFC 9562's."""
    return id.int >> 76 & 0xF if id.int & _VARIANT == _RFC_VARIANT else 0


# Text


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


def message_id(text: str) -> UUID:
    """The id of a message: a UUID of version 7 or 8, in any form. Raises ValueError that says what is wrong."""
    try:
        id = UUID(text)
    except ValueError:
        raise ValueError("is not a UUID") from None
    version = _version(id)
    if version not in (7, 8):
        raise ValueError("is not a UUID of version 7")
    if version == 7 and time_of(id) is None:
        raise ValueError("has a time after the year 9999")
    return id


def plain_message_id(text: str) -> UUID | None:
    """The same for the usual form, in a fraction of the time; None for any other form."""
    id = uuid_from(text)
    if id is None or text[19] not in "89ab":
        return None
    return id if text[14] == "8" or (text[14] == "7" and text[:13] <= _LAST_TIME) else None


_LAST_TIME = f"{_LAST_MILLISECOND >> 16:08x}-{_LAST_MILLISECOND & 0xFFFF:04x}"
"""The last millisecond, as the beginning of a UUIDv7."""
