"""What the HTTP API reads from checkout's database."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import BeforeValidator, WithJsonSchema
from sqlalchemy.ext.asyncio import AsyncConnection

from services.checkout.domain.numbers import PREFIX, looks_like_number

_PREFIXED = re.compile(r"^ORD(?:\s*[-\u2010-\u2015\u2212]\s*|\s+|(?=[A-Z0-9]{10}$))")
"""`ORD-` as people type it, and as mail programs paste it."""
LAST_WORD = r"substring(lower(customer_name) from '\S+$')"
"""As in the index `orders_last_name`."""

TOLD_BY_COLUMNS = (
    *("key", "number", "store", "status", "payment_status", "fulfilment_status", "currency", "purchased"),
    "created_at",
)
"""What is known of an order without its JSON."""


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders, newest first. `q`: the beginning of a number, an email, a first or a last name."""

    status: Sequence[str] = ()
    store: str = ""
    q: str = ""
    after: tuple[datetime, str] | None = None
    limit: int = 50


async def find_orders(connection: AsyncConnection, wanted: OrderFilter) -> Sequence[sa.Row[Any]]:
    """Rows of `data` and TOLD_BY_COLUMNS; one more than `limit` when there are more."""
    conditions = ["data is not null"]
    values: dict[str, Any] = {"limit": wanted.limit + 1}
    if wanted.status:
        conditions.append("status = any(cast(:status as text[]))")
        values["status"] = list(wanted.status)
    if wanted.store:
        conditions.append("store = :store")
        values["store"] = wanted.store
    if wanted.q:
        conditions.append(f"""(number like :number or email like :q or lower(customer_name) like :q
            or {LAST_WORD} like :q)""")
        values["number"] = _prefix(_number(wanted.q))
        values["q"] = _prefix(wanted.q.lower())
    if wanted.after:
        conditions.append("(created_at, key) < (:at, :key)")
        values["at"], values["key"] = wanted.after
    statement = sa.text(
        f"select cast(data as text) as data, {', '.join(TOLD_BY_COLUMNS)} from orders where {' and '.join(conditions)} "
        "order by created_at desc, key desc limit :limit"
    )
    return (await connection.execute(statement, values)).all()


class Ambiguous(Exception):
    """An order's id, and another order's number without `ORD-`."""


_NAMED = """select key, store, cast(data as text) as data from orders
    where data is not null and (number = :number or key = :name) order by number = :number desc"""


async def find_order(connection: AsyncConnection, name: str) -> sa.Row[Any] | None:
    """By number or key: `key`, `store`, `data`. Ids that look like numbers are refused; should there be one, the number
    is meant. Raises Ambiguous."""
    values = {"name": name, "number": _number(name)}
    found = (await connection.execute(sa.text(_NAMED), values)).all()
    if len(found) > 1 and not looks_like_number(name.strip()):
        raise Ambiguous
    return found[0] if found else None


_WRITTEN = """select at, actor, kind, text, sender, author, written_at, attachments, id from correspondence
    where key = :key or (store = :store and email = :email and email <> '') order by at, id"""


async def find_written(connection: AsyncConnection, key: str, store: str, email: str) -> Sequence[sa.Row[Any]]:
    """Of the order, and the notes on its customer (whose email address is in lower case) that other orders have."""
    return (await connection.execute(sa.text(_WRITTEN), {"key": key, "store": store, "email": email})).all()


async def find_state(connection: AsyncConnection, table: sa.Table, key: str) -> str | None:
    """The stored JSON of a row."""
    statement = sa.text(f"select cast(data as text) from {table.name} where key = :key")
    return (await connection.execute(statement, {"key": key})).scalar_one_or_none()


async def find_skus(connection: AsyncConnection, store: str, after: str, limit: int) -> Sequence[sa.Row[Any]]:
    """Rows of (key, data) of a store's SKUs in key order; one more than `limit` when there are more."""
    statement = sa.text(
        "select key, cast(data as text) as data from skus where data is not null "
        "and key > :first and key < :last order by key limit :limit"
    )
    # A store's keys lie between `<store>/` and `<store>0`: `0` follows `/`.
    values = {"first": f"{store}/{after}", "last": f"{store}0", "limit": limit + 1}
    return (await connection.execute(statement, values)).all()


def _number(text: str) -> str:
    """An order's number as people write it: in any case, with or without `ORD-`."""
    return PREFIX + _PREFIXED.sub("", text.strip().upper())


def _prefix(text: str) -> str:
    """A `like` pattern for what begins with the text."""
    escaped = text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    return f"{escaped}%"


def write_cursor(at: datetime, key: str) -> str:
    return base64.urlsafe_b64encode(f"{at.isoformat()} {key}".encode()).decode()


def given_cursor(given: object) -> object:
    """Raises ValueError with what it must be."""
    try:
        return read_cursor(given) if isinstance(given, str) else given
    except ValueError:
        raise ValueError("must be the `next` of an earlier page") from None


Cursor = Annotated[tuple[datetime, str], BeforeValidator(given_cursor), WithJsonSchema({"type": "string"})]
"""The `next` of an earlier page, as a parameter."""


def read_cursor(cursor: str) -> tuple[datetime, str]:
    """Raises ValueError for what `write_cursor` did not write."""
    try:
        at, _, key = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
    except (binascii.Error, UnicodeError):
        raise ValueError("not a cursor") from None
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is None or not key or "\x00" in key:
        raise ValueError("not a cursor")
    try:
        return moment.astimezone(UTC), key
    except OverflowError:
        raise ValueError("not a cursor") from None
