"""Jobs of staff over made-up orders: their routes, a runner that is stepped by hand, and owners that answer as told."""

from __future__ import annotations

import asyncio
import hashlib
import io
import itertools
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.jobs import JobKind
from services.staff.jobs.jobs import Jobs
from services.staff.jobs.owner import DONE, CommandOutcome, OrderCommand, OwnerAway
from services.staff.jobs.rules import JobRules
from services.staff.report_query import set_zones
from shared.api_clients import ApiClientSettings
from shared.shell.http.principals import Principals
from shared.shell.http.web import protection
from tests.benchmarks.staff_orders import MadeOrder, made_orders, write_orders
from tests.integration.conftest import NewDatabase
from tests.integration.staff_people import staff_engine

ORDERS = list(made_orders(300, 11))
NOW = datetime(2026, 11, 28, 18, 30, tzinfo=UTC)
RULES = JobRules(lease=1.0, beat=0.1, poll=0.05, batch=20, at_once=4)
EVERYTHING = ("job.*", "export.make", "order.*", "delivery.*", "payment.*")
CLIENTS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "all": (("*",), EVERYTHING),
    "game": (("game",), EVERYTHING),
    "new": (("new",), EVERYTHING),
    "agent": (("*",), ("job.read", "job.start", "order.read", "order.cancel")),
    "viewer": (("*",), ("job.read", "order.read")),
}
_keys = itertools.count(1)


@dataclass
class Owners:
    """A CommandSender: does each command once for its key, whatever is sent again, as owners do."""

    refuse: Callable[[OrderCommand], CommandOutcome] = lambda command: DONE
    seconds: float = 0.0
    away: int = 0
    """So many sends get no answer."""
    sent: Counter[str] = field(default_factory=Counter)
    """How often each key was sent."""
    carried_out: dict[str, OrderCommand] = field(default_factory=dict)
    under_way: int = 0
    most_under_way: int = 0

    async def send(self, command: OrderCommand) -> CommandOutcome:
        self.sent[command.key] += 1
        if self.away:
            self.away -= 1
            raise OwnerAway("checkout does not answer.")
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.seconds)
            before = self.carried_out.setdefault(command.key, command)
            assert before == command, "another command under the same key"
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        return self.refuse(command)


@dataclass
class JobsApi:
    engine: AsyncEngine
    jobs: Jobs
    owners: Owners
    http: TestClient[Any, Any]

    async def ask(
        self, method: str, path: str, body: object = None, *, who: str = "all", key: str = ""
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {who}", "Idempotency-Key": key or f"key-{next(_keys)}"}
        async with self.http.request(method, f"/api/v1/jobs{path}", json=body, headers=headers) as response:
            read = await response.read()
            is_json = response.content_type.endswith("json")
            return response.status, await response.json() if is_json else read

    async def started(self, kind: str, body: object, **how: str) -> dict[str, Any]:
        status, job = await self.ask("POST", f"/{kind}", body, **how)
        assert status == 201, job
        return dict(job)

    async def shown(self, job: Mapping[str, Any]) -> dict[str, Any]:
        status, found = await self.ask("GET", f"/{job['id']}")
        assert status == 200, found
        return dict(found)

    async def export(self, body: object, **how: str) -> bytes:
        """The file."""
        job = await self.started("exports", body, **how)
        assert await self.jobs.runner.run_next(JobKind.EXPORT)
        shown = await self.shown(job)
        assert (shown["state"], shown["problem"]) == ("done", "")
        status, file = await self.ask("GET", f"/{job['id']}/file")
        assert status == 200 and len(file) == shown["file"]["size"]
        return bytes(file)

    async def results(self, job: Mapping[str, Any], **query: object) -> list[dict[str, Any]]:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        status, found = await self.ask("GET", f"/{job['id']}/results?limit=1000&{text}")
        assert status == 200
        return list(found["results"])


@asynccontextmanager
async def jobs_api(
    new_database: NewDatabase, made: Sequence[MadeOrder] = ORDERS, rules: JobRules = RULES
) -> AsyncIterator[JobsApi]:
    async with staff_engine(new_database) as engine:
        async with engine.connect() as connection:
            await write_orders((await connection.get_raw_connection()).driver_connection, iter(made))  # type: ignore[arg-type]
        owners = Owners()
        jobs = Jobs(engine, owners, rules, lambda: NOW, set_zones)
        application = web.Application(middlewares=[protection(principals())])
        jobs.add_routes(application)
        async with TestClient(TestServer(application)) as http:
            yield JobsApi(engine, jobs, owners, http)


def principals() -> Principals:
    return Principals(
        ApiClientSettings(
            name=name,
            token_sha256=(hashlib.sha256(name.encode()).hexdigest(),),
            stores=tuple(stores),
            permissions=tuple(permissions),
        )
        for name, (stores, permissions) in CLIENTS.items()
    )


SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def sheets_of(file: bytes) -> dict[str, list[list[str]]]:
    """The cells of an XLSX file as texts, by sheet."""
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        assert archive.testzip() is None
        book = _tree(archive, "workbook.xml")
        names = [sheet.attrib["name"] for sheet in book.iter(f"{SHEET}sheet")]
        return {
            name: [
                [cell_text(cell) for cell in row]
                for row in _tree(archive, f"worksheets/sheet{number}.xml").iter(f"{SHEET}row")
            ]
            for number, name in enumerate(names, 1)
        }


def _tree(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    return ElementTree.fromstring(archive.read(f"xl/{name}"))  # noqa: S314  # written here


def cell_text(cell: ElementTree.Element) -> str:
    return "".join(cell.itertext())
