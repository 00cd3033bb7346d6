"""Kafka and all that it had are gone in the middle of everything, as docs/operations.md says under “Kafka is lost”.

    orders ─► SIGKILL, its folder deleted ─► an empty cluster at the same address: workers end, and make no topics
           ─► the procedure ─► workers start ─► at rest: nothing lost, nothing twice

Commands that no service had read are lost with it. Their publisher sends them again under the same ids, as the
storefront does here.
"""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import signal
import time
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.client.storefront import Published
from deploy.devstack.processes import Worker
from services.registry import SERVICES
from shared.settings import KafkaSettings
from shared.shell.kafka.source import connection
from tests.faults.paths import PATHS, Journey, walk
from tests.faults.patient import PatientStorefront
from tests.faults.scenario import FaultScenario
from tests.faults.system import System
from tests.faults.table import AT_LENGTH
from tests.runbook import follow, procedure

CUSTOMERS, SECONDS = 1280, 60.0
"""How many come, and within how many seconds; Kafka is lost when half of them are there."""
TIMEOUT = 300.0
WAYS = [way for way in PATHS if not way.name.startswith("8")]
"""Without those in which a refusal is waited for: only the storefront reads it, so it is not sent again."""
PAUSE = """
    insert into destinations (name, paused_at, reason, paused_by, probe_at, probes)
    select destination, clock_timestamp(), 'A test paused it.', 'test', clock_timestamp() + interval '1 hour', 0
    from (select coalesce((select destination from operations limit 1), 'stripe') as destination) one
    on conflict do nothing
"""


class RememberingStorefront(PatientStorefront):
    """Keeps what its customers do until Kafka takes it, and publishes it again when Kafka was lost."""

    def __init__(self, settings: KafkaSettings, within: float) -> None:
        super().__init__(settings, within)
        self._published: list[tuple[Any, ...]] = []

    async def publish_raw(self, *record: Any) -> Published:
        self._published.append(record)
        return await super().publish_raw(*record)

    async def publish_all_again(self) -> None:
        for record in list(self._published):
            await super().publish_raw(*record)


@AT_LENGTH
async def test_kafka_is_lost(scenario: FaultScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    async with RememberingStorefront(scenario.system.settings.kafka, TIMEOUT) as storefront:
        monkeypatch.setattr(scenario.system.shop, "storefront", storefront)
        await kafka_is_lost(scenario, storefront)


async def kafka_is_lost(scenario: FaultScenario, storefront: RememberingStorefront) -> None:
    system, rng, began = scenario.system, random.Random(scenario.seed), time.monotonic()
    crowd = (WAYS * (CUSTOMERS // len(WAYS) + 1))[:CUSTOMERS]
    rng.shuffle(crowd)

    async with asyncio.TaskGroup() as group:
        walking = group.create_task(walk(system, crowd, seconds=SECONDS, timeout=TIMEOUT))
        await asyncio.sleep(SECONDS / 2)
        await system.execute("payments", PAUSE)
        unread = of_service(system, "fulfillment")
        await stopped(unread, signal.SIGKILL)
        await asyncio.sleep(SECONDS / 10)
        await replaced(system)
        started(unread)
        lost_at = time.monotonic()
        await every_worker_ends(system)
        assert await topics_of(system) == []
        await stopped(processes(system), signal.SIGTERM)
        said = await procedure_followed(system)
        assert facts_in(said) > 0, said
        started(processes(system))
        await system.shop.follow_again()
        await storefront.publish_all_again()
        await system.services.until_ready()
        await system.execute("payments", "delete from destinations where paused_by = 'test'")
        back = time.monotonic()

    told = walking.result()
    again = await follow("orderbus republish", system.stack.environment())
    assert again.count("belongs to this cluster already") == len(SERVICES)
    remark = f"{facts_in(said)} facts were unread; ready again {back - lost_at:.0f} s later"
    await scenario.ends_well("(t) Kafka lost, databases whole", told, began, remark)
    assert await mailed_twice(system, told) == []


async def replaced(system: System) -> None:
    """By an empty cluster at the same address."""
    kafka = system.stack.kafka
    assert kafka.child
    kafka.child.kill()
    await kafka.child.wait()
    await asyncio.to_thread(shutil.rmtree, kafka.records)
    await kafka.start()


async def every_worker_ends(system: System) -> None:
    """By itself, for this is not its cluster; and so it does whenever it is started again."""
    before = {worker.name: worker.restarts for worker in system.services.workers}
    async with asyncio.timeout(120):
        while any(worker.restarts == before[worker.name] for worker in system.services.workers):
            await asyncio.sleep(0.2)
    log = system.services.workers[0].log.read_text()
    assert "these brokers are cluster" in log


async def topics_of(system: System) -> list[str]:
    admin = AIOKafkaAdminClient(**connection(system.settings.kafka))
    await admin.start()
    try:
        return sorted(name for name in await admin.list_topics() if not name.startswith("__"))
    finally:
        await admin.close()


# As an operator would


def processes(system: System) -> list[Worker]:
    return [*system.services.workers, *system.services.readers]


def of_service(system: System, name: str) -> list[Worker]:
    return [worker for worker in system.services.workers if worker.service == name]


async def stopped(workers: Sequence[Worker], number: int) -> None:
    for worker in workers:
        worker.restarting = False
        worker.kill(number)
    async with asyncio.timeout(60):
        while any(worker.pid for worker in workers):
            await asyncio.sleep(0.1)


async def procedure_followed(system: System) -> str:
    """What its last line said."""
    said = ""
    for line in procedure("Kafka is lost"):
        said = await follow(line, system.stack.environment())
    return said


def started(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.restarting = True


def facts_in(said: str) -> int:
    """How many are sent again, by all lines."""
    return sum(int(number.replace(",", "")) for number in re.findall(r": ([\d,]+) facts?", said))


async def mailed_twice(system: System, told: Sequence[Journey]) -> list[str]:
    """Mails of orders that have one mail of each subject."""
    customers = {it.scene.customer.email.lower(): it for it in told if it.path.name.startswith("1 happy")}
    found: dict[tuple[str, str], set[str]] = {}
    read = 0
    while mails := (await system.outside.mails(after=read))["mails"]:
        read += len(mails)
        for mail in mails:
            if (to := mail["to"][0].lower()) in customers:
                found.setdefault((to, mail["subject"]), set()).add(mail["message_id"])
    return [f"{to}: {len(ids)} mails “{subject}”" for (to, subject), ids in found.items() if len(ids) > 1]
