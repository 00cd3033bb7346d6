"""Retries of deliveries. Those of revocations are in test_course.py, corrected URLs in test_correction.py."""

from __future__ import annotations

from services.fulfillment.domain.operations import TakeCode
from shared.contracts.fulfillment import ItemRetried, RedemptionCode, RetryDelivery
from tests.unit.fulfillment.examples import EMPTY, paid


def test_a_waiting_code_can_be_retried_from_another_pool() -> None:
    shop = paid("key").answer(TakeCode, EMPTY)
    shop.configure("key", RedemptionCode(pool="spare"))

    assert shop.hear(RetryDelivery()).published == [ItemRetried(item="1")]
    assert shop.waiting() == ()
    assert shop.operation(TakeCode).pool == "acme/spare"
    assert shop.refuses(RetryDelivery()).code == "nothing_to_retry"


def test_what_needs_no_retry_is_refused_by_name() -> None:
    shop = paid("ebook", "poster")

    refused = shop.refuses(RetryDelivery(items=("1", "2", "7")))

    assert [problem.code for problem in refused.problems] == ["nothing_to_retry", "nothing_to_retry", "unknown_item"]
    assert shop.refuses(RetryDelivery(), "o-9").code == "unknown_order"
