"""Which states jobs go through, what exports have, and when monthly ones are made."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.staff.domain.export import COLUMNS, USUAL, file_name
from services.staff.domain.jobs import (
    ENDED,
    MOST_TRIES,
    REQUESTS,
    RUNS,
    STOPPED,
    JobKind,
    JobState,
    after_failure,
    after_request,
    why_not,
)
from services.staff.domain.schedule import month_before, next_month
from services.staff.jobs.xlsx import Mark, Workbook
from services.staff.order_columns import FIELDS
from tests.integration.staff_jobs_rig import sheets_of

BULK, EXPORT = JobKind.BULK, JobKind.EXPORT


def test_every_column_that_a_list_shows_can_be_exported() -> None:
    assert set(COLUMNS) == {*FIELDS, "date"}
    assert len({column.title for column in COLUMNS.values()}) == len(COLUMNS)
    assert len(USUAL) == 12 and set(USUAL) <= set(COLUMNS)


@pytest.mark.parametrize("state", JobState)
def test_what_has_ended_stays_so_but_what_failed_can_be_tried_again(state: JobState) -> None:
    following = {request: after_request(BULK, state, request) for request in REQUESTS}
    if state in (JobState.DONE, JobState.CANCELLED):
        assert set(following.values()) <= {None, state}
    elif state is JobState.FAILED:
        assert following == {"pause": None, "resume": JobState.WAITING, "cancel": None}
    else:
        assert following["cancel"] in (JobState.CANCELLED, JobState.CANCELLING)


def test_a_running_job_is_stopped_by_its_runner_and_another_one_at_once() -> None:
    assert after_request(BULK, JobState.RUNNING, "pause") is JobState.PAUSING
    assert after_request(BULK, JobState.RUNNING, "cancel") is JobState.CANCELLING
    assert after_request(BULK, JobState.PAUSING, "resume") is JobState.RUNNING
    assert after_request(BULK, JobState.WAITING, "cancel") is JobState.CANCELLED
    assert {STOPPED.get(state) for state in RUNS} == {None, JobState.PAUSED, JobState.CANCELLED}


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("state", JobState)
def test_asking_twice_changes_nothing_more(state: JobState, request_: str) -> None:
    first = after_request(BULK, state, request_)  # type: ignore[arg-type]
    assert first is None or after_request(BULK, first, request_) is first  # type: ignore[arg-type]


def test_an_export_is_not_paused() -> None:
    assert after_request(EXPORT, JobState.RUNNING, "pause") is None
    assert "one moment" in why_not(EXPORT, JobState.RUNNING, "pause")
    assert why_not(BULK, JobState.DONE, "pause") == "This job is done: it cannot be paused."


def test_a_job_that_fails_is_tried_again_and_ends() -> None:
    assert [after_failure(tries) for tries in range(1, MOST_TRIES + 1)] == [JobState.WAITING] * 2 + [JobState.FAILED]
    assert JobState.FAILED in ENDED


def test_a_file_is_named_by_what_it_shows() -> None:
    moment = datetime(2026, 11, 28, 20, 5, 9, tzinfo=ZoneInfo("Europe/Helsinki"))
    assert file_name(["main"], "Europe/Helsinki", moment, "csv") == "orders-main-2026-11-28T200509-Europe-Helsinki.csv"
    assert file_name(["a:b", "c"], "UTC", moment, "xlsx") == "orders-2-stores-2026-11-28T200509-UTC.xlsx"


def test_a_month_is_that_of_the_stores_clocks() -> None:
    zone = ZoneInfo("America/New_York")
    begin = datetime(2026, 11, 1, 4, tzinfo=UTC)
    end = next_month(datetime(2026, 12, 1, 3, tzinfo=UTC), zone)
    assert end == datetime(2026, 12, 1, 5, tzinfo=UTC)
    assert next_month(end, zone) == datetime(2027, 1, 1, 5, tzinfo=UTC)
    assert month_before(end, zone) == begin
    assert month_before(datetime(2027, 1, 1, 5, tzinfo=UTC), zone) == end


@pytest.mark.parametrize(("rows", "bytes", "sheets"), [(4, 10**9, [3, 3, 1]), (100, 700, None), (100, 10**9, [7])])
def test_a_sheet_ends_by_rows_and_by_size(rows: int, bytes: int, sheets: list[int] | None) -> None:
    book = Workbook("Orders", ["Number"], rows, bytes)
    parts = [book.rows([f"{Mark.VALUE}{number}{'0' * 200}{Mark.END_VALUE}"]) for number in range(7)]
    found = sheets_of(b"".join([*parts, book.end([("Zone", "UTC & more")])]))
    assert found.pop("About") == [["Zone", "UTC & more"]]
    written = [row[0] for rows in found.values() for row in rows[1:]]
    assert written == [f"{number}{'0' * 200}" for number in range(7)]
    assert sheets is None or [len(rows) - 1 for rows in found.values()] == sheets
    assert sheets is not None or len(found) > 2


def test_an_export_of_nothing_has_its_titles() -> None:
    book = Workbook("Orders", ["Number", "<Total>"])
    assert sheets_of(book.rows([]) + book.end([]))["Orders"] == [["Number", "<Total>"]]


def test_no_cell_can_be_taken_for_xml() -> None:
    text = "a & <b> \x10\x1f\ufffe\uffff\t\n ende"
    book = Workbook("Orders", ["Text"])
    found = sheets_of(book.rows([f"{Mark.TEXT}{text}{Mark.END_TEXT}{Mark.MISSING}"] * 2) + book.end([]))["Orders"]
    assert found == [["Text"], *[["a & <b> \t\n ende", ""]] * 2]
