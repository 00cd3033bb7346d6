"""`GET /owed`: the payments of which something is owed to the customer, and what each part of it waits for. And what it
finds them by, where a worker of an older build does not keep it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
import sqlalchemy as sa
from aiohttp import web
from pydantic import BeforeValidator, Field, WithJsonSchema
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.payments.answers import OwedPayment
from services.payments.domain.operations import RefundCharge, RetryRefund
from services.payments.domain.payment import Payment
from services.payments.storage import payments
from services.payments.views import Obstacles, obligations_view
from shared.core import codec
from shared.shell.http.access import RequestHandler
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json, Query
from shared.shell.http.problems import json_response
from shared.shell.http.requests import Number, Words, query_in
from shared.shell.ports.http_api import HttpApi
from shared.shell.ports.tables import WrittenByNewer
from shared.shell.postgres.tables import read_state

MOST = 500
REFUNDS = [RefundCharge.__name__, RetryRefund.__name__]
OVERLAP = timedelta(days=1)
"""What is looked at once more, for what was being written then and for clocks that differ."""
AT_A_TIME = 100
_MAY_BE_OWED = sa.text("""
    select key, version, owed, changed_at, cast(data as text) as data from payments
    where shape <> :shape and data is not null and (changed_at, key) > (:at, :key) and (
        owed is distinct from 0 or pending > 0
        or (captured > refunded and (
            data->>'closed_as' <> '' or jsonb_path_exists(data, '$.attempts[*] ? (@.surplus == true)')
        ))
    )
    order by changed_at, key limit :limit
""")
_CORRECT = sa.text("update payments set owed = :owed where key = :key and version = :version")
_LOOKED = sa.text("select until from owed_look")
_LOOK = sa.text("update owed_look set until = greatest(until, :now)")
_CALLS = sa.text("""
    select o.payload, coalesce(nullif(o.error, ''), d.reason, '') as obstacle
    from operations o left join destinations d on d.name = o.destination
    where o.key = any(:keys) and o.kind = any(:kinds)
""")


def _place(given: object) -> object:
    """Where a page ends: when the payment was changed, and its order."""
    if not isinstance(given, str):
        return given
    at, _, key = given.partition(" ")
    try:
        return datetime.fromisoformat(at).astimezone(UTC), key
    except (ValueError, OverflowError):
        raise ValueError("must be the `next` of an earlier page") from None


class OwedQuery(Query):
    store: Words | None = None
    """Only those of this store. Missing: of all stores, which the token must be for."""
    limit: Number = Field(default=100, ge=1, le=MOST)
    """At most so many entries."""
    after: Annotated[tuple[datetime, Words] | None, BeforeValidator(_place), WithJsonSchema({"type": "string"})] = None
    """The `next` of the previous page."""


@dataclass(frozen=True, slots=True)
class OwedPage:
    """A page of payments of which customers are owed something."""

    owed: Annotated[list[Json], Holds(list[OwedPayment])]
    """One that only a newer build can read has `newer`, and the sum."""
    next: str | None
    """The `after` of the next page; null on the last one."""


OWED = Declaration(
    "Payments of which something is owed to the customer, the longest unchanged first",
    (DeclaredResponse(OwedPage),),
    query=OwedQuery,
)


def owed_payments(api: HttpApi) -> RequestHandler:
    async def show(request: web.Request) -> web.StreamResponse:
        given = query_in(request, OwedQuery)
        async with api.engine.connect() as connection:
            rows = (await connection.execute(statement(given).limit(given.limit + 1))).all()
            page = rows[: given.limit]
            obstacles = await _obstacles(connection, [row.key for row in page])
        following = f"{page[-1].changed_at.isoformat()} {page[-1].key}" if len(rows) > given.limit else None
        return json_response(OwedPage([_view(row, obstacles) for row in page], following))

    return show


def statement(given: OwedQuery) -> sa.Select[Any]:
    """What was changed while pages were read comes again, at the end."""
    table = payments.c
    columns = (table[name] for name in ("key", "number", "store", "currency", "owed", "changed_at"))
    found = (
        sa.select(*columns, sa.cast(table.data, sa.Text).label("data"))
        # As a literal: the index of payments with something owed is used only where PostgreSQL sees the condition.
        .where(table.owed > sa.literal(0, literal_execute=True), table.data.is_not(None))
        .order_by(table.changed_at, table.key)
    )
    if given.store:
        found = found.where(table.store == given.store)
    if given.after:
        at, key = given.after
        place = sa.tuple_(table.changed_at, table.key)
        found = found.where(place > sa.tuple_(sa.literal(at), sa.literal(key)))
    return found


async def _obstacles(connection: AsyncConnection, keys: Sequence[str]) -> Obstacles:
    rows = (await connection.execute(_CALLS, {"keys": list(keys), "kinds": REFUNDS})).all()
    return {str(orjson.loads(row.payload)["refund"]): row.obstacle for row in rows}


def _view(row: sa.Row[Any], obstacles: Obstacles) -> Json:
    known: Json = {name: getattr(row, name) for name in ("number", "store", "currency", "owed")}
    known = {"order": row.key, **known, "changed_at": row.changed_at}
    try:
        payment = read_state(Payment, row.data)
    except WrittenByNewer:
        return known | {"obligations": [], "newer": True}
    return known | {"obligations": obligations_view(payment, obstacles)}


async def refresh_owed(engine: AsyncEngine, now: datetime) -> None:
    """Compute the column where another build wrote the row since the last look, however long ago that is:
    an older one leaves it as it was. The migration looked first."""
    async with engine.connect() as connection:
        looked = (await connection.execute(_LOOKED)).scalar_one()
    place = {"at": min(looked, now) - OVERLAP, "key": ""}
    while True:
        async with engine.begin() as connection:
            given = {"shape": codec.shape_of(Payment), "limit": AT_A_TIME, **place}
            rows = (await connection.execute(_MAY_BE_OWED, given)).all()
            for row in rows:
                with suppress(WrittenByNewer):
                    owed = read_state(Payment, row.data).owed
                    if owed != row.owed:
                        await connection.execute(_CORRECT, {"owed": owed, "key": row.key, "version": row.version})
            if len(rows) < AT_A_TIME:
                await connection.execute(_LOOK, {"now": now})
                return
        place = {"at": rows[-1].changed_at, "key": rows[-1].key}
