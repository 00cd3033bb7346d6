"""Sums by day are what all rows add up to: read in pieces, twice, by two workers, in any zone, while they are made
again."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.core.day_sums import expanded
from shared.shell.postgres.day_sums import sum_again, wrong_sums
from shared.shell.postgres.read_models import PostgresReadModels
from tests.integration.test_read_models import engine, history, pieces, projector
from tests.unit.shell.parcels import TABLES, ParcelStatus, record_of

__all__ = ["engine"]
ZONES = {"north": "Pacific/Kiritimati", "south": "America/St_Johns"}
Sums = Mapping[tuple[Any, ...], int]


async def use_zones(engine: AsyncEngine, zones: Mapping[str, str]) -> None:
    async with engine.begin() as connection:
        for store, zone in zones.items():
            statement = "insert into depots values (:store, :zone) on conflict (store) do update set sums_zone = :zone"
            await connection.execute(sa.text(statement), {"store": store, "zone": zone})


async def kept(engine: AsyncEngine) -> Sums:
    async with engine.connect() as connection:
        rows = await connection.execute(sa.text("select * from parcel_sums"))
        return _plain({tuple(row[:5]): {"parcels": int(row[5]), "things": int(row[6])} for row in rows})


async def summed(engine: AsyncEngine, zones: Mapping[str, str]) -> Sums:
    """In plain Python, over all rows."""
    found: dict[tuple[Any, ...], Counter[str]] = {}
    async with engine.connect() as connection:
        rows = (await connection.execute(sa.text("select packed_adds, route_adds from parcels"))).all()
    for adds in [each for row in rows for each in row if each]:
        for key, figures in expanded(adds, ZoneInfo(zones.get(adds["store"], "UTC")), ("thing",)):
            found.setdefault(tuple(key), Counter()).update(figures)
    return _plain(found)


def _plain(found: Mapping[tuple[Any, ...], Mapping[str, int]]) -> Sums:
    return {(*key, name): number for key, figures in found.items() for name, number in figures.items() if number}


async def wrong(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return await wrong_sums(connection, TABLES)


@pytest.mark.parametrize("seed", range(1, 6))
async def test_they_are_what_all_rows_add_up_to(engine: AsyncEngine, seed: int) -> None:
    await use_zones(engine, ZONES)
    rng, models = random.Random(seed), PostgresReadModels(engine, TABLES)
    records = history(rng, 300)
    for piece in pieces(rng, records):
        await projector(models).take(piece)

    assert await kept(engine) == await summed(engine, ZONES)
    assert await wrong(engine) == []
    assert {key[2] for key in await kept(engine)} >= {date(2026, 3, 3), date(2026, 3, 4)}


async def test_two_workers_and_one_who_makes_them_again_lose_nothing(engine: AsyncEngine) -> None:
    """Of keys in two partitions, which both workers have; the zones change meanwhile."""
    many = [
        [
            record_of(
                ParcelStatus(revision=revision, depot="north", state=f"s{revision}", things=("cup",) * revision),
                *(f"k{number}", number, partition),
            )
            for number in range(40)
        ]
        for partition, revision in ((0, 1), (1, 2), (2, 3))
    ]

    async def again() -> None:
        for zone in ("Asia/Kathmandu", "Pacific/Pago_Pago", "Pacific/Kiritimati"):
            async with engine.begin() as connection:
                await connection.execute(sa.text("lock table parcel_sums in exclusive mode"))
                await connection.execute(
                    sa.text("insert into depots values ('north', :z) on conflict (store) do update set sums_zone = :z"),
                    {"z": zone},
                )
                await sum_again(connection, TABLES, "north")
            await asyncio.sleep(0.01)

    async def read(records: list[Any]) -> None:
        worker = projector(PostgresReadModels(engine, TABLES))
        for record in records:
            await worker.take([record])

    await asyncio.gather(*map(read, many), again())

    assert await wrong(engine) == []
    assert await kept(engine) == await summed(engine, {"north": "Pacific/Kiritimati"})
    things = {key: number for key, number in (await kept(engine)).items() if key[1].startswith("thing")}
    assert things == {
        ("north", "thing", date(2026, 3, 4), "cup", "EUR", "things"): 120,
        ("north", "thing/month", date(2026, 3, 1), "cup", "EUR", "things"): 120,
    }


async def test_what_is_wrong_is_named_and_made_again(engine: AsyncEngine) -> None:
    models = PostgresReadModels(engine, TABLES)
    await projector(models).take([record_of(ParcelStatus(revision=1, depot="north", state="packed"), "a", 0)])
    before = await kept(engine)
    async with engine.begin() as connection:
        await connection.execute(sa.text("update parcel_sums set parcels = 7 where about = 'parcels'"))
        await connection.execute(sa.text("delete from parcel_sums where about = 'state'"))

    day = datetime(2026, 3, 3).date()
    assert await wrong(engine) == [
        f"parcel_sums: store=north about=parcels day={day} value= currency=EUR: says parcels 7, the rows add up to 1",
        f"parcel_sums: store=north about=state day={day} value=packed currency=EUR: "
        "says parcels 0, the rows add up to 1",
    ]
    async with engine.begin() as connection:
        await sum_again(connection, TABLES)
    assert await wrong(engine) == []
    assert await kept(engine) == before


async def test_sums_of_amounts_have_no_largest_one(engine: AsyncEngine) -> None:
    """One absurd order must not make the next ones of its day impossible to count."""
    most = {"store": "north", "currency": "EUR", "adds": [[1, {"thing": "cup"}, {"things": 2**63 - 1}]]}
    async with engine.begin() as connection:
        for key in ("a", "b"):
            insert = sa.text("insert into parcels (parcel, packed_adds) values (:key, cast(:adds as jsonb))")
            await connection.execute(insert, {"key": key, "adds": str(most).replace("'", '"')})
        await sum_again(connection, TABLES)
    assert set((await kept(engine)).values()) == {2 * (2**63 - 1)}
