from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from services.monitor.domain.orders_per_minute import OrdersPerMinute, minute_of
from services.monitor.records import COUNTED, UNKNOWN, UNREADABLE, Records
from shared.contracts.checkout import STATUS, OrderPaid, OrderStatusRecord
from shared.contracts.envelope import Envelope, encode, to_headers
from shared.contracts.examples.checkout import EXAMPLES
from shared.shell.ports.bus import BusRecord

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
STATUS_OF_ORDER = next(one for one in EXAMPLES if isinstance(one, OrderStatusRecord))
HEADERS = dict(
    to_headers(Envelope(UUID("019ca000-0000-7000-8000-000000000001"), "order.status", "checkout", "o-1", NOW))
)


def record(
    value: bytes | None = encode(STATUS_OF_ORDER), key: bytes | None = b"o-1", unreadable: str = "", **headers: Any
) -> BusRecord:
    """A status record; headers replace those that a good one has."""
    given: Mapping[str, bytes] = HEADERS | headers
    return BusRecord(STATUS.name, 0, 7, key, tuple(given.items()), value, NOW, unreadable)


def with_field(**fields: object) -> bytes:
    return orjson.dumps(orjson.loads(encode(STATUS_OF_ORDER)) | fields)


@pytest.fixture
def table() -> OrdersPerMinute:
    return OrdersPerMinute(100)


def test_a_placed_order_is_counted(table: OrdersPerMinute) -> None:
    assert Records(table).take(record()) == COUNTED
    assert STATUS_OF_ORDER.placed_at is not None
    assert table.of(minute_of(STATUS_OF_ORDER.placed_at)) == {STATUS_OF_ORDER.store: 1}


def test_an_order_that_a_newer_build_wrote_is_counted(table: OrdersPerMinute) -> None:
    assert Records(table).take(record(with_field(status="gift_wrapped", wrapping={"paper": "blue"}))) == COUNTED
    assert len(table) == 1


def test_a_record_without_a_value_removes_the_order(table: OrdersPerMinute) -> None:
    records = Records(table)
    records.take(record())
    assert records.take(record(None)) == COUNTED
    assert len(table) == 0


@pytest.mark.parametrize(
    ("bad", "outcome"),
    [
        (record(unreadable="damaged"), UNREADABLE),
        (record(b""), UNREADABLE),
        (record(b"{"), UNREADABLE),
        (record(b"\xff"), UNREADABLE),
        (record(b"[]"), UNREADABLE),
        (record(b'{"store":"north","revision":"many"}'), UNREADABLE),
        (record(with_field(placed_at="yesterday")), UNREADABLE),
        (record(with_field(placed_at="2026-03-03T12:00:00")), UNREADABLE),
        (record(with_field(store="")), UNREADABLE),
        (record(with_field(revision=-1)), UNREADABLE),
        (record(key=None), UNREADABLE),
        (record(key=b"\xff"), UNREADABLE),
        (record(None, key=None), UNREADABLE),
        (record(ce_id=b"\xff"), UNREADABLE),
        (record(ce_id=None), UNREADABLE),
        (record(ce_type=OrderPaid.type.encode(), ce_dataschema=b"urn:orderbus:order.paid:1"), UNKNOWN),
        (record(ce_type=b"order.unheard", ce_dataschema=b"urn:orderbus:order.unheard:1"), UNKNOWN),
        (record(ce_dataschema=b"urn:orderbus:order.status:2"), UNKNOWN),
    ],
)
def test_what_is_no_status_record_is_skipped(table: OrdersPerMinute, bad: BusRecord, outcome: str) -> None:
    records = Records(table)
    assert records.take(bad) == outcome
    assert len(table) == 0
    assert records.take(record()) == COUNTED


@pytest.mark.parametrize("year", [1, 9999])
def test_any_time_can_be_counted(table: OrdersPerMinute, year: int) -> None:
    at = datetime(year, 6, 1, tzinfo=UTC)
    assert Records(table).take(record(with_field(placed_at=at.isoformat()))) == COUNTED
    assert len(table) == (1 if at > NOW - timedelta(days=365 * 100) else 0)
