"""What the lists' document says of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from services.staff.domain.order_filter import FACETS, FLAGS
from services.staff.lists import add_lists
from services.staff.order_columns import FIELDS
from services.staff.order_list import OrderChoice
from services.staff.queues import QUEUES, facet_of
from services.staff.storage import orders
from shared.shell.http.openapi import document
from shared.shell.ports.http_api import HttpApi


@pytest.fixture(scope="module")
def paths() -> dict[str, Any]:
    application = web.Application()
    add_lists(application, cast(HttpApi, SimpleNamespace(engine=None)))
    found: dict[str, Any] = document(application, "staff")["paths"]
    return found


def test_every_list_is_of_the_callers_stores_and_may_be_kept(paths: dict[str, Any]) -> None:
    assert len(paths) == 8
    for path, methods in paths.items():
        names = {parameter["name"] for parameter in methods["get"]["parameters"]}
        assert {"store", "If-None-Match"} <= names, path
        assert "304" in methods["get"]["responses"], path


def test_values_of_a_list_are_parameters_of_their_own(paths: dict[str, Any]) -> None:
    parameters = {each["name"]: each for each in paths["/api/v1/orders"]["get"]["parameters"]}
    assert parameters["status"]["explode"] is True
    assert parameters["fields"]["schema"]["items"]["enum"] == list(FIELDS)


def test_every_filter_is_a_parameter_and_every_queue_a_filter() -> None:
    assert set(OrderChoice.model_fields) >= {*FACETS, *FLAGS}
    assert all(facet_of(*listed) for listed in QUEUES.values())


def test_every_column_that_a_list_shows_is_there() -> None:
    own = {
        name
        for column in orders.c
        if not (name := column.name).endswith(("_facets", "_revision", "_updated_at", "_adds"))
    }
    assert own - {"facets", "order_id"} <= {*FIELDS}
