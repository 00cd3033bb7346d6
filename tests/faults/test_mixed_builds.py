"""Two builds on one Kafka and PostgreSQL, under load: one worker of each per service, then only the newer, then back to
the older. Nothing is lost, parked or erased, whichever worker gets which message.

The databases themselves remember what a row ever had of the newer build: by triggers.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import aiohttp
import asyncpg

from deploy.devstack.processes import PROJECT
from services.registry import SERVICES
from tests.faults.newer import newer_build
from tests.faults.paths import PATHS, Journey, walk, walk_one
from tests.faults.scenario import charged_twice, lost_of
from tests.faults.system import System
from tests.faults.table import AT_LENGTH, Table

ROUNDS, CUSTOMERS, SECONDS = 3, 400, 40.0
"""Times that the newer build is rolled out and back; customers of each stage, and in how many seconds they come."""
NEW: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("checkout", "orders"): ("$.gift", "$.customer.company", "$.lines[*].ribbon"),
    ("payments", "payments"): ("$.risk",),
    ("fulfillment", "deliveries"): ("$.wrapped", "$.customer.company"),
}
"""What only the newer build knows, by service and table."""
WATCH = """
    create table had (key text, path text, times integer, primary key (key, path));
    create function note() returns trigger language plpgsql as $$
    begin
        insert into had select new.key, path, times from unnest(tg_argv) as path, lateral (
            select count(*) as times from jsonb_path_query(new.data, cast(path as jsonpath)) v where v <> '""'
        ) found where times > 0
        on conflict (key, path) do update set times = greatest(had.times, excluded.times);
        return null;
    end $$;
    create trigger note after insert or update on {table} for each row execute function note({paths});
"""
ERASED = """
    select key, path from had join {table} t using (key) where times > (
        select count(*) from jsonb_path_query(t.data, cast(path as jsonpath)) v where v <> '""')
    union all select key, path from had where key not in (select key from {table})
"""
CALL = """
    insert into operations (id, key, kind, payload, meta, due, requested_at, destination, serial, attempts, lease,
        leased_by, in_doubt, abandoned, error, history)
    select '{id}', '{key}', 'WrapGift', json_build_object('order', '{key}', 'paper', 'blue'),
        '["", "", "", "system"]', now(), now(), 'WrapGift', false, 0, 0, '', false, false, '', '[]'
"""


@AT_LENGTH
async def test_builds_mix(system: System, table: Table, seed: int, tmp_path: Path) -> None:
    newer, rng, began = newer_build(tmp_path / "newer"), random.Random(seed), time.monotonic()
    await asyncio.to_thread(_migrate, system, newer)
    await watch(system)
    try:
        await there_and_back(system, newer, table, rng, began)
    finally:
        for worker in system.services.workers:
            if worker.project != PROJECT:
                await system.services.switch(worker, PROJECT)
        for service, name in NEW:
            await system.execute(service, f"drop trigger note on {name}; drop function note; drop table had")


async def there_and_back(system: System, newer: Path, table: Table, rng: random.Random, began: float) -> None:
    told: list[Journey] = []
    skipped = 0.0
    for _ in range(ROUNDS):
        told += await stage(system, rng, side_by_side(newer))
        skipped += await skipped_by_older(system, newer, told)
        told += await stage(system, rng, only(newer))
        bought = await walk_one(system, PATHS[0])
        told += await stage(system, rng, only(PROJECT))
        skipped += await unknown_events(system, newer)
        assert not bought.trouble, bought.trouble
        await bought.order.is_refunded()  # the older build changes every row that the newer one has left
        await bought.order.becomes("refunded", within=180)
    await end_newer_calls(system, newer)
    await system.at_rest()

    lost, twice = lost_of(told), await charged_twice(system, told)
    erased, mixed = await compared(system)
    parked = {name: await system.value(name, "select count(*) from parked") for name in SERVICES}
    violated = await system.check()
    remark = f"{sum(mixed.values())} rows that the older build changed kept what only the newer knows"
    what = "(q) old and new build side by side, forth and back"
    table.add(what, len(told), len(lost), len(twice), time.monotonic() - began, remark)
    assert not lost, "\n".join(lost)
    assert not twice, "\n".join(twice)
    assert erased == []
    assert parked == dict.fromkeys(SERVICES, 0)
    assert violated == {}
    assert min(mixed.values()) > 0, mixed
    assert skipped > 0
    await leaves_newer_calls_alone(system, newer, told)


Builds = Mapping[str, tuple[Path, ...]]
"""By service: which build each of its workers has."""


def side_by_side(newer: Path) -> Builds:
    """An order has the same partition in all topics, and workers of the same index read the same partitions: what
    checkout's newer worker publishes is read by the older ones of the other services."""
    return {name: (PROJECT, newer) if name == "checkout" else (newer, PROJECT) for name in SERVICES}


def only(build: Path) -> Builds:
    return dict.fromkeys(SERVICES, (build, build))


async def stage(system: System, rng: random.Random, builds: Builds) -> list[Journey]:
    """Customers come while the workers are switched to these builds, one service after the other."""
    crowd = (list(PATHS) * (CUSTOMERS // len(PATHS) + 1))[:CUSTOMERS]
    rng.shuffle(crowd)
    walking = asyncio.create_task(walk(system, crowd, seconds=SECONDS))
    for name in rng.sample(SERVICES, k=len(SERVICES)):
        for index, project in enumerate(builds[name]):
            worker = system.services.worker(name, index)
            if worker.project != project:
                await system.services.switch(worker, project)
    return await walking


def _migrate(system: System, newer: Path) -> None:
    """The newer build's databases, then once more the older build's, as a roll-back has it."""
    for project in (newer, PROJECT):
        command = [sys.executable, "-m", "deploy.cli.main", "migrate"]
        environment = {**system.services.environment}
        ran = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr


async def watch(system: System) -> None:
    for (service, name), paths in NEW.items():
        await system.execute(service, WATCH.format(table=name, paths=", ".join(f"'{path}'" for path in paths)))


async def compared(system: System) -> tuple[list[str], dict[str, int]]:
    """What a row had of the newer build and has no longer; and how many rows both builds have written, by table."""
    erased, mixed = list[str](), dict[str, int]()
    for (service, name), paths in NEW.items():
        connection = await asyncpg.connect(system.stack.postgres.url(service))
        had = {row[0] for row in await connection.fetch("select distinct path from had")}
        assert had == set(paths), f"{name}: the newer build wrote only {had}"
        erased += [f"{name} {key}: {path}" for key, path in await connection.fetch(ERASED.format(table=name))]
        mixed[name] = await connection.fetchval(f"select count(*) from {name} join had using (key) where shape = 0")
        await connection.close()
    return erased, mixed


async def skipped_by_older(system: System, newer: Path, told: list[Journey]) -> float:
    """How many events of a type unknown to them older workers have skipped: customers come until there is one."""
    async with asyncio.timeout(120):
        while not (found := await unknown_events(system, newer)):
            told.append(await walk_one(system, PATHS[0]))
    return found


async def unknown_events(system: System, newer: Path) -> float:
    """Those that workers of the older build have skipped since they started."""
    found = 0.0
    async with aiohttp.ClientSession() as session:
        for worker in system.services.workers:
            if worker.project != newer:
                async with session.get(f"{worker.url}/metrics") as answer:
                    lines = (await answer.text()).splitlines()
                counts = [line for line in lines if line.startswith("orderbus_unknown_events_total")]
                found += sum(float(line.rpartition(" ")[2]) for line in counts)
    return found


async def end_newer_calls(system: System, newer: Path) -> None:
    """What the newer build requested last waits until one of its workers is back."""
    waiting = "select count(*) from operations where kind = 'WrapGift'"
    if not await system.value("fulfillment", waiting):
        return
    worker = system.services.worker("fulfillment", 1)
    await system.services.switch(worker, newer)
    try:
        async with asyncio.timeout(60):
            while await system.value("fulfillment", waiting):
                await asyncio.sleep(0.2)
    finally:
        await system.services.switch(worker, PROJECT)


async def leaves_newer_calls_alone(system: System, newer: Path, told: list[Journey]) -> None:
    """A call of a kind that the older build does not know waits untouched for a newer worker, which makes it."""
    (key,) = [it.order.id for it in told if it.order.status == "completed"][:1]
    id = uuid4()
    await system.execute("fulfillment", CALL.format(id=id, key=key))
    await asyncio.sleep(3.0)
    untouched = f"select (attempts, lease, leased_by, error) = (0, 0, '', '') from operations where id = '{id}'"
    assert await system.value("fulfillment", untouched)

    worker = system.services.worker("fulfillment", 1)
    await system.services.switch(worker, newer)
    try:
        async with asyncio.timeout(30):
            while await system.value("fulfillment", f"select count(*) from operations where id = '{id}'"):
                await asyncio.sleep(0.2)
    finally:
        await system.services.switch(worker, PROJECT)
    wrapped = f"select data->>'wrapped' from deliveries where key = '{key}'"
    assert await system.value("fulfillment", wrapped) == "in blue paper"
