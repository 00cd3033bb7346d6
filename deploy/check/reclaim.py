"""Codes that customers were told, marked as theirs again after fulfillment's database was restored to an earlier point.

What was told stands in the topic; the restored pool has those codes as free ones, and would tell them to others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from deploy.check.lost_key import forget_lost_key
from deploy.check.topics import Seen, messages
from services.fulfillment.gateways.code_vault import CodeVault
from services.fulfillment.settings import FulfillmentSection
from shared.contracts.codes import AddCodes
from shared.contracts.envelope import BadBody, decode
from shared.contracts.fulfillment import COMMANDS, EVENTS, ItemDelivered, ItemProgressed
from shared.errors import ReportedError
from shared.setting_types import keys_in
from shared.settings import KafkaSettings, Settings
from shared.shell.kafka.group_members import members_of
from shared.shell.ports.bus import BusUnavailable
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.refusals import checked
from shared.shell.sealer import Sealer

READ_WITHIN = 1200.0
"""Seconds."""
CHUNK = 1000
UNKNOWN_POOL = ""


class StillWorking(ReportedError):
    """A worker may have the key that is said to be lost."""


# Of codes in clear, which builds before sealing kept; and those that are sealed.
_RECLAIM = [
    sa.text(f"""
        update {table} c set order_key = told.order_key, item = told.item, taken_at = clock_timestamp(),
            unit = told.unit + coalesce((
                select max(unit) from {table} own
                where own.key = c.key and own.order_key = told.order_key and own.item = told.item
            ), 0)
        from unnest(cast(:orders as text[]), cast(:items as text[]), cast(:units as bigint[]), cast(:names as {kind}[]))
            as told(order_key, item, unit, name)
        where c.{name} = told.name and c.order_key is null
        returning c.{name} as name
    """).bindparams(sa.bindparam("names", type_=postgresql.ARRAY(sa.Text if kind == "text" else sa.LargeBinary)))
    for table, name, kind in (("codes", "code", "text"), ("sealed_codes", "digest", "bytea"))
]
_THERE = [
    sa.text(f"select {name} as name from {table} where {name} = any(cast(:names as {kind}[]))").bindparams(
        sa.bindparam("names", type_=postgresql.ARRAY(sa.Text if kind == "text" else sa.LargeBinary))
    )
    for table, name, kind in (("codes", "code", "text"), ("sealed_codes", "digest", "bytea"))
]
# A code that was added to its pool after the restored point is not there yet: it comes in as one that is taken. So does
# one of no known pool, under an empty key: then no file brings it to another customer.
_ADD = sa.text("""
    insert into sealed_codes (key, digest, sealed, order_key, item, unit, taken_at)
    select :key, :digest, :sealed, :order, :item, cast(:unit as bigint) + coalesce((
        select max(unit) from sealed_codes where key = :key and order_key = :order and item = :item
    ), 0), clock_timestamp()
    on conflict (key, digest) do nothing
""")


@dataclass(frozen=True, slots=True)
class Told:
    order: str
    item: str
    """As fulfillment calls the execution: `1`, `1/2`."""
    unit: int
    """Counts the codes of one execution from 1: all that it was ever told."""
    code: str


@dataclass(frozen=True, slots=True)
class Reclaimed:
    told: int
    reclaimed: int
    """How many were free, or not there yet."""
    nowhere: Sequence[tuple[str, str]]
    """Orders and items whose codes are in no pool. They are remembered: an import leaves them out."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """Free codes whose key is lost, by pool."""
    unknown: Sequence[tuple[str, str]] = ()
    """Orders and items that took more codes than are known: no import leaves those out."""


def vault_of(settings: Settings) -> CodeVault:
    """`settings`: with those of fulfillment's workers."""
    own = settings.service("fulfillment")
    assert isinstance(own, FulfillmentSection)
    return CodeVault(Sealer(keys_in(own.data_keys)))


async def reclaim(kafka: KafkaSettings, database_url: str, vault: CodeVault, *, forget_key: bool = False) -> Reclaimed:
    """While fulfillment is stopped. Doing it twice is harmless. `forget_key`: the one that is lost. Raises
    BusUnavailable, StoreUnavailable, or ReportedError where the database cannot be used; StillWorking, NothingLost,
    CannotOpen."""
    if forget_key and (members := await members_of(kafka, "fulfillment")):
        raise StillWorking(
            f"Workers of fulfillment are still running ({', '.join(members)}): stop all of them, then repeat this. "
            "Where they work, their keys are not lost: compare their settings with those here. Nothing was changed."
        )
    await _usable(database_url)
    try:
        async with asyncio.timeout(READ_WITHIN):
            told, added = await _told(kafka), await _added(kafka)
    except TimeoutError:
        raise BusUnavailable(f"they were not read within {READ_WITHIN:g} s") from None
    engine = create_engine(database_url, "reclaim")
    try:
        if forget_key:
            async with engine.begin() as connection:
                return await remembered(connection, vault, told, added)
        count, nowhere = 0, list[tuple[str, str]]()
        for start in range(0, len(told), CHUNK):
            async with engine.begin() as connection:
                await vault.unlock(connection)
                reclaimed, lost = await mark_told(connection, vault, told[start : start + CHUNK], added)
            count += reclaimed
            nowhere += lost
    finally:
        await engine.dispose()
    return Reclaimed(len(told), count, nowhere)


async def remembered(
    connection: AsyncConnection, vault: CodeVault, told: Sequence[Told], added: Mapping[str, Collection[str]]
) -> Reclaimed:
    """The lost key is forgotten, and codes of customers are known again: those `told` by the topic, and those that
    deliveries show. Raises NothingLost."""
    forgotten = await forget_lost_key(connection, vault)
    codes: dict[tuple[str, str], dict[str, None]] = {}
    for one in told:
        codes.setdefault((one.order, one.item), {})[one.code] = None
    for place, given in forgotten.given.items():
        codes.setdefault(place, {}).update(dict.fromkeys(given))
    pools = {code: set(keys) for code, keys in added.items()}
    for place, known in codes.items():
        for code in known:
            pools.setdefault(code, set()).update(forgotten.pools.get(place, ()))
    every = [Told(*place, unit, code) for place, known in codes.items() for unit, code in enumerate(known, 1)]
    count, nowhere = 0, list[tuple[str, str]]()
    for start in range(0, len(every), CHUNK):
        reclaimed, lost = await mark_told(connection, vault, every[start : start + CHUNK], pools)
        count += reclaimed
        nowhere += lost
    unknown = [place for place, number in forgotten.taken.items() if number > len(codes.get(place, ()))]
    return Reclaimed(len(every), count, nowhere, forgotten.removed, sorted(unknown))


async def mark_told(
    connection: AsyncConnection, vault: CodeVault, told: Sequence[Told], added: Mapping[str, Collection[str]]
) -> tuple[int, list[tuple[str, str]]]:
    """How many were free or not there yet, and the places of those that are in no pool."""
    digests = {one.code: vault.digest(one.code) for one in told}
    names: list[Sequence[Any]] = [[one.code for one in told], [digests[one.code] for one in told]]
    there: list[set[Any]] = [set(), set()]
    known: list[set[Any]] = [set(), set()]
    for which in (0, 1):
        found = await connection.execute(_THERE[which], {"names": names[which]})
        there[which] = {row.name for row in found}
        values = {"orders": [one.order for one in told], "items": [one.item for one in told]}
        more = {"units": [one.unit for one in told], "names": names[which]}
        known[which] = {row.name for row in await connection.execute(_RECLAIM[which], values | more)}
    count, nowhere = 0, list[tuple[str, str]]()
    for one in told:
        digest = digests[one.code]
        if one.code in known[0] or digest in known[1]:
            count += 1
        elif one.code not in there[0] and digest not in there[1]:
            pools = sorted(added.get(one.code, ()))
            for key in pools or [UNKNOWN_POOL]:
                place = {"order": one.order, "item": one.item, "unit": one.unit}
                sealed = vault.seal(one.code, key)
                await connection.execute(_ADD, place | {"key": key, "digest": digest, "sealed": sealed})
            if pools:
                count += 1
            else:
                nowhere.append((one.order, one.item))
    return count, nowhere


async def _usable(database_url: str) -> None:
    engine = create_engine(database_url, "reclaim")
    try:
        await checked("fulfillment", database_url, engine)
    finally:
        await engine.dispose()


async def _told(kafka: KafkaSettings) -> list[Told]:
    found: dict[tuple[str, str], dict[str, None]] = {}
    async for record in messages(kafka, EVENTS.name, {ItemDelivered, ItemProgressed}):
        if b'"code"' in record.body:
            event = _delivered(record)
            given = event.instructions if event else None
            if event and given:
                codes = given.codes or ((given.code,) if given.code else ())
                execution = event.execution or event.item
                found.setdefault((record.key, execution), {}).update(dict.fromkeys(codes))
    return [Told(*place, unit, code) for place, codes in found.items() for unit, code in enumerate(codes, 1)]


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
