"""Outages while orders are processed: no order is lost or charged twice, and all work is completed.

Each test sends the same mixed crowd through the shop, breaks something meanwhile, and asks every invariant at the end.
"""

from __future__ import annotations

import asyncio
import signal

from services.registry import SERVICES
from shared.shell.kafka.source import SESSION_SECONDS
from tests.faults.paths import PATHS
from tests.faults.scenario import SECONDS, FaultScenario
from tests.faults.table import LONG

OUTAGE, SOON = (60.0, 6.0) if LONG else (5.0, 3.0)
"""Seconds that a receiver stays away, and after how many it goes."""


async def test_kafka_is_killed_and_comes_back(scenario: FaultScenario) -> None:
    async def break_it() -> None:
        kafka = scenario.system.stack.kafka
        assert kafka.child
        kafka.child.kill()
        await kafka.child.wait()
        await asyncio.sleep(1)
        await kafka.start()

    await scenario.survives("(b) SIGKILL of Kafka, restart", break_it)


async def test_postgresql_is_shut_down_at_once_and_comes_back(scenario: FaultScenario) -> None:
    async def break_it() -> None:
        postgres = scenario.system.stack.postgres
        assert postgres.child
        postgres.child.kill(signal.SIGQUIT)  # "immediate": no checkpoint, recovery at the next start
        await postgres.child.wait()
        await asyncio.sleep(1)
        await postgres.start()

    await scenario.survives("(c) immediate shutdown of PostgreSQL", break_it)


async def test_a_worker_freezes_for_longer_than_its_session(scenario: FaultScenario) -> None:
    """Its partitions go to the other worker meanwhile; what it was about to write must not count twice."""
    frozen = [scenario.system.services.worker(service, index) for index, service in enumerate(("payments", "checkout"))]

    async def break_it() -> None:
        for worker in frozen:
            worker.kill(signal.SIGSTOP)
        await asyncio.sleep(SESSION_SECONDS + 3)
        for worker in frozen:
            worker.kill(signal.SIGCONT)

    await scenario.survives("(d) SIGSTOP beyond the session, SIGCONT", break_it)


FAULTS = (
    {"kind": "close_after", "probability": 0.3, "count": None, "match": {"method": "POST"}},
    {"kind": "error_after", "probability": 0.1, "count": None, "match": {"method": "POST"}},
    {"kind": "rate_limit", "probability": 0.1, "count": None, "retry_after": 0.5},
    {"kind": "error", "probability": 0.1, "count": None},
    {"kind": "webhook_duplicate", "copies": 3, "count": None},
    {"kind": "webhook_shuffle", "count": None, "milliseconds": 500},
)


async def test_stripe_loses_answers_and_repeats_its_webhooks_in_disorder(scenario: FaultScenario) -> None:
    system = scenario.system
    for fault in FAULTS:  # from the first order to the last
        await system.bank.inject(fault)

    await scenario.survives("(e) Stripe: lost answers, 429, 500, webhooks", system.bank.clear_fault, after=SECONDS + 5)


async def test_mail_and_webhook_receivers_are_down_for_a_while(scenario: FaultScenario) -> None:
    async def break_it() -> None:
        outside = scenario.system.stack.outside
        assert outside.child
        outside.child.kill()
        await asyncio.sleep(OUTAGE)
        await outside.child.wait()
        await outside.start()

    ways = [way for way in PATHS if "workshop" not in way.skus]  # the booking desk would forget that it refuses
    await scenario.survives("(f) mail and webhook receivers down", break_it, ways=ways, after=SOON)


async def test_every_worker_is_restarted_in_turn_under_load(scenario: FaultScenario) -> None:
    """As a deployment does it: the first worker of every service, then the second."""

    async def break_it() -> None:
        for index in sorted({worker.index for worker in scenario.system.services.workers}):
            turn = [scenario.system.services.worker(service, index) for service in SERVICES]
            before = {worker.name: worker.pid for worker in turn}
            for worker in turn:
                worker.kill(signal.SIGTERM)
            async with asyncio.timeout(60):
                while any(worker.pid in (None, before[worker.name]) for worker in turn):
                    await asyncio.sleep(0.05)
                await scenario.system.services.until_ready()

    await scenario.survives("(h) rolling restart of every worker", break_it)
