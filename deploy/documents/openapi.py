"""The OpenAPI document of each service, and of each process that only reads, made of the router that it has."""

from __future__ import annotations

import random

from aiohttp import web

from services.declared import declared
from services.monitor.app import Monitor
from services.monitor.settings import MonitorSettings
from shared.settings import example_settings
from shared.shell.http.api import ShellHttpApi
from shared.shell.http.application import Readiness, application
from shared.shell.http.declaration import Json
from shared.shell.http.openapi import document
from shared.shell.http.principals import Principals
from shared.shell.ports.clock import SystemClock
from shared.shell.postgres.engine import new_engine
from shared.shell.shell import Shell
from shared.simulation.bus import MemoryBus, MemorySink, MemorySource
from shared.simulation.memory_store import MemoryStore
from shared.simulation.relay_lock import AdvisoryLock

NOWHERE = "postgresql://nowhere.example/nothing"


def openapi(name: str) -> Json:
    """Of a process that never runs."""
    return document(application_of(name), name)


def application_of(name: str) -> web.Application:
    if name == "monitor":
        return Monitor(example_settings(MonitorSettings), name).application()
    clock, rng = SystemClock(), random.Random(0)  # noqa: S311
    bus, store = MemoryBus(clock.now, rng), MemoryStore()
    shell = Shell(
        declared()[name],
        name,
        store=store,
        source=MemorySource(bus, name, name, []),
        sink=MemorySink(bus),
        lock=lambda: AdvisoryLock().lock(name, store),
        clock=clock,
        rng=rng,
    )
    api = ShellHttpApi(shell.registry, store, shell.batcher, clock, new_engine(NOWHERE))
    parts = (shell.registry, api, shell.parking, shell.operations, shell.metrics)
    return application(*parts, Principals([], known=shell.registry.service.known), Readiness())
