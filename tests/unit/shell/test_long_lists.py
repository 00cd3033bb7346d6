"""Lists for staff that are longer than one response."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from shared.shell.http.parking import LISTED, add_parking
from shared.shell.http.principals import Principals
from shared.shell.http.undeliverable import LISTED as UNDELIVERABLE_LISTED
from shared.shell.http.undeliverable import add_undeliverable
from shared.shell.http.web import protection
from shared.shell.parking import Parking
from shared.shell.ports.rows import UndeliverableRow
from tests.http_edges import BEARER, TOKEN
from tests.unit.shell.harness import START, Harness
from tests.unit.shell.meter import Count


def application() -> web.Application:
    return web.Application(middlewares=[protection(Principals.of_token(TOKEN))])


async def listed(app: web.Application, path: str) -> tuple[int, bool]:
    async with TestClient(TestServer(app), headers=BEARER) as client:
        answer = orjson.loads(await (await client.get(path)).read())
    return len(answer[path.removeprefix("/")]), answer["more"]


@pytest.mark.parametrize(("count", "expected"), [(LISTED, (LISTED, False)), (LISTED + 1, (LISTED, True))])
async def test_parked_messages(harness: Harness, count: int, expected: tuple[int, bool]) -> None:
    harness.when("boom", RuntimeError("boom"))
    await harness.batch(*(harness.message("t-1", Count(what="boom")) for _ in range(count)))
    app = application()
    add_parking(app, Parking(harness.registry, harness.store, harness.batcher(), harness.clock))
    assert await listed(app, "/parked") == expected


@pytest.mark.parametrize(("count", "more"), [(UNDELIVERABLE_LISTED, False), (UNDELIVERABLE_LISTED + 1, True)])
async def test_undeliverable_records(harness: Harness, monkeypatch: pytest.MonkeyPatch, count: int, more: bool) -> None:
    rows = [UndeliverableRow(id, "t", f"k-{id}", b"[]", b"", 0, "refused", START) for id in range(count)]

    async def undeliverable(id: int | None = None, limit: int = 100) -> Sequence[UndeliverableRow]:
        return rows[:limit]

    monkeypatch.setattr(harness.store, "undeliverable", undeliverable)
    app = application()
    add_undeliverable(app, harness.store)
    assert await listed(app, "/undeliverable") == (UNDELIVERABLE_LISTED, more)
