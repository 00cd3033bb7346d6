"""What staff ask of jobs. Kept with each job as it was given."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from services.staff.domain.bulk import ACTIONS, BulkChoice
from services.staff.domain.export import COLUMNS, USUAL, ExportFormat
from services.staff.order_list import OrderChoice
from shared.contracts.times import is_time_zone
from shared.contracts.values import Given, Id, Line

MOST_SELECTED = 10_000
"""Orders that can be named."""


def _column(name: str) -> str:
    if name not in COLUMNS:
        raise ValueError("is no column of an export")
    return name


def _zone(name: str) -> str:
    if name and not is_time_zone(name):
        raise ValueError("is no time zone of the IANA database, such as Europe/Berlin")
    return name


def _action(name: str) -> str:
    if name not in ACTIONS:
        raise ValueError(f"must be one of {', '.join(ACTIONS)}")
    return name


Column = Annotated[str, AfterValidator(_column), Field(json_schema_extra={"enum": list(COLUMNS)})]
Zone = Annotated[str, AfterValidator(_zone)]
Action = Annotated[str, AfterValidator(_action), Field(json_schema_extra={"enum": list(ACTIONS)})]
Selected = Annotated[tuple[Id, ...], Field(max_length=MOST_SELECTED)]


class JobFilter(OrderChoice):
    """Which orders, as `GET /api/v1/orders` takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


EVERYTHING = JobFilter()


class JobRequest(Given):
    """What every job of orders has."""

    model_config = ConfigDict(strict=False)

    filter: JobFilter = EVERYTHING
    """All orders of the caller's stores that match when the job begins; without any filter: all."""
    orders: Selected = ()
    """Only these orders, by id."""


class ExportRequest(JobRequest):
    """The body of `POST /api/v1/jobs/exports`."""

    format: ExportFormat = "csv"
    """`csv` or `xlsx`."""
    columns: Annotated[tuple[Column, ...], Field(max_length=len(COLUMNS))] = USUAL
    """In this order. Missing: number, date, customer, address, status, payment, amounts and products."""
    zone: Zone = ""
    """The time zone of all times in the file: `Europe/Berlin`. Missing: that of the stores, if they have the same one;
    otherwise UTC."""


class BulkRequest(JobRequest):
    """The body of `POST /api/v1/jobs/bulk`."""

    action: Action
    """What is done with each order."""
    reason: Line = ""
    """Why. Part of each order's timeline."""
    options: dict[Literal["notify", "refund", "resaleable"], bool] = Field(default_factory=dict)
    """`notify` the customer, of `fulfil`; `refund` what came back, and whether it is `resaleable`, of `return`."""

    def choice(self) -> BulkChoice:
        return BulkChoice(self.action, self.reason, {str(name): value for name, value in self.options.items()})


class ScheduleRequest(Given):
    """The body of `POST /api/v1/jobs/schedules`: an export of each month, made when it is over."""

    model_config = ConfigDict(strict=False)

    name: Annotated[Line, Field(min_length=1)]
    """What staff call it."""
    export: ExportRequest
    """What is exported: of the orders that match, those that were placed in the month."""
