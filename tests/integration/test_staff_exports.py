"""Exports of orders against the same made in plain Python."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
import sqlalchemy as sa

from services.staff.domain.export import COLUMNS, USUAL
from services.staff.domain.jobs import JobKind
from services.staff.jobs import export, xlsx
from services.staff.jobs import file as file_module
from services.staff.jobs.export import snapshot
from services.staff.jobs.file import JobFile
from services.staff.jobs.lease import LeaseLost, claim
from services.staff.jobs.tables import job_parts
from services.staff.storage import orders, stores
from tests.benchmarks.staff_orders import MadeOrder
from tests.integration.conftest import NewDatabase
from tests.integration.staff_jobs_rig import NOW, ORDERS, RULES, JobsApi, jobs_api, sheets_of

BOM = "\ufeff"


@pytest_asyncio.fixture
async def api(new_database: NewDatabase) -> AsyncIterator[JobsApi]:
    async with jobs_api(new_database) as api:
        yield api


def rows_of(file: bytes) -> list[list[str]]:
    """Of CSV."""
    text = file.decode()
    assert text.startswith(BOM)
    return list(csv.reader(io.StringIO(text.removeprefix(BOM), newline="")))


def date_of(made: MadeOrder) -> Any:
    return made.order["placed_at"] or made.order["created_at"]


def in_order(made: list[MadeOrder]) -> list[MadeOrder]:
    return sorted(made, key=lambda one: (one.order["store"], date_of(one), one.order["order_id"]))


def usual_row(made: MadeOrder, zone: str) -> list[str]:
    order = made.order
    money = [f"{order[name] // 100}.{order[name] % 100:02}" for name in ("subtotal", "tax", "total")]
    products = ", ".join(row["product"] for row in sorted(made.parts["order_items"], key=lambda row: row["item"]))
    texts = [order[name] or "" for name in ("customer_name", "email", "status", "payment_status", "provider")]
    date = date_of(made).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")
    return [order["number"], date, *texts, *money, order["currency"], products]


async def test_the_usual_columns_of_all_orders(api: JobsApi) -> None:
    file = await api.export({"zone": "Europe/Helsinki"})
    titles, *rows = rows_of(file)
    assert titles == [COLUMNS[name].title for name in USUAL]
    assert rows == [usual_row(made, "Europe/Helsinki") for made in in_order(ORDERS)]


async def test_orders_that_match_the_lists_filter(api: JobsApi) -> None:
    asked = {"filter": {"status": ["completed"], "store": ["main"], "q": "example"}, "columns": ["order"]}
    _, *rows = rows_of(await api.export(asked))
    found = [made for made in ORDERS if (made.order["status"], made.order["store"]) == ("completed", "main")]
    texts = [f"{made.order['customer_name']} {made.order['email']}" for made in found]
    assert rows == [
        [m.order["order_id"]] for m in in_order([m for m, t in zip(found, texts, strict=True) if "example" in t])
    ]
    assert rows


async def test_selected_orders_alone(api: JobsApi) -> None:
    ids = ["o-000000007", "o-000000031"]
    _, *rows = rows_of(await api.export({"orders": ids, "columns": ["order"]}))
    assert sorted(row[0] for row in rows) == ids
    status, problem = await api.ask("POST", "/exports", {"orders": [*ids, "o-unknown"]})
    assert (status, problem["problems"][0]["code"]) == (400, "unknown_order")


async def test_both_formats_have_the_same_cells_in_every_column(api: JobsApi) -> None:
    titles, *rows = rows_of(await api.export({"columns": list(COLUMNS), "zone": "Europe/Berlin"}))
    sheets = sheets_of(await api.export({"columns": list(COLUMNS), "zone": "Europe/Berlin", "format": "xlsx"}))
    assert list(sheets) == ["Orders", "About"]
    assert sheets["Orders"][0] == titles
    kinds = [column.kind for column in COLUMNS.values()]
    assert [[as_csv(kind, cell) for kind, cell in zip(kinds, row, strict=True)] for row in sheets["Orders"][1:]] == rows
    about = {line[0]: line[1] for line in sheets["About"]}
    assert (about["Time zone"], about["Orders"], about["Stores"]) == ("Europe/Berlin", "300", "course, game, main")
    assert list(about)[:2] == ["Time zone", "As of"]


def as_csv(kind: str, cell: str) -> str:
    if kind == "time" and cell:
        seconds = round(float(cell) * 86400)
        return (_DAY_0 + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")
    return {"1": "yes", "0": "no"}[cell] if kind == "flag" else cell


_DAY_0 = NOW.replace(year=1899, month=12, day=30, hour=0, minute=0, tzinfo=None)


async def test_what_looks_like_a_formula_is_text_and_odd_characters_are_kept(api: JobsApi) -> None:
    texts = [
        "=1+1",
        "+49 30",
        "-2",
        "@sum",
        "\t=1",
        'a "b", c',
        "<b>&amp;",
        "line\nbreak",
        "  spaced ",
        "\x01\x1fplain",
    ]
    async with api.engine.begin() as connection:
        for number, text in enumerate(texts):
            change = sa.update(orders).where(orders.c.order_id == f"o-{number:09}")
            await connection.execute(
                change.values(customer_name=text, currency="JPY" if number else "KWD", total=2**63 - 1)
            )
    ids = [f"o-{number:09}" for number in range(len(texts))]
    asked = {"orders": ids, "columns": ["order", "customer_name", "total"]}
    cells = {row[0]: row[1:] for row in rows_of(await api.export(asked))[1:]}
    written = [cells[id] for id in ids]
    assert [cell for cell, _ in written] == ["'=1+1", "'+49 30", "'-2", "'@sum", "'\t=1", *texts[5:]]
    assert [total for _, total in written] == ["9223372036854775.807", *[str(2**63 - 1)] * 9]
    sheet = sheets_of(await api.export({**asked, "format": "xlsx"}))["Orders"]
    cells = {row[0]: row[1:] for row in sheet[1:]}
    assert [cells[id][0] for id in ids] == [*texts[:-1], "plain"]


async def test_a_new_sheet_begins_where_one_is_full(api: JobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx.Workbook.__init__, "__defaults__", (101, 10**9))
    monkeypatch.setattr(export, "ROWS", 70)
    sheets = sheets_of(await api.export({"columns": ["order"], "format": "xlsx"}))
    assert {name: len(rows) for name, rows in sheets.items()} | {"About": 0} == {
        "Orders": 101,
        "Orders 2": 101,
        "Orders 3": 101,
        "About": 0,
    }
    found = [row[0] for name, rows in sheets.items() if name != "About" for row in rows[1:]]
    assert found == [made.order["order_id"] for made in in_order(ORDERS)]


async def test_name_and_zone(api: JobsApi) -> None:
    job = await api.started("exports", {"filter": {"store": ["game"]}, "zone": "America/New_York"})
    await api.jobs.runner.run_next(JobKind.EXPORT)
    name = (await api.shown(job))["file"]["name"]
    assert name.startswith("orders-game-2") and name.endswith("-America-New-York.csv")


async def test_times_are_in_the_zone_that_its_stores_share(api: JobsApi) -> None:
    async with api.engine.begin() as connection:
        zones = [{"store": "game", "time_zone": "Europe/Berlin"}, {"store": "main", "time_zone": "Asia/Tokyo"}]
        await connection.execute(sa.insert(stores), zones)
    for asked, zone in ((["game"], "Europe/Berlin"), (["course"], "UTC"), (["game", "main"], "UTC")):
        job = await api.started("exports", {"filter": {"store": asked}})
        await api.jobs.runner.run_next(JobKind.EXPORT)
        name = (await api.shown(job))["file"]["name"]
        assert name.endswith(f"-{zone.replace('/', '-')}.csv"), name


async def test_an_export_is_of_one_moment(api: JobsApi) -> None:
    async with snapshot(api.engine) as driver:
        before = await driver.fetchval("select sum(total) from orders")
        async with api.engine.begin() as connection:
            await connection.execute(sa.update(orders).values(total=1))
        assert await driver.fetchval("select sum(total) from orders") == before
        with pytest.raises(Exception, match="read-only"):
            await driver.execute("update orders set total = 2")


async def test_the_same_request_again_is_the_same_job(api: JobsApi) -> None:
    first = await api.started("exports", {"format": "xlsx"}, key="k")
    status, again = await api.ask("POST", "/exports", {"format": "xlsx"}, key="k")
    assert (status, again["id"]) == (200, first["id"])
    status, other = await api.ask("POST", "/exports", {"format": "csv"}, key="k")
    assert (status, other["code"]) == (422, "idempotency_key_reused")
    both = await asyncio.gather(*(api.ask("POST", "/exports", {}, key="j") for _ in range(4)))
    assert sorted(status for status, _ in both) == [200, 200, 200, 201]
    assert len({job["id"] for _, job in both}) == 1
    status, theirs = await api.ask("POST", "/exports", {}, key="j", who="game")
    assert status == 201 and theirs["stores"] == ["game"]


async def test_a_killed_export_is_made_whole_by_another_runner(api: JobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "PART", 1000)
    job = await api.started("exports", {})
    run = await claim(api.engine, JobKind.EXPORT, "killed", 0.3)
    assert run is not None
    left = JobFile(run)
    await left.begin()
    await left.write(b"x" * 5500)
    assert await claim(api.engine, JobKind.EXPORT, "other", 1.0) is None
    await asyncio.sleep(0.4)
    assert await api.jobs.runner.run_next(JobKind.EXPORT)
    with pytest.raises(LeaseLost):
        await left.write(b"x" * 5500)
    _, file = await api.ask("GET", f"/{job['id']}/file")
    assert rows_of(file)[1:] == [usual_row(made, "UTC") for made in in_order(ORDERS)]


async def test_an_export_is_cancelled_and_not_paused(api: JobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await api.started("exports", {})
    status, problem = await api.ask("POST", f"/{job['id']}/pause")
    assert (status, problem["code"]) == (409, "wrong_job_state")
    run = await claim(api.engine, JobKind.EXPORT, "worker", 0.0)
    assert run is not None
    status, changed = await api.ask("POST", f"/{job['id']}/cancel")
    assert (status, changed["state"]) == (200, "cancelling")
    await api.jobs.runner.run_next(JobKind.EXPORT)
    assert (await api.shown(job))["state"] == "cancelled"
    assert (await api.ask("GET", f"/{job['id']}/file"))[0] == 409


async def test_who_may_do_what(api: JobsApi) -> None:
    assert (await api.ask("POST", "/exports", {}, who="agent"))[0] == 403
    assert (await api.ask("POST", "/exports", {"filter": {"store": ["main"]}}, who="game"))[0] == 403
    job = await api.started("exports", {})
    assert (await api.ask("GET", f"/{job['id']}", who="game"))[0] == 404
    assert (await api.ask("GET", f"/{job['id']}/file", who="viewer"))[0] == 403
    assert (await api.ask("POST", f"/{job['id']}/cancel", who="viewer"))[0] == 403
    own = await api.started("exports", {}, who="game")
    for who, seen in (("all", [own["id"], job["id"]]), ("game", [own["id"]])):
        _, page = await api.ask("GET", "", who=who)
        assert sorted(each["id"] for each in page["jobs"]) == sorted(seen)


async def test_files_end_with_their_time(api: JobsApi) -> None:
    job = await api.started("exports", {})
    await api.jobs.runner.run_next(JobKind.EXPORT)
    await api.jobs.upkeep(NOW + RULES.keep_exports - timedelta(hours=1))
    assert (await api.ask("GET", f"/{job['id']}/file"))[0] == 200
    await api.jobs.upkeep(NOW + RULES.keep_exports + timedelta(hours=1))
    assert (await api.ask("GET", f"/{job['id']}"))[0] == 404
    async with api.engine.connect() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(job_parts))).scalar_one() == 0
