"""All measurements on one stack, one after the other, and what they came to. `orderbus bench` runs this.

An order counts when it is settled: completed, and every mail and webhook of it taken. CPU time is taken until then.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import psutil

from deploy.devstack import kafka_jars
from deploy.devstack.processes import Services
from deploy.devstack.stack import Stack
from tests.benchmarks import growth, instant, shell_alone, stages
from tests.benchmarks.code import OURS, Code
from tests.benchmarks.customers import Customers, Lives, Stuck
from tests.benchmarks.earlier import Checkouts
from tests.benchmarks.ground import INSTANT, REAL, USUAL, Ground, Processes
from tests.benchmarks.usual_way import messaging, outside, shop

Say = Callable[[str], None]
EMPTY, FULL, WAY = "bench", "full", "usual"
"""Sets of databases: orderbus, orderbus with full tables, the usual way."""


@dataclass(frozen=True)
class Plan:
    """How much of everything. `quick` keeps below 90 s on two cores, and is noisier."""

    rounds: int = 3
    orders: int = 3000
    usual_orders: int = 300
    growth_rounds: int = 3
    filled: int = 200_000
    handlings: int = 60_000
    latency_seconds: int = 45
    stack_orders: int = 2000
    profile: bool = True


QUICK = Plan(
    rounds=1,
    orders=600,
    usual_orders=40,
    growth_rounds=1,
    filled=5_000,
    handlings=9_000,
    latency_seconds=4,
    stack_orders=200,
    profile=False,
)
STEADY = 20.0
"""Orders per second at which latency is measured."""


@dataclass
class Findings:
    """Every round's figures, by name; the document takes their medians."""

    rates: dict[str, list[float]] = field(default_factory=dict)
    """Settled orders per second; of the shell alone, handlings."""
    rates_until_completed: dict[str, list[float]] = field(default_factory=dict)
    """Orders per second until the last was completed."""
    latencies: dict[str, dict[str, int]] = field(default_factory=dict)
    cpu: dict[str, dict[str, float]] = field(default_factory=dict)
    """Milliseconds per order by process."""
    memory: dict[str, float] = field(default_factory=dict)
    """MB by process, the largest seen."""
    profile: dict[str, dict[str, float]] = field(default_factory=dict)
    """Microseconds of CPU per order by service and stage."""

    def add(self, name: str, rate: float) -> None:
        self.rates.setdefault(name, []).append(rate)

    def add_lives(self, name: str, lives: Lives) -> None:
        self.add(name, lives.rate)
        self.rates_until_completed.setdefault(name, []).append(lives.rate_until_completed)

    def middle(self, name: str) -> float:
        return median(self.rates[name])

    def keep_memory(self, seen: Processes) -> None:
        for name, most in seen.largest.items():
            self.memory[name] = max(most, self.memory.get(name, 0.0))

    def keep_latency(self, name: str, lives: Lives) -> None:
        self.latencies[name] = {"p50": lives.latency(0.5), "p99": lives.latency(0.99)}


async def measure(data: Path, plan: Plan, say: Say) -> dict[str, Any]:
    """Run everything; the document of `orderbus bench --json`."""
    began = time.monotonic()
    async with Stack(data, fresh=True) as stack:
        bench = Bench(Ground(stack), plan, say)
        await bench.prepare()
        await bench.shell()
        await bench.both_ways()
        await bench.grown()
        await bench.whole_stack()
        if plan.profile:
            await bench.profile()
        machine = await described(stack, plan)
        return document(bench.findings, machine) | {"seconds": round(time.monotonic() - began)}


class Bench:
    """The measurements, which all leave their figures in `findings`."""

    def __init__(self, ground: Ground, plan: Plan, say: Say) -> None:
        self.ground, self.plan, self.say = ground, plan, say
        self.findings = Findings()

    async def prepare(self) -> None:
        self.say("Making the tables of both systems …")
        await self.ground.prepare(EMPTY)
        await self.ground.make_databases(WAY)
        await messaging.create_topics(self.ground.settings(EMPTY).kafka)
        await shop.open_shop(self.ground.urls(WAY), self.ground.catalogue)
        server = await asyncpg.connect(self.ground.stack.postgres.url("postgres"))
        await server.execute("create database counter")
        await server.close()

    async def shell(self) -> None:
        """The shell alone and its floor, in turn."""
        url, records = self.ground.stack.postgres.url("counter"), shell_alone.records(self.plan.handlings)
        for warm_up in (True, *[False] * max(3, self.plan.rounds)):
            given = records[:3000] if warm_up else records
            floor, ours = await shell_alone.by_hand(url, given), await shell_alone.by_the_shell(url, given)
            if not warm_up:
                self.findings.add("floor", floor)
                self.findings.add("shell", ours)
                self.say(f"The shell alone: {ours:,.0f} handlings/s; by hand {floor:,.0f}")

    async def both_ways(self) -> None:
        """orderbus and the usual way, in turn, each with the machine to itself: the one that waits would go on polling.
        Then latency, which needs the outside to be slower."""
        for number in range(self.plan.rounds):
            async with self.ground.services(EMPTY, INSTANT) as services, self._customers() as us:
                if number == 0:
                    await self.ground.open_shop(EMPTY)
                await us.buy(min(500, self.plan.orders))
                await self._full_speed("orderbus", us, services, self.plan.orders)
                if number == self.plan.rounds - 1:
                    await self._steady("orderbus", us, services)
            async with self.ground.services(WAY, USUAL) as services, self._customers(messaging.PREFIX) as them:
                await them.buy(min(30, self.plan.usual_orders // 2))
                await self._full_speed("the usual way", them, services, self.plan.usual_orders)

    async def grown(self) -> None:
        """The rate with full tables and with those of before, in turn."""
        self.say(f"Filling tables with {self.plan.filled:,} orders …")
        await self.ground.make_databases(FULL, like=EMPTY)
        await growth.fill(self.ground.urls(FULL), self.plan.filled)
        for number in range(self.plan.growth_rounds):
            for of, name in ((FULL, "full"), (EMPTY, "empty")):
                async with self.ground.services(of, INSTANT) as services, self._customers() as customers:
                    await customers.buy(min(200, self.plan.orders))
                    await self._full_speed(name, customers, services, self.plan.orders)
                    if of == FULL and number == self.plan.growth_rounds - 1:
                        await self._steady("full", customers, services)

    async def whole_stack(self) -> None:
        """Stripe's SDK against the sandbox, SMTP, webhooks and the course platform, over their protocols."""
        async with self.ground.services(EMPTY, REAL) as services, self._customers() as customers:
            await customers.buy(100)
            before = await self.ground.taken_outside()
            lives = await self._full_speed("whole stack", customers, services, self.plan.stack_orders)
            mails, webhooks = (now - then for now, then in zip(await self.ground.taken_outside(), before, strict=True))
        if mails < lives.mails or webhooks < lives.webhooks:
            raise Stuck(f"only {mails} of {lives.mails} mails and {webhooks} of {lives.webhooks} webhooks arrived")

    async def profile(self) -> None:
        """Once more with instant gateways, under a sampling profiler."""
        self.findings.profile = await profiled(self.ground, EMPTY, OURS, self.plan.orders)

    def _customers(self, prefix: str = "") -> Customers:
        return Customers(self.ground.settings(EMPTY).kafka, self.ground.catalogue, prefix)

    async def _full_speed(self, name: str, customers: Customers, services: Services, orders: int) -> Lives:
        processes = self.ground.processes(services)
        before = processes.cpu()
        lives = await customers.buy(orders, sample=processes.look_at_memory)
        usage = processes.since(before)
        self.findings.add_lives(name, lives)
        self.findings.cpu[name] = usage.milliseconds_per(orders)
        if name != "the usual way":
            self.findings.keep_memory(processes)
        spent = sum(usage.cpu.values()) * 1000 / orders
        self.say(
            f"{name}: {lives.rate:,.1f} settled orders/s ({lives.rate_until_completed:,.1f}/s until completed), "
            f"{spent:.1f} ms of CPU each"
        )
        return lives

    async def _steady(self, name: str, customers: Customers, services: Services) -> None:
        for worker in services.workers:
            os.kill(worker.pid or 0, outside.SLOWER)
        await customers.buy(int(STEADY), per_second=STEADY)
        processes = self.ground.processes(services)
        before = processes.cpu()
        orders = int(STEADY * self.plan.latency_seconds)
        lives = await customers.buy(orders, per_second=STEADY)
        spent = processes.since(before).milliseconds_per(orders)
        self.findings.keep_latency(name, lives)
        self.findings.cpu[f"{name}, steady"] = spent
        self.say(
            f"{name}, {STEADY:.0f} orders/s: {lives.latency(0.5)} ms, 99 % {lives.latency(0.99)} ms, "
            f"{sum(spent.values()):.0f} ms of CPU each"
        )


async def profiled(
    ground: Ground, of: str, code: Code, orders: int, checkouts: Checkouts | None = None
) -> dict[str, dict[str, float]]:
    """Microseconds of CPU time per order by service and stage, sampled, with instant gateways."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            ground.services(of, INSTANT, {instant.STAGES: folder}, code=code) as services,
            Customers(ground.settings(of).kafka, ground.catalogue, checkouts=checkouts) as customers,
        ):
            await customers.buy(min(500, orders))
            await asyncio.sleep(1.0)
            for worker in services.workers:
                os.kill(worker.pid or 0, stages.BEGIN)
            await customers.buy(orders)
            await asyncio.sleep(1.0)
        for file in sorted(Path(folder).glob("*.json")):  # noqa: ASYNC240
            seconds = json.loads(file.read_text())
            found[file.stem.removesuffix("-0")] = {
                stage: round(1e6 * spent / orders, 1) for stage, spent in seconds.items()
            }
    return found


def document(findings: Findings, machine: dict[str, Any]) -> dict[str, Any]:
    """Rates count settled orders, except where the name says `until_completed`."""
    middle, until_completed = findings.middle, findings.rates_until_completed
    return {
        "orders_per_second": round(middle("orderbus"), 1),
        "orders_per_second_until_completed": round(median(until_completed["orderbus"]), 1),
        "ratio_to_usual_way": round(middle("orderbus") / middle("the usual way"), 1),
        "shell_ratio_to_floor": round(middle("shell") / middle("floor"), 2),
        "latency_ms": findings.latencies["orderbus"],
        "rate_when_full_over_empty": round(middle("full") / middle("empty"), 2),
        "cpu_ms_per_order": findings.cpu["whole stack"],
        "latency_ms_when_full": findings.latencies["full"],
        "whole_stack_orders_per_second": round(middle("whole stack"), 1),
        "whole_stack_orders_per_second_until_completed": round(median(until_completed["whole stack"]), 1),
        "rates": _rounded(findings.rates),
        "rates_until_completed": _rounded(until_completed),
        "cpu_ms_per_order_with_instant_gateways": findings.cpu["orderbus"],
        "cpu_ms_per_order_of_the_usual_way": findings.cpu["the usual way"],
        "cpu_ms_per_order_at_20_per_second": findings.cpu["orderbus, steady"],
        "memory_mb": {name: round(most) for name, most in findings.memory.items()},
        "profile_us_per_order": findings.profile,
        "machine": machine,
    }


def _rounded(rates: Mapping[str, list[float]]) -> dict[str, list[float]]:
    return {name: [round(rate, 1) for rate in several] for name, several in rates.items()}


async def described(stack: Stack, plan: Plan) -> dict[str, Any]:
    """Machine, versions, and what makes the figures durable."""
    connection = await asyncpg.connect(stack.postgres.url("postgres"))
    try:
        names = ("synchronous_commit", "fsync", "full_page_writes", "shared_buffers", "max_wal_size")
        durability = {name: await connection.fetchval(f"show {name}") for name in names}
        postgresql = str(await connection.fetchval("show server_version")).split()[0]
    finally:
        await connection.close()
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": platform.platform(),
        "load_before": os.getloadavg()[2],
        "python": platform.python_version(),
        "postgresql": postgresql,
        "kafka": kafka_jars.VERSION,
        **{name: version(name) for name in ("aiokafka", "asyncpg", "sqlalchemy", "pydantic", "stripe", "uvloop")},
        "durability": durability | {"kafka_acks": "all", "idempotent_producer": True},
        "plan": {name: getattr(plan, name) for name in plan.__dataclass_fields__},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
