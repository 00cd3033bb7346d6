"""Three brokers, as in production: one after the other is killed while orders are processed, and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.devstack.kafka import Kafka
from tests.faults.paths import PATHS, Journey, walk, walk_one
from tests.faults.scenario import FaultScenario
from tests.faults.system import System, running_system
from tests.faults.table import AT_LENGTH, Table

KILLS, CUSTOMERS, SECONDS = 5, 160, 10.0
"""Customers of each kill, and within how many seconds they come."""
WITHIN = 300.0
"""Seconds for replicas to fall out of sync and to be in sync again."""


@pytest_asyncio.fixture(loop_scope="session")
async def three(tmp_path_factory: pytest.TempPathFactory, table: Table, seed: int) -> AsyncIterator[FaultScenario]:
    async with running_system(tmp_path_factory.mktemp("brokers") / "data", workers=2, brokers=3) as system:
        yield FaultScenario(system, table, seed)


@AT_LENGTH
async def test_one_of_three_brokers_at_a_time_is_killed(three: FaultScenario) -> None:
    system, rng, began = three.system, random.Random(three.seed), time.monotonic()
    told: list[Journey] = []
    away: list[float] = []
    ran = {worker.name: worker.pid for worker in system.services.workers}
    for broker in itertools.islice(in_turn(system, rng), KILLS):
        crowd = (list(PATHS) * (CUSTOMERS // len(PATHS) + 1))[:CUSTOMERS]
        rng.shuffle(crowd)
        async with asyncio.TaskGroup() as group:
            walking = group.create_task(walk(system, crowd, seconds=SECONDS))
            await asyncio.sleep(rng.uniform(0, SECONDS / 2))
            killed = time.monotonic()
            told.append(await served_without(system, broker))
            await broker.start()
            away.append(time.monotonic() - killed)
            await until_out_of_sync(system, 0)
        told += walking.result()

    remark = f"{KILLS} kills, brokers away for {min(away):.0f} to {max(away):.0f} s"
    await three.ends_well("(r) SIGKILL of one broker of three, in turn", told, began, remark)
    assert {worker.name: worker.pid for worker in system.services.workers} == ran


def in_turn(system: System, rng: random.Random) -> Iterator[Kafka]:
    """In rounds, each in another order, so that every broker has its turn."""
    brokers = system.stack.brokers
    return itertools.chain.from_iterable(rng.sample(brokers, k=len(brokers)) for _ in itertools.count())


async def served_without(system: System, broker: Kafka) -> Journey:
    """Kill the broker. When Kafka has noticed, a customer buys all the same."""
    assert broker.child
    broker.child.kill()
    await broker.child.wait()
    await until_out_of_sync(system, 1)
    return await walk_one(system, PATHS[0])


async def until_out_of_sync(system: System, brokers: int) -> None:
    """Until replicas of so many brokers are out of sync, whichever topic and partition they are of."""
    admin = AIOKafkaAdminClient(bootstrap_servers=system.settings.kafka.bootstrap_servers)
    await admin.start()
    try:
        missing: set[int] = set()
        async with asyncio.timeout(WITHIN):
            while True:
                with contextlib.suppress(KafkaError):  # it may have asked the one that is away
                    topics = await admin.describe_topics()
                    missing = {node for topic in topics for it in topic["partitions"] for node in lagging(it)}
                    if len(missing) == brokers:
                        return
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"out of sync after {WITHIN:g} s: brokers {missing}, wanted {brokers} of them") from None
    finally:
        await admin.close()


def lagging(partition: Mapping[str, Any]) -> set[int]:
    assert len(partition["replicas"]) == 3
    return set(partition["replicas"]) - set(partition["isr"])
