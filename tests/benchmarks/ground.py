"""What benchmarks run on: the embedded stack with a set of databases per system, and CPU time and memory by process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import asyncpg
import psutil

from deploy.client.http import ApiClient
from deploy.demo.catalogue import HOOK, Catalogue, load, open_shop
from deploy.devstack.processes import Services
from deploy.devstack.stack import Stack
from deploy.restore.database import RestoredDatabase
from deploy.sandboxes.client import OutsideWorld
from deploy.settings import load_system_settings
from services.registry import SERVICES
from shared.settings import Settings
from shared.shell.kafka.cluster import committed
from shared.shell.ports.bus import BusUnavailable
from shared.shell.postgres.migration import migrate
from tests.benchmarks.code import OURS, Code

REAL, INSTANT, USUAL = "deploy.worker", "tests.benchmarks.instant", "tests.benchmarks.usual_way.run"
"""Programs that run a service: as in production; with an outside that answers at once; the usual way."""


@dataclass(frozen=True)
class Usage:
    """What processes used over a stretch of time."""

    cpu: Mapping[str, float]
    """Seconds by process."""
    wall: float = 0.0

    def milliseconds_per(self, orders: int) -> dict[str, float]:
        return {name: round(1000 * seconds / orders, 2) for name, seconds in self.cpu.items()}


@dataclass
class Processes:
    """Named groups of processes, each with its children, whose CPU time and memory are looked at."""

    roots: dict[str, list[int]]
    largest: dict[str, float] = field(default_factory=dict)
    """Resident memory in MB, the most that was seen of one process of the group."""

    def cpu(self) -> dict[str, float]:
        spent = {name: sum(map(_cpu_of_tree, pids)) for name, pids in self.roots.items()}
        own = psutil.Process().cpu_times()  # without its children, which are all of the others
        return spent | {"customers": own.user + own.system}

    def since(self, before: Mapping[str, float]) -> Usage:
        return Usage({name: seconds - before[name] for name, seconds in self.cpu().items()})

    def look_at_memory(self) -> None:
        for name, pids in self.roots.items():
            seen = max(psutil.Process(pid).memory_info().rss / 1e6 for pid in pids)
            self.largest[name] = max(seen, self.largest.get(name, 0.0))


def _cpu_of_tree(pid: int) -> float:
    root = psutil.Process(pid)
    times = root.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in root.children(recursive=True):
        try:
            spent = child.cpu_times()
        except psutil.Error:
            continue
        total += spent.user + spent.system
    return float(total)


class Ground:
    """A running stack. `database(set, service)`: each system has databases of its own on the one server."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.catalogue: Catalogue = load(stack.outside_url)

    def url(self, of: str, service: str) -> str:
        return self.stack.postgres.url(f"{of}_{service}")

    def urls(self, of: str) -> dict[str, str]:
        return {service: self.url(of, service) for service in SERVICES}

    def settings(self, of: str) -> Settings:
        """Settings for this process, over a set of databases."""
        with patch.dict(os.environ, self.environment(of)):
            return load_system_settings()

    def environment(self, of: str) -> dict[str, str]:
        databases = {f"ORDERBUS_{name.upper()}__DATABASE_URL": url for name, url in self.urls(of).items()}
        quiet = {"ORDERBUS_TELEMETRY__LOG_LEVEL": "warning"}
        return self.stack.environment() | databases | quiet

    async def make_databases(self, of: str, like: str | None = None) -> None:
        """Empty databases, or copies of another set, which must not be in use meanwhile."""
        server = await asyncpg.connect(self.stack.postgres.url("postgres"))
        try:
            for service in SERVICES:
                template = f' template "{like}_{service}"' if like else ""
                await server.execute(f'create database "{of}_{service}"{template}')
        finally:
            await server.close()

    async def prepare(self, of: str) -> None:
        """Databases with the services' tables."""
        await self.make_databases(of)
        for service, url in self.urls(of).items():
            await asyncio.to_thread(migrate, service, url)

    @asynccontextmanager
    async def services(
        self, of: str, program: str, extra: Mapping[str, str] | None = None, code: Code = OURS
    ) -> AsyncIterator[Services]:
        """The services as processes, ready."""
        if program != USUAL:
            await self._read_on(of)
        logs = self.stack.logs / of
        logs.mkdir(exist_ok=True)
        # The usual way runs next to orderbus, which has the ports that the stack remembers.
        anywhere = {f"ORDERBUS_{name.upper()}__HTTP_PORT": "0" for name in SERVICES} if program == USUAL else {}
        async with Services(
            code.environment(self.environment(of)) | anywhere | dict(extra or {}),
            logs=logs,
            children=self.stack.children,
            program=code.module(program),
            project=code.folder,
        ) as services:
            yield services

    async def _read_on(self, of: str) -> None:
        """All sets of databases have one Kafka: this one goes on where a service's group has got to with another."""
        settings = self.settings(of)
        for service in SERVICES:
            database = await RestoredDatabase.open(self.url(of, service))
            with suppress(asyncpg.UndefinedTableError):  # an earlier build keeps no positions
                read_on = await _committed(settings, service)
                await database.read_from([(*place, offset) for place, offset in read_on.items()])
            await database.close()

    async def open_shop(self, of: str, hook: str = HOOK) -> None:
        """Set up stores, products, codes and a webhook endpoint over the running services' edges."""
        settings = self.settings(of)
        async with (
            ApiClient.of(settings) as edges,
            OutsideWorld(self.stack.outside_url, self.stack.secrets.outside_token) as world,
        ):
            await open_shop(edges, world, self.catalogue, hook=hook)

    async def taken_outside(self) -> tuple[int, int]:
        """Mails that the mailbox has taken so far, repetitions among them, and distinct webhooks."""
        async with OutsideWorld(self.stack.outside_url, self.stack.secrets.outside_token) as world:
            mails, hooks = await world.mails(limit=1), await world.hooks()
        return int(mails["count"]), sum(hook["distinct"] for name, hook in hooks.items() if name.startswith(HOOK))

    def processes(self, services: Services) -> Processes:
        """Those of the services and of the stack, by name."""
        parts: dict[str, Any] = {
            "PostgreSQL": self.stack.postgres,
            "Kafka": self.stack.kafka,
            "Stripe sandbox": self.stack.stripe,
            "mail and webhook receivers": self.stack.outside,
        }
        roots: dict[str, list[int]] = {}
        for worker in services.workers:
            if worker.pid:
                roots.setdefault(worker.service, []).append(worker.pid)
        roots |= {name: [part.child.pid] for name, part in parts.items() if part.child}
        return Processes(roots)


async def _committed(settings: Settings, group: str) -> Mapping[tuple[str, int], int]:
    """A broker that has just started knows no coordinators for a moment."""
    async with asyncio.timeout(30):
        while True:
            with suppress(BusUnavailable):
                return await committed(settings.kafka, group)
            await asyncio.sleep(0.5)
