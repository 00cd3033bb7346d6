"""Codes that customers were told, marked as theirs again after fulfillment's database was restored to an earlier point.

What was told stands in the topic; the restored pool has those codes as free ones, and would tell them to others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from deploy.check.topics import Seen, messages
from shared.contracts.envelope import BadBody, decode
from shared.contracts.fulfillment import COMMANDS, EVENTS, AddCodes, ItemDelivered, ItemProgressed
from shared.core import hashed_id
from shared.settings import KafkaSettings
from shared.shell.ports.bus import BusUnavailable
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.refusals import checked

READ_WITHIN = 1200.0
"""Seconds."""
CHUNK = 1000

# A code that was added to its pool after the restored point is not there yet: it comes in as one that is taken.
_RECLAIM = sa.text("""
    with told as (
        select * from unnest(cast(:orders as text[]), cast(:items as text[]), cast(:units as bigint[]),
            cast(:codes as text[])) as u(order_key, item, unit, code)
    ), known as (
        update codes c set order_key = told.order_key, item = told.item, unit = told.unit, taken_at = clock_timestamp()
        from told where c.code = told.code and c.order_key is null
        returning c.code
    ), late as (
        insert into codes (key, code, batch, order_key, item, unit, taken_at)
        select added.pool, told.code, cast(:batch as uuid), told.order_key, told.item, told.unit, clock_timestamp()
        from told join unnest(cast(:pools as text[]), cast(:added as text[])) as added(pool, code) using (code)
        where not exists (select from codes c where c.key = added.pool and c.code = told.code)
        on conflict do nothing
        returning code
    )
    select told.order_key, told.item,
        told.code in (select code from known union all select code from late) as reclaimed,
        exists (select from codes c where c.code = told.code) as there
    from told
""")


@dataclass(frozen=True, slots=True)
class Told:
    order: str
    item: str
    """As fulfillment calls the execution: `1`, `1/2`."""
    unit: int
    """Counts the codes of one execution from 1."""
    code: str


@dataclass(frozen=True, slots=True)
class Reclaimed:
    told: int
    reclaimed: int
    """How many were free, or not there yet."""
    nowhere: Sequence[tuple[str, str]]
    """Orders and items whose codes are in no pool: do not add them again, or other customers get them."""


async def reclaim(kafka: KafkaSettings, database_url: str) -> Reclaimed:
    """While fulfillment is stopped. Doing it twice is harmless. Raises BusUnavailable, StoreUnavailable, or
    ReportedError where the database cannot be used."""
    await _usable(database_url)
    try:
        async with asyncio.timeout(READ_WITHIN):
            told, added = await _told(kafka), await _added(kafka)
    except TimeoutError:
        raise BusUnavailable(f"they were not read within {READ_WITHIN:g} s") from None
    count, nowhere = 0, list[tuple[str, str]]()
    engine = create_engine(database_url, "reclaim")
    try:
        for start in range(0, len(told), CHUNK):
            some = told[start : start + CHUNK]
            wanted = {one.code for one in some}
            places = [(pool, code) for code in wanted for pool in added.get(code, ())]
            values = {
                "orders": [one.order for one in some],
                "items": [one.item for one in some],
                "units": [one.unit for one in some],
                "codes": [one.code for one in some],
                "pools": [pool for pool, _ in places],
                "added": [code for _, code in places],
                "batch": _BATCH,
            }
            async with engine.begin() as connection:
                for order, item, reclaimed, there in await connection.execute(_RECLAIM, values):
                    count += reclaimed
                    if not (there or reclaimed):
                        nowhere.append((order, item))
    finally:
        await engine.dispose()
    return Reclaimed(len(told), count, nowhere)


async def _usable(database_url: str) -> None:
    engine = create_engine(database_url, "reclaim")
    try:
        await checked("fulfillment", database_url, engine)
    finally:
        await engine.dispose()


_BATCH: UUID = hashed_id("reclaimed")


async def _told(kafka: KafkaSettings) -> list[Told]:
    found: dict[Told, None] = {}
    async for record in messages(kafka, EVENTS.name, {ItemDelivered, ItemProgressed}):
        if b'"code"' in record.body:
            event = _delivered(record)
            given = event.instructions if event else None
            if event and given:
                codes = given.codes or ((given.code,) if given.code else ())
                execution = event.execution or event.item
                found |= {Told(record.key, execution, unit, code): None for unit, code in enumerate(codes, 1)}
    return list(found)


def _delivered(record: Seen) -> ItemDelivered | ItemProgressed | None:
    """None for what its readers park."""
    try:
        event = decode(record.kind or ItemDelivered, record.body)
    except BadBody:
        return None
    assert isinstance(event, ItemDelivered | ItemProgressed)
    return event


async def _added(kafka: KafkaSettings) -> dict[str, set[str]]:
    """Pools by code, as far as they came by topic."""
    pools: dict[str, set[str]] = {}
    async for record in messages(kafka, COMMANDS.name, {AddCodes}):
        try:
            command = decode(AddCodes, record.body)
        except BadBody:
            continue  # it was refused
        assert isinstance(command, AddCodes)
        for code in command.codes:
            pools.setdefault(code, set()).add(record.key)
    return pools
