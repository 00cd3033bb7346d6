"""One ce_id for two messages: the sender is told, and no message is lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from deploy.client.storefront import Follower, Storefront, uuid7
from shared.contracts import checkout
from shared.contracts.envelope import Envelope, encode, to_headers
from shared.contracts.storefront import CheckoutOpened
from tests.e2e.conversation import World, eventually


async def test_a_checkout_with_the_id_of_another_orders_is_refused(world: World) -> None:
    first, second, same = (str(uuid7()) for _ in range(3))
    opened = CheckoutOpened(store=world.store, currency="EUR", country="DE")
    async with (
        Storefront(world.settings.kafka) as shop,
        Follower(world.settings.kafka, [checkout.ORDERS], types=["checkout.refused", "order.created"]) as told,
    ):
        id = uuid7()
        await shop.publish(opened, first, identity=id)
        await shop.publish(opened, first, identity=id)
        await shop.publish(opened, second, identity=id)
        # Another source may have the same ids: CloudEvents identifies by source and id.
        envelope = Envelope(id, opened.type, "another-storefront", same, datetime.now(UTC), store=world.store)
        await shop.publish_raw(opened.topic.name, encode(opened), same.encode(), to_headers(envelope))

        seen: dict[str, list[str]] = {first: [], second: [], same: []}
        async with asyncio.timeout(60):
            async for record in told.records():
                if record.key in seen:
                    seen[record.key].append(record.body.get("code", record.type))
                    if record.type == "checkout.refused":
                        assert record.body["command_id"] == str(id)
                if all(seen.values()):
                    break
    assert seen == {first: ["order.created"], second: ["repeated_id"], same: ["order.created"]}
    found = await eventually(lambda: world.edges.part("checkout", f"/orders/{same}"), bool, "the other source's order")
    assert found
    assert found["status"] == "created"
