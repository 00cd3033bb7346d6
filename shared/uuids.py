"""UUIDs, made quickly."""

from __future__ import annotations

from uuid import UUID, SafeUUID


def uuid_of(value: int) -> UUID:
    """`UUID(int=value)` in less than half the time: some are made for every message."""
    id = _new(UUID)
    _set(id, "int", value)
    _set(id, "is_safe", SafeUUID.unknown)
    return id


_new, _set = object.__new__, object.__setattr__
