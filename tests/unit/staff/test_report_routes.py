"""What the reports' document says of them, and what their parameters come to."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest
from aiohttp import web

from services.staff.domain.report import REPORTS, Period
from services.staff.reports import CSV, QUERIES, SalesQuery, add_reports, period_of
from shared.shell.http.openapi import document
from shared.shell.ports.http_api import HttpApi

TODAY = date(2026, 11, 28)


@pytest.fixture(scope="module")
def paths() -> dict[str, Any]:
    application = web.Application()
    add_reports(application, cast(HttpApi, SimpleNamespace(engine=None)))
    found: dict[str, Any] = document(application, "staff")["paths"]
    return found


def test_every_report_is_of_the_callers_stores_in_two_forms_and_may_be_kept(paths: dict[str, Any]) -> None:
    assert paths.keys() == {f"/api/v1/reports/{name}" for name in REPORTS}
    for path, methods in paths.items():
        get = methods["get"]
        assert {"store", "from", "to", "by", "If-None-Match"} <= {each["name"] for each in get["parameters"]}, path
        assert get["responses"]["200"]["content"].keys() == {"application/json", CSV}
        assert "304" in get["responses"] and get["x-permission"] == "report.read"


@pytest.mark.parametrize("name", QUERIES)
def test_what_a_report_can_be_broken_down_by_is_what_it_takes(name: str) -> None:
    field = QUERIES[name][0].model_fields["by"].annotation
    (literal, _) = get_args(field)
    assert set(get_args(literal)) == REPORTS[name].by.keys()


@pytest.mark.parametrize(
    ("given", "period"),
    [
        ({}, Period(date(2026, 10, 30), TODAY)),
        ({"to": "2026-01-30"}, Period(date(2026, 1, 1), date(2026, 1, 30))),
        ({"from": "2026-11-01"}, Period(date(2026, 11, 1), TODAY)),
        ({"from": "2027-01-01"}, Period(date(2027, 1, 1), date(2027, 1, 1))),
        ({"from": "2026-02-01", "to": "2026-02-01"}, Period(date(2026, 2, 1), date(2026, 2, 1))),
    ],
)
def test_the_period_that_is_meant(given: dict[str, str], period: Period) -> None:
    assert period_of(SalesQuery.model_validate(given), TODAY) == period
