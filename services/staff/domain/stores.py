"""The stores that there are, from `store.status`: of all that is set, the time zone of reports."""

from __future__ import annotations

from services.staff.domain.projection import PROJECTION
from shared.contracts.store_status import StoreStatusRecord
from shared.core.projection import About, Row, Shown


class StoreRow(Row):
    store: str
    store_revision: int = 0
    time_zone: str | None = None
    """As it is set: `Europe/Berlin`. Missing: UTC."""


@PROJECTION.shows(StoreStatusRecord, blank=StoreRow)
def store(record: StoreStatusRecord, about: About) -> Shown:
    return Shown(StoreRow(about.key, record.revision, record.words.time_zone))
