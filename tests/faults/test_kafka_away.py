"""Kafka is away for minutes. Workers live on, say so, and answer over HTTP; then everything goes on."""

from __future__ import annotations

import asyncio
import random
import time
from http import HTTPStatus

import aiohttp
import pytest

from deploy.devstack.processes import Worker
from tests.faults.paths import PATHS, Journey, walk, walk_one
from tests.faults.patient import PatientStorefront
from tests.faults.scenario import FaultScenario
from tests.faults.system import System
from tests.faults.table import LONG

CUSTOMERS, SECONDS = (640, 45.0) if LONG else (32, 6.0)
"""How many come, and within how many seconds; Kafka goes when half of them are there."""
AWAY = 180.0 if LONG else 15.0
NOTICED = 60.0
"""Seconds until every worker says that it lacks Kafka."""
TIMEOUT = AWAY + 180
HAPPY = PATHS[0]


async def test_kafka_is_away_for_minutes(scenario: FaultScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    async with PatientStorefront(scenario.system.settings.kafka, TIMEOUT) as storefront:
        monkeypatch.setattr(scenario.system.shop, "storefront", storefront)
        await kafka_goes_and_comes_back(scenario)


async def kafka_goes_and_comes_back(scenario: FaultScenario) -> None:
    system, rng, began = scenario.system, random.Random(scenario.seed), time.monotonic()
    crowd = (list(PATHS) * (CUSTOMERS // len(PATHS) + 1))[:CUSTOMERS]
    rng.shuffle(crowd)
    ran = {worker.name: worker.pid for worker in system.services.workers}
    early = await walk_one(system, HAPPY)

    async with asyncio.TaskGroup() as group:
        walking = group.create_task(walk(system, crowd, seconds=SECONDS, timeout=TIMEOUT))
        await asyncio.sleep(SECONDS / 2)
        kafka = system.stack.kafka
        assert kafka.child
        kafka.child.kill()
        await kafka.child.wait()
        away_at = time.monotonic()
        notices = [group.create_task(says_so(worker)) for worker in system.services.workers]
        await asyncio.sleep(AWAY)
        notes = await asyncio.gather(*notices)
        await answers_over_http(system, early)
        await kafka.start()
        back = time.monotonic()

    await early.order.shows(lambda it: it.latest["refunded"] == 100, "the refund", within=TIMEOUT)
    told = [early, *walking.result()]
    await system.at_rest()
    remark = f"away for {back - away_at:.0f} s, as every worker said after {max(notes):.0f} s"
    remark += f"; at rest {time.monotonic() - back:.0f} s later"
    await scenario.ends_well("(l) Kafka away", told, began, remark)
    assert {worker.name: worker.pid for worker in system.services.workers} == ran


async def says_so(worker: Worker) -> float:
    """Seconds until `/ready` names Kafka."""
    began = time.monotonic()
    async with aiohttp.ClientSession() as session, asyncio.timeout(NOTICED + AWAY):
        while True:
            async with session.get(f"{worker.url}/ready") as answer:
                if answer.status == HTTPStatus.SERVICE_UNAVAILABLE and "kafka" in (await answer.json())["missing"]:
                    return time.monotonic() - began
            await asyncio.sleep(0.5)


async def answers_over_http(system: System, early: Journey) -> None:
    """Reads are answered, and commands accepted: what follows from them waits in the database."""
    order = early.order.id
    assert (await system.edges.order(order))["status"] == "completed"
    accepted = await system.edges.command("payments", f"/orders/{order}/refund", {"amount": 100})
    assert accepted["accepted"], accepted
    payment = await system.edges.get("payments", f"/orders/{order}/payment")
    assert [refund["amount"] for refund in payment["refunds"]] == [100]
