"""Path 10: a product with several actions, and an offer that brings more: delivered, failed, retried, refunded."""

from __future__ import annotations

from typing import Any

from tests.e2e.conversation import World, eventually


async def executions(world: World, order: str) -> dict[str, str]:
    found = await world.edges.part("fulfillment", f"/orders/{order}/deliveries") or {"items": []}
    return {item["id"]: item["status"] for item in found["items"]}


async def test_each_action_is_delivered_retried_and_revoked_by_itself(world: World) -> None:
    sku, desk = "bundle", world.desk("bundle")
    await world.sells(sku, {"kind": "code", "pool": "bundle"}, codes=3)
    further = [{"kind": "course", "url": desk}, {"kind": "download", "file": "https://files.example/b.pdf"}]
    configured = {"action": {"kind": "code", "pool": "bundle"}, "further": further}
    await world.edges.command("fulfillment", f"/stores/{world.store}/products/{sku}", configured, method="PUT")
    gold = {"name": "Gold members", "actions": [{"kind": "course", "url": world.desk("gold")}]}
    await world.edges.command("fulfillment", f"/stores/{world.store}/offers/gold", gold, method="PUT")
    await world.outside.inject("hooks/bundle", answer=422, times=1)
    customer = world.customer("Grace Hopper")

    order = await customer.buys(sku, offer="gold")
    failed = await order.becomes("failed")
    assert "answered 422" in failed["message"]
    assert await executions(world, order.id) == {
        "1": "delivered",
        "1/2": "failed",
        "1/3": "delivered",
        "offer": "delivered",
    }
    mail = (await customer.gets_mail("Your purchase is ready"))["text"]
    assert "BUND-" in mail and "/downloads/" in mail and "Gold members" in mail, "what is there is not held back"

    await world.retries(order)
    done = await order.becomes("completed")
    assert [extra["delivery"] for extra in done["extras"]] == ["delivered"]
    assert len(await world.outside.received("bundle")) == 2

    await world.refunds(order)
    await order.becomes("refunded")

    async def revoked() -> dict[str, str]:
        return await executions(world, order.id)

    await eventually(revoked, lambda now: set(now.values()) == {"revoked"}, "all of it revoked")
    grants: list[Any] = [request["body"] for request in await world.outside.received("gold")]
    assert len(grants) == 2
