"""UUIDs, made quickly: some are made, written and compared for every message.

asyncpg's UUID is a `uuid.UUID`, equal to any other of the same value, and written in C: making one takes a quarter of
the time, writing it as text a fifteenth. What comes from the database is of this class as well.
"""

from __future__ import annotations

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
