"""Who reads by HTTP is told to try again while the database cannot answer: tables that another session has locked, as a
migration or a dump does, or a password that is being changed."""

from __future__ import annotations

from http import HTTPStatus

import asyncpg
import pytest
from aiohttp.test_utils import TestServer

from services.registry import SERVICES
from shared.shell.http.access import IN_QUERY, OF_RECIPIENT, PROBE, PUBLIC, SIGNED_IN
from shared.shell.postgres import engine
from tests.http_edges import exchange, request_of, routes_of, service_edge
from tests.integration.conftest import NewDatabase
from tests.integration.test_route_walk import accesses

NOT_IN_THE_DATABASE = ("/stores/{store}/files", "/api/v1/jobs/actions")
TABLES = "select string_agg(format('%I', tablename), ', ') from pg_tables where schemaname = 'public'"


async def reads(service: str, url: str) -> dict[str, int]:
    """The status of each of a service's reads, without streams: those say later that they wait."""
    edge, access, answers = service_edge(service, url), accesses(service), {}
    async with TestServer(edge.application) as server:
        assert server.port
        for route in routes_of(edge.application):
            for_clients = access[route] not in (PROBE, PUBLIC) and access[route].permission != SIGNED_IN
            if route.method == "GET" and for_clients and not route.path.endswith(("/stream", "/changes")):
                target = route.with_variables("a~customer~b" if access[route].scope is OF_RECIPIENT else "a")
                target += "?store=a" if access[route].scope is IN_QUERY else ""
                answers[route.path] = await exchange(server.port, request_of(route.method, target))
    await edge.engine.dispose()
    for path in NOT_IN_THE_DATABASE:
        answers.pop(path, None)
    assert len(answers) > 5
    return answers


@pytest.fixture
async def migrated(request: pytest.FixtureRequest, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(engine.CONNECTION_SETTINGS, "lock_timeout", "100ms")
    return await new_database(request.param)


SERVICE = pytest.mark.parametrize(("service", "migrated"), [(name, name) for name in SERVICES], indirect=["migrated"])


@SERVICE
async def test_tables_that_are_locked(service: str, migrated: str) -> None:
    other = await asyncpg.connect(migrated)
    async with other.transaction():
        await other.execute(f"lock table {await other.fetchval(TABLES)} in access exclusive mode")
        answers = await reads(service, migrated)
    await other.close()
    assert set(answers.values()) == {HTTPStatus.SERVICE_UNAVAILABLE}, answers


@SERVICE
async def test_a_login_that_is_refused(service: str, migrated: str) -> None:
    answers = await reads(service, migrated.replace("orderbus:", "unknown:"))
    assert set(answers.values()) == {HTTPStatus.SERVICE_UNAVAILABLE}, answers
