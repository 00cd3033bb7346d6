"""Cursors of lists: where the next page begins, as an opaque text. One that was not written here, or for another list
or order, is refused; it gives access to nothing, since the caller's stores are looked at for each page."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import datetime

import orjson

Place = tuple[object, ...]
"""The sort key of the last row that was shown, and its id."""
MAX_CURSOR = 2000
YEARS, LARGEST = (1900, 2999), 2**63 - 1
"""What the database takes. No cursor that was written here has others."""
_CHECK = 6
_SALT = b"orderbus list"


class WrongCursor(ValueError):
    """Is no cursor of this list in this order."""


def write_cursor(kind: str, place: Sequence[object]) -> str:
    """`kind`: the list and its order."""
    body = orjson.dumps([kind, *place])
    return base64.urlsafe_b64encode(_check(body) + body).decode().rstrip("=")


def read_cursor(kind: str, cursor: str, shape: Sequence[type]) -> Place:
    """`shape`: the type of each value of the place. Raises WrongCursor."""
    if len(cursor) > MAX_CURSOR or not cursor.isascii():
        raise WrongCursor("is not the next of an earlier page")
    try:
        whole = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        check, body = whole[:_CHECK], whole[_CHECK:]
        if check != _check(body):
            raise WrongCursor("is not the next of an earlier page")
        found, *values = orjson.loads(body)
    except (binascii.Error, orjson.JSONDecodeError, ValueError, TypeError):
        raise WrongCursor("is not the next of an earlier page") from None
    if found != kind or len(values) != len(shape):
        raise WrongCursor("is of another list, or of another order of it")
    return tuple(_value(value, type) for value, type in zip(values, shape, strict=True))


def _value(value: object, type: type) -> object:
    try:
        known = datetime.fromisoformat(value) if type is datetime and isinstance(value, str) else value
    except ValueError:
        known = None
    if not isinstance(known, type) or isinstance(known, bool) or not _fits(known):
        raise WrongCursor("is not the next of an earlier page")
    return known


def _fits(value: object) -> bool:
    """Whether the database takes it."""
    match value:
        case datetime():
            return value.tzinfo is not None and YEARS[0] <= value.year <= YEARS[1]
        case int():
            return abs(value) <= LARGEST
        case str():
            return "\x00" not in value
    return True


def _check(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK, key=_SALT).digest()
