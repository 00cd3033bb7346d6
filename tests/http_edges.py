"""A service's HTTP application with all its routes, and requests made byte by byte."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aiohttp import web
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from services.monitor.app import Monitor
from services.monitor.settings import MonitorSettings
from services.registry import factory_of, settings_of
from shared.api_clients import ApiClientSettings
from shared.settings import example_settings
from shared.shell.http.api import ShellHttpApi
from shared.shell.http.application import Readiness, application
from shared.shell.http.assertions import assertion_reader
from shared.shell.http.principals import Principals
from shared.shell.ports.clock import SystemClock
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.store import PostgresStore
from shared.shell.shell import Shell
from tests.integration.test_shell_on_postgres import Collected, NoSource

TOKEN = "a-token-for-this-test"
ASSERTION_KEY = "the-key-of-assertions-in-tests-only"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NOWHERE = "postgresql://orderbus@127.0.0.1:9/nowhere"
"""A database that is not there: what reaches it is answered 500."""


@dataclass
class ServiceEdge:
    """A worker of a service that reads no topics, and its application."""

    shell: Shell
    engine: AsyncEngine
    application: web.Application


def application_of(process: str) -> web.Application:
    """Of a service, or of a process that only reads."""
    if process == "monitor":
        return Monitor(example_settings(MonitorSettings), process).application()
    return service_edge(process).application


def service_edge(
    name: str, database: str = NOWHERE, clients: Sequence[ApiClientSettings] = (), reads: AsyncEngine | None = None
) -> ServiceEdge:
    """Its API client of `TOKEN` may do everything. `reads`: another engine for what HTTP reads."""
    engine = create_engine(database, "test")
    settings = example_settings(settings_of(name)).model_copy(
        update={
            "api_token": SecretStr(TOKEN),
            "api_clients": tuple(clients),
            "assertion_keys": SecretStr(ASSERTION_KEY),
        }
    )
    service = factory_of(name)(settings, engine)
    shell = Shell(
        service,
        f"{name}-0",
        store=PostgresStore(engine),
        source=NoSource(),
        sink=Collected(),
        lock=lambda: PostgresRelayLock(database, f"{name}-0"),
        clock=SystemClock(),
        rng=random.Random(1),
    )
    api = ShellHttpApi(shell.registry, shell.store, shell.batcher, shell.clock, reads or engine)
    principals = Principals.of(settings, service.identify, service.known, assertion_reader(settings, service))
    app = application(shell.registry, api, shell.parking, shell.operations, shell.metrics, principals, Readiness())
    return ServiceEdge(shell, engine, app)


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    """As declared: `/orders/{key}`."""

    def with_variables(self, value: str) -> str:
        """Digits where only digits are matched."""
        return re.sub(r"\{\w+(:[^{}]*(\{[^{}]*\})?[^{}]*)?\}", lambda v: "7" if r"\d" in v[0] else value, self.path)


def routes_of(app: web.Application) -> Iterator[Route]:
    for route in app.router.routes():
        if route.method != "HEAD" and route.resource is not None:
            info = route.resource.get_info()
            pattern = str(info.get("path") or info["formatter"])
            if "formatter" in info and r"\d" in info["pattern"].pattern:
                pattern = pattern.replace("{id}", r"{id:\d{1,18}}")
            yield Route(route.method, pattern)


async def exchange(port: int, request: bytes) -> int:
    """The status of the answer to a request that no client would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(20):
            return int((await reader.readline()).split()[1])
    finally:
        writer.close()


def request_of(
    method: str, target: str | bytes, headers: dict[str, str | bytes] | None = None, body: bytes = b""
) -> bytes:
    target = target.encode() if isinstance(target, str) else target
    lines = [f"{method} ".encode() + target + b" HTTP/1.1", b"Host: test", b"Connection: close"]
    usual = {"Idempotency-Key": "k", "Content-Type": "application/json", "Content-Length": str(len(body))}
    given = {**BEARER, **usual, **(headers or {})}
    lines += [f"{name}: ".encode() + (v.encode() if isinstance(v, str) else v) for name, v in given.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
