"""Deliveries and each of their actions, from `delivery.status`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.staff.domain.order_adds import of_delivery
from services.staff.domain.projection import PROJECTION, facets
from shared.contracts.delivery_status import DeliveryStatusRecord
from shared.core.projection import About, Row, Shown

FAILED = frozenset({"failed", "revocation_failed"})
WAITS_FOR_STAFF = frozenset({"waiting_parcel", "waiting_code", "waiting_task", "waiting_setup"})


class DeliveryRow(Row):
    """The delivery's part of an order's row."""

    order_id: str
    delivery_revision: int = 0
    delivery_stage: str | None = None
    """One of refused (sold out), paid, cancelled."""
    failed_executions: int = 0
    waiting_executions: int = 0
    """Those that wait for staff."""
    to_start: bool = False
    """Nothing is delivered until staff start it."""
    delivery_updated_at: datetime | None = None
    delivery_facets: tuple[str, ...] = ()
    delivery_adds: dict[str, Any] | None = None
    """What they add to the sums by day."""


class ExecutionRow(Row):
    """One action of an order."""

    order_id: str
    execution: str
    store: str
    about: str
    name: str
    quantity: int
    kind: str | None
    status: str
    code: str | None
    text: str
    in_doubt: bool
    carrier: str | None
    tracking: str | None
    updated_at: datetime
    """When the record was told that says this."""


class DeliveryRecordRow(Row):
    """The record as it was sent."""

    order_id: str
    body: bytes


@PROJECTION.shows(DeliveryStatusRecord, blank=DeliveryRow)
def delivery(record: DeliveryStatusRecord, about: About) -> Shown:
    key = about.key
    failed = [execution for execution in record.executions if execution.status in FAILED]
    waiting = sum(execution.status in WAITS_FOR_STAFF for execution in record.executions)
    kinds = {execution.kind for execution in record.executions if execution.kind}
    row = DeliveryRow(
        order_id=key,
        delivery_revision=record.revision,
        delivery_stage=record.stage,
        failed_executions=len(failed),
        waiting_executions=waiting,
        to_start=bool(record.to_start),
        delivery_updated_at=record.updated_at,
        delivery_facets=(
            *facets(
                delivery="failed" if failed else "waiting" if waiting else None,
                stage=record.stage,
                start="wanted" if record.to_start else None,
            ),
            *sorted(f"kind:{kind}" for kind in kinds),
        ),
        delivery_adds=of_delivery(record, failed) if failed else None,
    )
    executions = [
        ExecutionRow(
            order_id=key,
            execution=execution.execution,
            store=record.store,
            about=execution.about,
            name=execution.name,
            quantity=execution.quantity,
            kind=execution.kind,
            status=execution.status,
            code=execution.code,
            text=execution.text,
            in_doubt=execution.in_doubt,
            carrier=execution.carrier,
            tracking=execution.tracking,
            updated_at=record.updated_at,
        )
        for execution in record.executions
    ]
    return Shown(row, [*executions, DeliveryRecordRow(key, about.body)])
