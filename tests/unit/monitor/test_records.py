from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from services.monitor.domain.figures import ATTEMPTS, DECLINED, FAILED, ORDERS, PAID, REFUNDED, REFUNDS, REVENUE
from services.monitor.domain.fingerprints import Fingerprints
from services.monitor.domain.minutes import minute_of
from services.monitor.domain.picture import Picture
from services.monitor.domain.unusual import Limits
from services.monitor.records import COUNTED, UNKNOWN, UNREADABLE, Records
from shared.contracts.checkout import STATUS, OrderPaid, OrderStatusRecord
from shared.contracts.envelope import Envelope, encode, to_headers
from shared.contracts.examples.checkout import EXAMPLES
from shared.contracts.examples.payments import EXAMPLES as OF_PAYMENTS
from shared.contracts.payment_status import STATUS as PAYMENTS
from shared.contracts.payment_status import PaymentStatusRecord
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


PAYMENT = next(one for one in OF_PAYMENTS if isinstance(one, PaymentStatusRecord))
ANN = {"name": "Ann", "email": "ann@example.com"}
HOME = {"name": "Ann", "line1": "1, High St.", "city": "Bath", "postal_code": "BA1 1AA", "country": "GB"}
CARD = {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030}


def payment_record(value: bytes | None = None, key: bytes = b"o-1", **fields: object) -> BusRecord:
    """A status record of a payment."""
    given = orjson.dumps(orjson.loads(encode(PAYMENT)) | fields) if value is None else value or None
    envelope = Envelope(UUID("019ca000-0000-7000-8000-000000000002"), "payment.status", "payments", key.decode(), NOW)
    return BusRecord(PAYMENTS.name, 0, 7, key, tuple(to_headers(envelope)), given, NOW, "")


def figures_of(picture: Picture, at: datetime) -> dict[str, dict[tuple[str, str], int]]:
    return picture.figures.of(minute_of(at))


@pytest.fixture
def picture() -> Picture:
    return Picture(100, Limits(60, 2, 2, 2))


@pytest.fixture
def records(picture: Picture) -> Records:
    return Records(picture, Fingerprints(b"key"))


def test_a_placed_order_is_counted(picture: Picture, records: Records) -> None:
    assert records.take(record(with_field(paid_at=None, status="failed"))) == COUNTED
    assert STATUS_OF_ORDER.placed_at is not None
    counts = figures_of(picture, STATUS_OF_ORDER.placed_at)
    assert counts == {STATUS_OF_ORDER.store: {(ORDERS, ""): 1, (FAILED, ""): 1}}


@pytest.mark.parametrize(("fields", "revenue"), [({"paid": 900, "purchased": 1000}, 900), ({"purchased": 1000}, 1000)])
def test_what_counts_as_paid_is_its_revenue(
    picture: Picture, records: Records, fields: dict[str, int], revenue: int
) -> None:
    placed, paid = NOW - timedelta(minutes=5), NOW - timedelta(minutes=2)
    value = orjson.loads(encode(STATUS_OF_ORDER)) | {"placed_at": placed, "paid_at": paid, "currency": "EUR"}
    value.pop("paid", None)
    assert records.take(record(orjson.dumps(value | fields))) == COUNTED
    assert figures_of(picture, placed)[STATUS_OF_ORDER.store][PAID, ""] == 1
    assert figures_of(picture, paid) == {STATUS_OF_ORDER.store: {(REVENUE, "EUR"): revenue}}


def test_attempts_and_refunds_are_counted(picture: Picture, records: Records) -> None:
    at = NOW.isoformat()
    attempts = [
        {"attempt": 1, "status": "declined", "provider": "stripe", "amount": 500, "at": at, "card": CARD},
        {"attempt": 2, "status": "captured", "provider": "stripe", "amount": 500, "at": at, "captured": 500},
        {"attempt": 2, "status": "captured", "provider": "stripe", "amount": 500, "at": at, "captured": 500},
        {"attempt": 3, "status": "spirited_away", "provider": "other", "amount": 500, "at": at, "card": None},
    ]
    refunds = [
        {"refund": "r", "attempt": 2, "status": status, "amount": 100, "at": at}
        for status in ("done", "done", "failed", "pending", "unheard")
    ]
    assert records.take(payment_record(attempts=attempts, refunds=refunds, currency="USD")) == COUNTED
    counts = {(ATTEMPTS, ""): 3, (DECLINED, ""): 1, (REFUNDS, ""): 2, (REFUNDED, "USD"): 200}
    assert figures_of(picture, NOW) == {PAYMENT.store: counts}


def test_an_order_that_a_newer_build_wrote_is_counted(picture: Picture, records: Records) -> None:
    assert records.take(record(with_field(status="gift_wrapped", wrapping={"paper": "blue"}))) == COUNTED
    assert len(picture.figures) == 1


def test_a_record_without_a_value_removes_the_order_or_its_payment(picture: Picture, records: Records) -> None:
    records.take(record())
    records.take(payment_record())
    assert records.take(record(None)) == COUNTED
    assert (len(picture.figures), len(picture.figures.payments.records)) == (0, 1)
    assert records.take(payment_record(b"")) == COUNTED
    assert len(picture.figures.payments.records) == 0


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
        (record(with_field(currency="euros")), UNREADABLE),
        (record(with_field(purchased=-1)), UNREADABLE),
        (payment_record(b"{"), UNREADABLE),
        (payment_record(refunds=[{"status": "done", "amount": 1.5, "at": NOW.isoformat()}]), UNREADABLE),
        (payment_record(attempts={}), UNREADABLE),
        (record(ce_id=b"\xff"), UNREADABLE),
        (record(ce_id=None), UNREADABLE),
        (record(ce_type=OrderPaid.type.encode(), ce_dataschema=b"urn:orderbus:order.paid:1"), UNKNOWN),
        (record(ce_type=b"order.unheard", ce_dataschema=b"urn:orderbus:order.unheard:1"), UNKNOWN),
        (record(ce_dataschema=b"urn:orderbus:order.status:2"), UNKNOWN),
    ],
)
def test_what_is_no_status_record_is_skipped(picture: Picture, records: Records, bad: BusRecord, outcome: str) -> None:
    assert records.take(bad) == outcome
    assert len(picture.figures) == len(picture.figures.payments.records) == 0
    assert records.take(record()) == COUNTED


@pytest.mark.parametrize("year", [1, 9999])
def test_any_time_can_be_counted(picture: Picture, records: Records, year: int) -> None:
    at = datetime(year, 6, 1, tzinfo=UTC)
    picture.expire(minute_of(NOW - timedelta(days=365 * 100)), minute_of(NOW))
    assert records.take(record(with_field(placed_at=at.isoformat(), paid_at=None))) == COUNTED
    assert figures_of(picture, at) == ({STATUS_OF_ORDER.store: {(ORDERS, ""): 1}} if year > 2000 else {})


def patterns(picture: Picture) -> dict[tuple[str, str], int]:
    picture.alerts.look(minute_of(NOW))
    return {(one.key.what, one.key.source.by): one.pattern.count for one in picture.alerts.current()}


def order(key: str, **fields: object) -> BusRecord:
    given: dict[str, object] = {"placed_at": NOW.isoformat(), "updated_at": NOW.isoformat(), "customer": None}
    value = with_field(**given | {"shipping": None, "client_ip": None} | fields)
    return record(value, key=key.encode(), ce_subject=key.encode())


@pytest.mark.parametrize(
    ("by", "first", "second", "same"),
    [
        ("mail", {"customer": ANN}, {"customer": {"name": "Bob", "email": "Ann+2@EXAMPLE.com"}}, True),
        ("mail", {"customer": ANN}, {"customer": {"name": "Ann", "email": "ann@example.org"}}, False),
        ("address", {"shipping": HOME}, {"shipping": HOME | {"name": "Bob", "line1": "1 high st"}}, True),
        ("address", {"shipping": HOME}, {"shipping": HOME | {"line2": "Flat 2"}}, False),
        ("ip", {"client_ip": "203.0.113.7"}, {"client_ip": " ::ffff:203.0.113.7"}, True),
        ("ip", {"client_ip": "2001:db8::1"}, {"client_ip": "2001:db8::ffff:1"}, True),
        ("ip", {"client_ip": "2001:db8::1"}, {"client_ip": "2001:db8:0:1::1"}, False),
        ("ip", {"client_ip": "unknown"}, {"client_ip": "unknown"}, False),
    ],
)
def test_what_comes_from_one_place(
    picture: Picture, records: Records, by: str, first: dict[str, object], second: dict[str, object], same: bool
) -> None:
    for key, fields in (("o-1", first), ("o-2", second)):
        assert records.take(order(key, **fields)) == COUNTED
    assert patterns(picture) == ({("orders", by): 2} if same else {})


def test_cards_are_told_apart_by_what_is_shown_of_them(picture: Picture, records: Records) -> None:
    records.take(order("o-1", customer=ANN))
    at = NOW.isoformat()
    for number, cards in ((1, [CARD, CARD]), (2, [CARD, CARD | {"exp_year": 2031}])):
        attempts = [
            {"attempt": attempt, "status": "captured", "provider": "stripe", "amount": 5, "at": at, "card": card}
            for attempt, card in enumerate(cards)
        ]
        assert patterns(picture) == {}
        records.take(payment_record(attempts=attempts, updated_at=at, revision=number))
    assert patterns(picture) == {("cards", "mail"): 2}


def test_it_keeps_no_personal_data(picture: Picture, records: Records) -> None:
    records.take(order("o-1", customer=ANN, shipping=HOME, client_ip="203.0.113.7"))
    known = repr(picture.activity.origins.get("o-1"))
    assert not [word for word in ("ann", "high", "bath", "203") if word in known.casefold()]
    other = Records(Picture(100, Limits(60, 2, 2, 2)), Fingerprints(b"other"))
    other.take(order("o-1", customer=ANN, shipping=HOME, client_ip="203.0.113.7"))
    assert repr(other.picture.activity.origins.get("o-1")) != known
