"""The commands of `docs/staff-api.md`, as they stand there: each of them works."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.http import routes
from services.staff.jobs.jobs import Jobs
from services.staff.owners.client import Owners
from services.staff.owners.sender import OwnersSender
from services.staff.people.people import People
from services.staff.storage import orders
from shared.shell.http.assertions import Assertions
from shared.shell.http.principals import Principals
from shared.shell.http.web import protection
from shared.shell.inbound.message import Inbound, Meta
from shared.shell.ports.http_api import HttpApi
from tests.benchmarks.staff_orders import made_orders, write_orders
from tests.http_edges import ASSERTION_KEY
from tests.integration.conftest import NewDatabase
from tests.integration.staff_people import TOKEN, QuickPasswords, staff_engine
from tests.integration.test_owner_commands import OWN, running_checkout
from tests.runbook import PROJECT, follow, procedure
from tests.unit.checkout.examples import OPENED, submission

DOCUMENT = PROJECT / "docs" / "staff-api.md"
HEADINGS = ("Headers", "Find orders", "One order", "Change it", "Follow changes", "Jobs", "Reports")
ORDER, NUMBER = "o-tour", "ORD-TOUR000001"


def test_it_is_short_and_all_its_parts_are_run() -> None:
    lines = DOCUMENT.read_text().splitlines()
    assert len(lines) <= 120
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == list(HEADINGS)
    assert sum(line == "```sh" for line in lines) == len(HEADINGS) + 1  # two of them are under “Headers”


@asynccontextmanager
async def serving(engine: AsyncEngine, checkout: str) -> AsyncIterator[str]:
    """Staff's routes, with checkout alone behind them."""
    elsewhere = dict.fromkeys(("payments", "fulfillment", "notifications"))
    owners = Owners({"checkout": checkout, **elsewhere}, Assertions((ASSERTION_KEY,)))
    people = People(engine, passwords=QuickPasswords())
    principals = Principals((), operator=SecretStr(TOKEN), known=people.recognition.find)
    application = web.Application(middlewares=[protection(principals)])
    jobs = Jobs(engine, OwnersSender(owners))
    routes(people, jobs, owners)(application, cast(HttpApi, SimpleNamespace(engine=engine)))
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/")
    await owners.close()
    await people.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_every_command_of_the_tour_works(new_database: NewDatabase, tmp_path: Path) -> None:
    async with (
        running_checkout(await new_database("checkout")) as (checkout, direct),
        staff_engine(new_database) as engine,
    ):
        placed = (OPENED.model_copy(update={"store": OWN}), submission(tax=665))
        await checkout.shell.batcher.handle([Inbound(uuid4(), ORDER, each, Meta(actor="customer")) for each in placed])
        async with engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await write_orders(driver, made_orders(50, 3))
        async with engine.begin() as connection:
            await connection.execute(sa.insert(orders).values(order_id=ORDER, number=NUMBER, store=OWN))
        async with serving(engine, f"http://127.0.0.1:{direct.port}") as url:
            given = {"HOME": str(tmp_path), "STAFF_URL": url, "ORDER": NUMBER, "ID": ORDER, "ORDERBUS_API_TOKEN": TOKEN}
            told: dict[str, list[str]] = {}
            for heading, number in (("Headers", 1), ("Headers", 2), *((each, 1) for each in HEADINGS[1:])):
                lines = procedure(heading, number=number, document=DOCUMENT)
                told[heading] = [await follow(line, given) for line in lines]
    assert json.loads(told["Headers"][0])["actor"] == "staff"
    found, searched, tabs, queues = map(json.loads, told["Find orders"])
    assert {*found["orders"][0]} == {"order", "number", "total"} and len(searched["orders"]) == 1
    assert tabs["tabs"] and queues["queues"]
    whole, _, explained = map(json.loads, told["One order"])
    assert whole["order_id"] == ORDER and "payments" in explained["missing"]
    _, at_checkout = told["Change it"]
    assert "Called the customer." in at_checkout
    assert "event: order" not in told["Follow changes"][0] and "id: " in told["Follow changes"][0]
    assert len(json.loads(told["Jobs"][1])["jobs"]) == 1
    assert json.loads(told["Reports"][0])["report"] == "sales" and "\n" in told["Reports"][1]
