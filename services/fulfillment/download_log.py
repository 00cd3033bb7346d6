"""Who downloaded what: evidence for disputes, and what the limit of a link counts.

A download is a request for the file, or for its beginning. Parts that the same address fetches within a day belong to
it: clients go on where they were broken off, and fetch parts side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.fulfillment.gateways.links import Claim
from services.fulfillment.storage import downloads

KEPT = 200
"""Of each item, the latest."""
GOES_ON_WITHIN = timedelta(days=1)
LONGEST = 300
_LOCK = sa.text("select pg_advisory_xact_lock(hashtextextended(:order || ' ' || :item, 16))")
_FORGET = sa.text("""
    delete from downloads where order_key = :order and item = :item and number <= (
        select number from downloads where order_key = :order and item = :item
        order by number desc offset :kept limit 1
    )
""")


@dataclass(frozen=True, slots=True)
class LoggedDownload:
    """One download of a file by its link."""

    item: str
    """As fulfillment calls the execution: `1`, `1/2`."""
    at: datetime
    """When it began."""
    address: str
    """IP address of the caller."""
    agent: str
    """What the caller says that it is."""
    link_expires: datetime
    """Of the link that was used; a renewed one has another."""
    file: str = ""
    """One that staff attached to the item; empty: what was bought."""


@dataclass(frozen=True, slots=True)
class Caller:
    address: str
    agent: str


class DownloadLog:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def admit(self, claim: Claim, caller: Caller, at: datetime, limit: int, *, begins: bool) -> bool:
        """Log it, unless it goes on with an earlier download. False: the link was used as often as it may be."""
        place = {"order": claim.order, "item": claim.item}
        mine = sa.and_(
            downloads.c.order_key == claim.order,
            downloads.c.item == claim.item,
            downloads.c.link_expires == claim.expires,
            downloads.c.file == claim.file,
        )
        recent = sa.and_(mine, downloads.c.address == caller.address, downloads.c.at > at - GOES_ON_WITHIN)
        begun = sa.update(downloads).where(recent, ~downloads.c.begun).values(begun=True)
        async with self._engine.begin() as connection:
            if not begins and await _is_there(connection, recent):
                return True
            await connection.execute(_LOCK, place)
            if (await connection.execute(begun)).rowcount if begins else await _is_there(connection, recent):
                return True
            count = sa.select(sa.func.count()).select_from(downloads).where(mine)
            if limit and (await connection.execute(count)).scalar_one() >= limit:
                return False
            values = {"order_key": claim.order, "item": claim.item, "link_expires": claim.expires, "at": at}
            values |= {"file": claim.file, "begun": begins}
            who = {"address": caller.address[:LONGEST], "agent": caller.agent[:LONGEST]}
            await connection.execute(sa.insert(downloads).values(**values, **who))
            await connection.execute(_FORGET, place | {"kept": max(KEPT, limit)})
        return True

    async def of(self, order: str) -> Sequence[LoggedDownload]:
        """Of an order, the latest last."""
        columns = (
            *(downloads.c.item, downloads.c.at, downloads.c.address, downloads.c.agent),
            *(downloads.c.link_expires, downloads.c.file),
        )
        statement = sa.select(*columns).where(downloads.c.order_key == order).order_by(downloads.c.number)
        async with self._engine.connect() as connection:
            return [LoggedDownload(*row) for row in (await connection.execute(statement)).all()]


async def _is_there(connection: AsyncConnection, where: sa.ColumnElement[bool]) -> bool:
    found: bool = (await connection.execute(sa.select(sa.exists().where(where)))).scalar_one()
    return found
