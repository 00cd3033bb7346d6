"""Read models on PostgreSQL and in memory: random records, read in any pieces, twice, by two workers or after a crash,
leave the rows that reading all of them at once leaves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.core.projection import Projection
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import PROJECTOR, Progress
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.clock import SystemClock
from shared.shell.ports.read_models import Folded, MovedOn, ReadModels, ReadModelTables
from shared.shell.ports.store import BatchRefused
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.read_models import PostgresReadModels, array_literal
from shared.shell.postgres.schema import TABLES_V1
from shared.shell.postgres.store import PostgresStore
from shared.shell.projection.fold import Fold
from shared.shell.projection.projector import Projector
from shared.simulation.memory_read_models import MemoryReadModels
from shared.simulation.memory_store import MemoryStore
from tests.integration.conftest import NewDatabase
from tests.unit.shell.parcels import (
    NOON,
    PACKED,
    ROUTED,
    TABLES,
    ParcelStatus,
    RouteStatus,
    Scanned,
    erased,
    metadata,
    projection,
    record_of,
)

NAMES = ("parcels", "things", "scans", "parcel_counts", "parcel_sums")
COLUMNS = {table.name: [column.name for column in table.columns] for table in metadata.tables.values()}


class Nothing:
    """A source of which nothing is read."""

    def lag(self) -> int:
        return 0


def projector(read_models: ReadModels, worker: str = "toy-0") -> Projector:
    return projector_of(projection, TABLES, read_models, worker)


def projector_of(own: Projection, tables: ReadModelTables, read_models: ReadModels, worker: str = "toy-0") -> Projector:
    return Projector(
        Fold(own, tables),
        Nothing(),  # type: ignore[arg-type]
        read_models,
        SystemClock(),
        Metrics("toy", worker),
        random.Random(1),
        Progress(parts=(PROJECTOR,)),
        linger=0,
    )


def history(rng: random.Random, length: int) -> list[BusRecord]:
    """Records of all topics, in two partitions each; some keys' records are erased, some cannot be read or stored."""
    revisions, offsets, records = dict[tuple[str, str], int](), dict[tuple[str, int], int](), list[BusRecord]()
    for number in range(length):
        key = f"p{rng.randrange(12)}"
        partition = int(key[1:]) % 2
        topic = rng.choice((PACKED.name, PACKED.name, ROUTED.name, "toy.scans.v1"))
        place = (topic, partition)
        offsets[place] = offset = offsets.get(place, -1) + rng.choice((1, 1, 1, 3))
        revision = revisions[topic, key] = revisions.get((topic, key), 0) + rng.choice((1, 1, 1000))
        if topic == PACKED.name and rng.random() < 0.07:
            records.append(erased(PACKED, key, offset, partition))
        elif topic == PACKED.name:
            state = rng.choice(("packed", "sent", "lost", 're\\turned "x"'))
            things = tuple(rng.choice(("cup", "pen", "map")) for _ in range(rng.randrange(4)))
            status = ParcelStatus(revision=revision, depot=rng.choice(("north", "south")), state=state, things=things)
            records.append(record_of(status, key, offset, partition, number))
        elif topic == ROUTED.name:
            records.append(record_of(RouteStatus(revision=revision, van=f"v{number}"), key, offset, partition, number))
        else:
            seed = rng.choice((number, max(0, number - 5)))  # some are sent twice
            records.append(record_of(Scanned(place="door"), key, offset, partition, seed))
    return records


def pieces(rng: random.Random, records: Sequence[BusRecord]) -> list[list[BusRecord]]:
    """In their order, with pieces that are read once more."""
    found, at = [], 0
    while at < len(records):
        size = rng.randrange(1, 40)
        found.append(list(records[at : at + size]))
        at += size if rng.random() < 0.8 else size // 3
    return found


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(await new_database(), "test")
    async with engine.begin() as connection:
        for statement in TABLES_V1:
            await connection.execute(sa.text(statement))
        await connection.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()


async def in_database(engine: AsyncEngine) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    async with engine.connect() as connection:
        for name in (*NAMES, "parked"):
            rows = await connection.execute(sa.text(f"select * from {name}"))
            found[name] = [dict(row._mapping) for row in rows]
    return found


def plain(name: str, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows as they can be compared, without what never was."""
    if name == "parked":
        return sorted(({"key": r["key"], "offset": r["record_offset"], "reason": r["reason"]} for r in rows), key=str)
    defaults: dict[str, Any] = {"van": None, "note": None, "tags": [], "depot": "", "state": ""}
    defaults |= {"packed_adds": None, "route_adds": None}
    whole = [{column: row.get(column, defaults.get(column, 0)) for column in COLUMNS[name]} for row in rows]
    tidy = [row | {"tags": list(row["tags"])} if "tags" in row else row for row in whole]
    if name == "parcel_sums":
        return sorted((row for row in tidy if row["parcels"] or row["things"]), key=str)
    return sorted((row for row in tidy if row.get("count") != 0), key=str)


def in_memory(store: MemoryStore) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {name: list(store.rows(name).values()) for name in NAMES}
    parked = store.rows("parked").values()
    found["parked"] = [{"key": row.key, "record_offset": row.offset, "reason": row.reason} for row in parked]
    return found


def compared(found: dict[str, list[Any]]) -> dict[str, list[dict[str, Any]]]:
    return {name: plain(name, rows) for name, rows in found.items()}


async def at_once(records: Sequence[BusRecord]) -> dict[str, list[dict[str, Any]]]:
    store = MemoryStore()
    await projector(MemoryReadModels(store, TABLES)).take(records)
    return compared(in_memory(store))


def without_parked(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Read at once, of a key's records that cannot be read only those behind the last good one are ever looked at."""
    return {name: rows for name, rows in found.items() if name != "parked"}


@pytest.mark.parametrize("seed", range(1, 7))
async def test_read_in_pieces_as_at_once_on_both(engine: AsyncEngine, seed: int) -> None:
    rng = random.Random(seed)
    records = history(rng, 300)
    store = MemoryStore()
    memory, database = MemoryReadModels(store, TABLES), PostgresReadModels(engine, TABLES)
    workers = [(projector(memory, worker), projector(database, worker)) for worker in ("toy-0", "toy-1")]

    for piece in pieces(rng, records):
        chosen = rng.randrange(2)
        if rng.random() < 0.1:  # it starts again, and knows nothing
            worker = f"toy-{chosen}"
            workers[chosen] = projector(memory, worker), projector(database, worker)
        for one in workers[chosen]:
            await one.take(piece)

    left = compared(await in_database(engine))
    assert left == compared(in_memory(store))
    whole = await at_once(records)
    assert without_parked(left) == without_parked(whole)
    assert {(row["key"], row["offset"]) for row in whole["parked"]} == {
        (row["key"], row["offset"]) for row in left["parked"]
    }
    assert left["parked"] and left["things"] and left["scans"]
    counted = {(row["depot"], row["state"]): row["count"] for row in left["parcel_counts"]}
    shown = [(row["depot"], row["state"]) for row in left["parcels"] if row["state"]]
    assert counted == {place: shown.count(place) for place in set(shown)}


async def test_an_older_revision_changes_nothing_even_from_another_place(engine: AsyncEngine) -> None:
    worker = projector(PostgresReadModels(engine, TABLES))
    newer = ParcelStatus(revision=5, depot="north", state="sent", things=("cup",))
    older = ParcelStatus(revision=4, depot="south", state="packed")
    await worker.take([record_of(newer, "a", 0)])

    await worker.take([record_of(older, "a", 0, partition=1)])

    found = await in_database(engine)
    assert [(row["depot"], row["state"]) for row in found["parcels"]] == [("north", "sent")]
    assert len(found["things"]) == 1


async def test_what_the_database_refuses_is_parked_and_stops_nothing_else(engine: AsyncEngine) -> None:
    worker = projector(PostgresReadModels(engine, TABLES))
    many = ParcelStatus(revision=1, depot="north", state="packed", things=("cup",) * 40_000)  # no smallint
    good = ParcelStatus(revision=1, depot="north", state="packed", things=("cup",))

    await worker.take([record_of(good, "a", 0), record_of(many, "b", 1), record_of(good, "c", 2)])

    found = await in_database(engine)
    assert sorted(row["parcel"] for row in found["parcels"]) == ["a", "c"]
    assert [(row["key"], row["record_offset"]) for row in found["parked"]] == [("b", 1)]
    assert found["parked"][0]["error"].startswith("the database refused the data: 22")
    await worker.take([record_of(good.model_copy(update={"revision": 2}), "b", 3)])
    found = await in_database(engine)
    assert found["parked"] == [], "a later record of the key was shown: nothing waits for staff any more"
    assert len(found["parcels"]) == 3


@pytest.mark.parametrize("memory", [True, False], ids=["memory", "postgresql"])
async def test_who_thinks_a_partition_elsewhere_than_it_is_writes_nothing(engine: AsyncEngine, memory: bool) -> None:
    models: ReadModels = MemoryReadModels(MemoryStore(), TABLES) if memory else PostgresReadModels(engine, TABLES)
    place = (PACKED.name, 0)
    await models.write(Folded({place: (0, 5)}))

    for start in (0, 4, 6):
        with pytest.raises(MovedOn):
            await models.write(Folded({place: (start, 9), (PACKED.name, 1): (0, 1)}))

    assert await models.positions([place, (PACKED.name, 1)]) == {place: 5}
    await models.write(Folded({place: (5, 9)}))
    assert await models.positions([place]) == {place: 9}


async def test_a_parked_record_is_written_once_it_can_be(engine: AsyncEngine) -> None:
    models = PostgresReadModels(engine, TABLES)
    worker, good = projector(models), ParcelStatus(revision=1, depot="north", state="packed")
    await models.write(worker.fold.parking(record_of(good, "a", 0), {}, "it could not be", NOON))
    assert await models.parked_keys([PACKED.name, ROUTED.name]) == [(PACKED.name, "a")]

    (row,) = await PostgresStore(engine).parked("a")
    await worker.retry_parked(row)

    found = await in_database(engine)
    assert (found["parked"], [row["parcel"] for row in found["parcels"]]) == ([], ["a"])


async def test_what_was_erased_is_not_shown_again_by_a_retry_that_was_begun_before(engine: AsyncEngine) -> None:
    models = PostgresReadModels(engine, TABLES)
    worker, sent = projector(models), ParcelStatus(revision=2, depot="north", state="sent", things=("cup",))
    await models.write(worker.fold.parking(record_of(sent, "b", 0), {}, "it could not be", NOON))
    (parked,) = await PostgresStore(engine).parked("b")
    await worker.take([record_of(sent, "a", 1), erased(PACKED, "a", 2), erased(PACKED, "b", 3)])

    await worker.retry_parked(parked)

    found = await in_database(engine)
    assert {(row["depot"], row["state"]) for row in found["parcels"]} == {("", "")}
    assert (found["things"], found["parked"]) == ([], [])
    assert [row["count"] for row in found["parcel_counts"] if row["count"]] == []


async def test_of_a_key_in_two_partitions_the_counter_counts_one_row(engine: AsyncEngine) -> None:
    """While partitions are added to a topic, two workers may have records of one key."""
    for number in range(30):
        records = [
            record_of(
                ParcelStatus(revision=revision, depot="north", state=f"s{revision}"), f"k{number}", number, revision
            )
            for revision in (1, 2, 3)
        ]
        await asyncio.gather(*(projector(PostgresReadModels(engine, TABLES)).take([record]) for record in records))

    found = await in_database(engine)
    assert {row["state"]: row["count"] for row in found["parcel_counts"] if row["count"]} == {"s3": 30}


async def test_messages_of_a_key_do_not_wait_for_what_a_projection_parked(engine: AsyncEngine) -> None:
    models, store = PostgresReadModels(engine, TABLES), PostgresStore(engine)
    lost = record_of(ParcelStatus(revision=2, depot="north", state="lost"), "a", 0)
    await projector(models).take([lost])
    assert [row.key for row in await store.parked()] == ["a"]
    async with store.begin() as tx:
        _, behind = await tx.claim({}, ["a"], NOON)
    assert behind == {}


@pytest.mark.parametrize("texts", [[], ["a"], ['qu"ote', "back\\slash", "{brace}", "comma, null", "NULL", "", "é ☃"]])
async def test_arrays_of_texts_arrive_as_they_are(engine: AsyncEngine, texts: list[str]) -> None:
    async with engine.connect() as connection:
        found = await connection.scalar(
            sa.text("select cast(cast(:given as text) as text[])"), {"given": array_literal(texts)}
        )
    assert found == texts


async def test_two_values_that_do_not_fit_are_refused_alike() -> None:
    memory = MemoryReadModels(MemoryStore(), TABLES)
    many = ParcelStatus(revision=1, depot="north", state="packed", things=("cup",) * 40_000)
    folded, _ = Fold(projection, TABLES).fold([record_of(many, "b", 1)], {}, NOON)
    with pytest.raises(BatchRefused, match="22003"):
        await memory.write(folded)
