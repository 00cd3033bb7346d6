"""Orders with very many items and executions stay within a message."""

from __future__ import annotations

from services.fulfillment.domain.operations import SignDownload
from shared.contracts.delivery_work import AttachDelivery, MarkDeliveredDelivery, ResendDelivery
from shared.contracts.envelope import encode
from shared.contracts.fulfillment import ConfigureProduct, Download, ManualTask, Shipment, ShipOrder
from tests.unit.fulfillment.examples import LINK, PAID, Shop, line, placed

MOST_BYTES = 900_000
"""Kafka's limit of a record is 1 MB."""
ITEMS, EXECUTIONS = 200, 5


def many() -> Shop:
    shop, actions = Shop(), tuple(Download(file=f"{n}.pdf") for n in range(EXECUTIONS - 2))
    task = ManualTask(text="x" * 1900)
    shop.hear(ConfigureProduct(action=Shipment(), further=(task, *actions)), "acme/bundle")
    return shop.given(placed(*(line(str(number), "bundle") for number in range(1, ITEMS + 1))), PAID)


def test_an_order_of_200_items_with_5_executions_each_fits_into_messages() -> None:
    shop = many()
    assert len(shop.state.items) == ITEMS * EXECUTIONS
    for command in (
        ShipOrder(carrier="DHL", tracking="T"),
        MarkDeliveredDelivery(executions=tuple(f"{n}/2" for n in range(1, 201)), reason="x"),
    ):
        shop.hear(command)
    for _, sign in [*shop.open][:20]:
        shop.answer(sign, SignDownload.Done(LINK))
    for number in range(1, 61):
        shop.hear(AttachDelivery(item=str(number), note="字" * 2000, reason="x"))
    shop.hear(ResendDelivery(reason="x"))

    assert max(len(encode(event)) for event in shop.all.published) < MOST_BYTES
