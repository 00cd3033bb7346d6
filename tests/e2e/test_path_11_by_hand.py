"""Path 11: staff deliver by hand: a task, two parcels, sent again, revoked and granted again, returned and refunded."""

from __future__ import annotations

from typing import Any

from deploy.demo.shop import Order
from shared.contracts.payments import RecordPayment
from shared.contracts.storefront import PaymentChoice
from tests.e2e.conversation import World, delivery_states, eventually

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
    await order.shows(lambda it: delivery_states(it) == ["waiting"], "waiting for a parcel")
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


async def test_a_task_fails_with_its_remedy_is_retried_done_and_revoked_after_a_refund(world: World) -> None:
    text = "Engrave {{custom.text}} for {{customer.name}}."
    sku = await world.sells("signet", {"kind": "manual", "text": text})
    customer = world.customer("Lise Meitner")
    order = await customer.buys(sku)
    failed = await order.becomes("failed")
    assert "custom field text" in failed["message"] and "retry the order" in failed["message"]
    (execution,) = await executions(world, order)
    assert (execution["status"], execution["code"]) == ("failed", "field_missing")
    assert [entry["what"] for entry in await listed(world, order)] == ["failed delivery"]

    await world.sells("signet", {"kind": "manual", "text": "Engrave the initials of {{customer.name}}."})
    await world.retries(order, latest=True)
    await order.becomes("processing")

    async def task() -> list[dict[str, Any]]:
        return [entry for entry in await listed(world, order) if entry["what"] == "manual task"]

    (waits,) = await eventually(task, bool, "the task in the list of what waits for staff")
    assert waits["since"] and waits["command"].startswith("orderbus delivery mark-delivered")
    (execution,) = await executions(world, order)
    assert (execution["status"], execution["text"]) == ("waiting_task", "Engrave the initials of Lise Meitner.")

    await act(world, order, "mark-delivered", note="It is in the post.")
    await order.becomes("completed")
    assert "It is in the post." in (await customer.gets_mail("Your purchase is ready"))["text"]
    assert await listed(world, order) == []

    await world.refunds(order)
    await order.becomes("refunded")

    async def statuses() -> list[str]:
        return [str(one["status"]) for one in await executions(world, order)]

    await eventually(statuses, lambda seen: seen == ["revoked"], "the revocation")
    await world.tells(order, "item.revoked")


async def test_a_held_order_is_told_at_once_and_listed_until_it_is_released(world: World) -> None:
    sku = await world.sells("held-map", {"kind": "shipment"}, shippable=True)
    customer = world.customer("Emmy Noether")
    order = await customer.opens()
    basket = customer.checkout(sku).model_copy(
        update={"payment": PaymentChoice(provider="manual", method="bank_transfer")}
    )
    await order.submits(basket)
    await order.shows(lambda it: "Waits for the payment" in str(it.latest.get("message")), "that it is placed")
    await act(world, order, "hold")
    await order.publish(RecordPayment(method="bank_transfer", reference="desk"))
    await order.becomes("processing")

    async def told() -> list[str]:
        return [entry["text"] for entry in await world.timeline(order)]

    await eventually(told, lambda now: any(text.startswith("Waits for staff. The order: Paid") for text in now), "it")
    assert [entry["what"] for entry in await listed(world, order)] == ["held order"]
    await act(world, order, "release")

    async def left() -> list[str]:
        return [entry["what"] for entry in await listed(world, order)]

    await eventually(left, lambda now: now == [], "an empty list")


async def executions(world: World, order: Order) -> list[dict[str, Any]]:
    found = await world.edges.get("fulfillment", f"/orders/{order.id}/deliveries")
    return list(found["items"])


async def listed(world: World, order: Order) -> list[dict[str, Any]]:
    """What of an order waits for staff, over both services."""
    found = [await world.edges.get(service, "/attention") for service in ("checkout", "fulfillment")]
    return [entry for one in found for entry in one["attention"] if entry["subject"] in (order.id, order.number)]
