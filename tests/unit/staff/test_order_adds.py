"""What orders, payments and deliveries add to the sums by day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.staff.domain.deliveries import delivery
from services.staff.domain.order_adds import duration_of, of_order, of_payment
from shared.contracts.delivery_status import DeliveryStatusRecord
from shared.contracts.examples import EXAMPLES
from shared.contracts.order_status import OrderStatusRecord
from shared.contracts.payment_status import PaymentStatusRecord
from shared.contracts.values import PaymentStatus
from shared.core.day_sums import quarter_of
from shared.core.projection import About

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def order(**changes: Any) -> OrderStatusRecord:
    example = EXAMPLES[OrderStatusRecord]
    assert isinstance(example, OrderStatusRecord)
    return example.model_copy(update={"created_at": NOON, "placed_at": NOON + DAY, "paid_at": NOON + 2 * DAY} | changes)


def payment(**changes: Any) -> PaymentStatusRecord:
    example = EXAMPLES[PaymentStatusRecord]
    assert isinstance(example, PaymentStatusRecord)
    return example.model_copy(update=changes)


def added(found: dict[str, Any] | None, about: str, value: str | None = None) -> dict[int, dict[str, int]]:
    """By day since NOON."""
    assert found is not None
    days: dict[int, dict[str, int]] = {}
    for quarter, values, figures in found["adds"]:
        if about in values and value in (None, values[about]):
            there = days.setdefault((quarter - quarter_of(NOON)) // 96, {})
            for name, number in figures.items():
                there[name] = there.get(name, 0) + number
    return days


def test_an_order_counts_when_it_was_opened_when_placed_and_when_paid() -> None:
    found = added(of_order(order()), "orders", "")
    assert found == {0: {"opened": 1}, 1: {"placed": 1}, 2: {"paid": 1, "sales": 5380, "refunded": 2086}}
    assert added(of_order(order()), "country", "GB") == added(of_order(order()), "source", "newsletter") == found
    assert added(of_order(order()), "offer", "") == found, "of no offer"


def test_an_order_that_is_not_paid_sells_nothing() -> None:
    record = order(paid_at=None)
    assert added(of_order(record), "orders") == {0: {"opened": 1}, 1: {"placed": 1}}
    assert added(of_order(record), "product") == {}


def test_what_was_given_is_worth_nothing_and_what_counts_as_paid_is_what_was_paid() -> None:
    assert "sales" not in added(of_order(order(paid=0, refunded=0)), "orders")[2]
    assert added(of_order(order(paid=4000)), "orders")[2]["sales"] == 4000


def test_products_and_delivery_charges_add_up_to_the_order() -> None:
    found = of_order(order())
    products, charges = added(found, "product")[2], added(found, "delivery_charge")[2]
    assert products["sales"] + charges["sales"] == 5380
    assert products["refunded"] == 2086
    assert products["units"] == sum(item.quantity for item in order().items if not item.is_delivery_charge)


def test_a_completion_counts_on_the_day_of_the_payment_with_the_time_it_took() -> None:
    record = order(completed_at=NOON + 5 * DAY)
    assert (
        added(of_order(record), "orders")[2] | {"completed": 1, "seconds": 3 * 86400}
        == added(of_order(record), "orders")[2]
    )
    assert added(of_order(record), "duration") == {2: {"completed": 1}}
    assert added(of_order(record), "duration", "week") == {2: {"completed": 1}}


@pytest.mark.parametrize(
    ("took", "name"),
    [
        (timedelta(seconds=-5), "minute"),
        (timedelta(seconds=59), "minute"),
        (timedelta(minutes=1), "hour"),
        (timedelta(hours=23), "day"),
        (timedelta(days=6), "week"),
        (timedelta(weeks=1), "longer"),
    ],
)
def test_durations(took: timedelta, name: str) -> None:
    assert duration_of(NOON, NOON + took) == name


def test_disputes_that_the_record_knows() -> None:
    for status in (PaymentStatus.DISPUTED, PaymentStatus.CHARGED_BACK):
        assert added(of_order(order(payment_status=status)), "orders")[2][status.value] == 1


def test_charges_count_when_they_were_requested_and_refunds_when_they_were() -> None:
    made, refund = payment().attempts[0], payment().refunds[0]
    declined = made.model_copy(update={"attempt": 1, "status": "declined", "captured": 0, "at": NOON})
    charged = made.model_copy(update={"attempt": 2, "at": NOON + DAY})
    refunds = (
        refund.model_copy(update={"attempt": 2, "at": NOON + 2 * DAY}),
        refund.model_copy(update={"attempt": 2, "at": NOON + 3 * DAY, "recorded": True, "amount": 5}),
        refund.model_copy(update={"attempt": 2, "at": NOON + 4 * DAY, "status": "pending"}),
    )
    found = of_payment(payment(attempts=(declined, charged), refunds=refunds))

    assert added(found, "provider", "stripe") == {
        0: {"attempts": 1, "declined": 1},
        1: {"attempts": 1, "paid": 1, "sales": 5380},
        2: {"refunds": 1, "refunded": 2086},
        3: {"refunds": 1, "refunded": 5},
    }
    assert added(found, "method", "stripe/card") == added(found, "provider")
    assert added(found, "refund", "provider") == {2: {"refunds": 1, "refunded": 2086}}
    assert added(found, "refund", "recorded") == {3: {"refunds": 1, "refunded": 5}}
    assert added(found, "reason", "requested_by_customer")[2] == {"refunds": 1, "refunded": 2086}


def test_a_failed_delivery_counts_by_kind_and_reason_when_it_was_tried_last() -> None:
    example = EXAMPLES[DeliveryStatusRecord]
    assert isinstance(example, DeliveryStatusRecord)
    about = About("o-1", UUID(int=1), "fulfillment", "delivery.status", 1, NOON)

    row: Any = delivery(example, about).row

    (failed,) = [each for each in example.executions if each.status == "failed"]
    day = (quarter_of(failed.attempts[-1].at) - quarter_of(NOON)) // 96
    assert added(row.delivery_adds, "failed_kind", "course") == {day: {"failures": 1}}
    assert added(row.delivery_adds, "failed_reason", "course/rejected") == {day: {"failures": 1}}
    assert row.delivery_adds["currency"] == ""
    untried = failed.model_copy(update={"attempts": ()})
    row = delivery(example.model_copy(update={"executions": (untried,), "updated_at": NOON + DAY}), about).row
    assert added(row.delivery_adds, "failed_kind", "course") == {1: {"failures": 1}}
    assert delivery(example.model_copy(update={"executions": ()}), about).row.delivery_adds is None  # type: ignore[attr-defined]


def test_what_was_captured_once_more_for_an_attempt_is_money_and_no_further_attempt() -> None:
    record = payment()
    twice = payment(attempts=[*record.attempts, record.attempts[-1]])
    once, found = (added(of_payment(one), "provider") for one in (record, twice))
    for name in ("attempts", "paid", "declined"):
        assert [day.get(name, 0) for day in found.values()] == [day.get(name, 0) for day in once.values()], name
    assert found != once, "but the money"
