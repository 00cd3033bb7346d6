"""The record on `deliveries.status.v1`: whole, told once where all goes well, and without what opens the goods."""

from __future__ import annotations

from services.fulfillment.domain.delivery import Delivery, Stage
from services.fulfillment.domain.operations import GrantAccess, SignDownload, TakeCode
from services.fulfillment.domain.status_record import last_record
from shared.contracts.checkout import OrderCancelled
from shared.contracts.envelope import encode
from shared.contracts.fulfillment import ConfigureProduct, Download, RetryDelivery, ShipOrder
from tests.unit.fulfillment.examples import LINK, PAID, Shop, line, paid, placed


def test_an_order_that_is_delivered_at_once_has_one_record() -> None:
    shop = paid("ebook", "key")
    assert shop.told() == []

    shop.answer(SignDownload, SignDownload.Done(LINK))
    shop.answer(TakeCode, TakeCode.Done(("AAA-1",)))

    (record,) = shop.told()
    assert (record.stage, record.revision) == ("paid", 1)
    assert [(one.execution, one.kind, one.version, one.status) for one in record.executions] == [
        ("1", "download", 1, "delivered"),
        ("2", "code", 1, "delivered"),
    ]
    assert LINK.encode() not in encode(record) and b"AAA-1" not in encode(record)


def test_what_waits_or_failed_is_told_at_once_with_what_to_fix() -> None:
    shop = paid("course", "poster")
    assert [one.status for one in shop.told()[-1].executions] == ["in_progress", "waiting_parcel"]

    shop.answer(GrantAccess, GrantAccess.Failed("rejected", "Find the reason there."), after=["500"])
    failed = shop.told()[-1].executions[0]
    assert (failed.status, failed.code, failed.text) == ("failed", "rejected", "Find the reason there.")
    assert [attempt.error for attempt in failed.attempts] == ["500"]
    shop.hear(ShipOrder(carrier="DHL", tracking="T-1")).hear(RetryDelivery()).hear(OrderCancelled())

    assert [record.revision for record in shop.told()] == [*range(1, len(shop.told()) + 1)]
    assert (shop.told()[-1].stage, shop.told()[-1].executions[1].status) == ("cancelled", "revoked")


def test_an_order_with_many_executions_fits_into_a_message() -> None:
    shop = Shop()
    further = tuple(Download(file=f"{number}.pdf") for number in range(8))
    shop.hear(ConfigureProduct(action=Download(file="first.pdf"), further=further), "acme/bundle")
    shop.given(placed(*(line(str(number), "bundle") for number in range(1, 201))), PAID)
    calls = [operation for _, operation in shop.open if isinstance(operation, SignDownload)]
    assert len(calls) == 1800

    shop.answer(calls[0], SignDownload.Failed("broken", "It is broken. " * 100), after=["time-out"] * 20)

    assert len(encode(shop.told()[-1])) < 500_000


def test_what_was_not_told_yet_has_no_record_to_send_again() -> None:
    """After Kafka was lost: orders that wait for their payment, or were cancelled before they were placed."""
    placed_only = Shop().given(placed(line("1", "ebook")))

    assert last_record(placed_only.state) is None
    assert last_record(Delivery(Stage.CANCELLED)) is None
    told = paid("poster")
    assert last_record(told.state) == told.told()[-1]
