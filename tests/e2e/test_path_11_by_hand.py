"""Path 11: staff deliver by hand: a task, two parcels, sent again, revoked and granted again, returned and refunded."""

from __future__ import annotations

from typing import Any

from deploy.demo.shop import Order
from tests.e2e.conversation import World, eventually

WHY = {"reason": "As agreed by phone."}


async def act(world: World, order: Order, verb: str, **body: Any) -> None:
    await world.edges.command("fulfillment", f"/orders/{order.id}/{verb}", WHY | body)


async def test_staff_send_two_parcels_and_do_a_task_and_the_rest_comes_back(world: World) -> None:
    sku = await world.sells("chart", {"kind": "shipment"}, shippable=True, stock=5)
    task = {"kind": "manual", "text": "Call {{customer.name}} about order {{order.number}}."}
    configured = {"action": {"kind": "shipment"}, "track_stock": True, "low_stock": 4, "further": [task]}
    await world.edges.command("fulfillment", f"/stores/{world.store}/products/{sku}", configured, method="PUT")
    customer = world.customer("Grace Hopper")

    order = await customer.buys((sku, 2))
    await order.becomes("processing")
    parcel = {"carrier": "DHL", "tracking": "T1", "quantities": {"1": 1}}
    await world.edges.command("fulfillment", f"/orders/{order.id}/ship", parcel)
    mail = (await customer.gets_mail("Your parcel is on its way"))["text"]
    assert "1 x" in mail and "https://www.dhl.com/global-en/home/tracking.html?tracking-id=T1" in mail
    await world.edges.command("fulfillment", f"/orders/{order.id}/ship", parcel | {"tracking": "T2"})
    await act(world, order, "mark-delivered", note="We have spoken.")
    await order.becomes("completed")

    await act(world, order, "resend")
    await act(world, order, "return", items=[{"item": "1"}], refund=True)
    await eventually(lambda: world.payment(order), lambda seen: seen["refunded"] > 0, "the refund")
    await eventually(lambda: world.stock(sku), lambda seen: seen["free"] == 5, "the stock")

    async def told() -> list[str]:
        return [entry["text"] for entry in await world.timeline(order)]

    texts = await eventually(told, lambda now: any("2 of A chart returned" in text for text in now), "the return")
    assert any(text.startswith("Marked as delivered by hand") and "As agreed by phone." in text for text in texts)
    assert any("is low: 3 free" in text for text in texts)
    assert (await world.stock(sku))["on_hand"] == 5
