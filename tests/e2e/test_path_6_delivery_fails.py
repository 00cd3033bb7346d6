"""Path 6: a delivery fails; it is tried again by itself, then by staff; what runs out is waited for."""

from __future__ import annotations

from typing import Any

from tests.e2e.conversation import World, delivery_states, eventually


async def test_a_platform_that_is_down_and_then_rejects_leaves_a_word_on_what_to_fix(world: World) -> None:
    sku = await world.sells("rowing", {"kind": "course", "url": world.desk("rowing")})
    await world.outside.inject("hooks/rowing", answer=500, times=1)
    customer = world.customer("Karen Jones")

    order = await customer.buys(sku, "tides")
    await eventually(lambda: world.outside.received("rowing"), lambda seen: len(seen) == 1, "the first try")
    await world.outside.inject("hooks/rowing", answer=422)
    failed = await order.becomes("failed")
    assert (failed["payment_status"], failed["fulfilment_status"]) == ("paid", "failed")
    trouble = (await world.edges.order(order.id))["items"][0]["trouble"]
    assert "422" in trouble
    assert "Find the reason there, then retry the order" in trouble

    await world.outside.clear_fault("hooks/rowing")
    await world.retries(order)
    done = await order.becomes("completed")

    assert done["fulfilment_status"] == "fulfilled"
    tries = await world.outside.received("rowing")
    assert [request["answer"] for request in tries] == [500, 422, 204]
    assert tries[0]["headers"]["idempotency-key"] == tries[1]["headers"]["idempotency-key"]
    assert (await world.money_taken(order))[2] == 1


async def test_a_wrong_url_fails_nothing_and_the_order_goes_on_where_it_is_right(world: World) -> None:
    """The operator's fault: staff see why it waits, and the customer hears nothing of it."""
    sku = await world.sells("sculling", {"kind": "course", "url": world.desk("nowhere")})
    await world.outside.inject("hooks/nowhere", answer=404)
    customer = world.customer("Grace Hopper")
    order = await customer.buys(sku)

    async def waits() -> dict[str, Any]:
        found = await world.edges.part("fulfillment", f"/orders/{order.id}/deliveries") or {"items": [{}]}
        return found["items"][0].get("waiting") or {}

    waiting = await eventually(waits, lambda call: bool(call.get("error")), "a reason to wait")
    assert "answered 404" in waiting["error"]
    assert (waiting["attempts"], order.status) == (0, "processing")
    await world.is_refused(world.retries(order), "nothing_to_retry")

    await world.sells("sculling", {"kind": "course", "url": world.desk("sculling")})
    await world.retries(order, latest=True)
    await order.becomes("completed")
    told = [str(await customer.gets_mail("Your purchase is ready")), str(await customer.feed()), str(order.history)]
    assert not [text for text in told if "answered 404" in text or "Nothing exists at this URL" in text]
    assert "failed" not in [status for _, status in order.history]


async def test_a_delivery_continues_by_itself_when_the_platform_is_back(world: World) -> None:
    sku = await world.sells("sailing", {"kind": "course", "url": world.desk("sailing")})
    await world.outside.inject("hooks/sailing", answer=500, times=2)

    order = await world.customer("Donald Knuth").buys(sku)
    await order.becomes("completed")

    assert [status for _, status in order.history][-2:] == ["processing", "completed"]


async def test_an_empty_pool_is_waited_for_until_codes_are_added(world: World) -> None:
    sku = await world.sells("signal", {"kind": "code", "pool": "signal"})
    customer = world.customer("Jim Gray")

    order = await customer.buys(sku)
    await order.shows(lambda it: delivery_states(it) == ["waiting"], "waiting for a code")
    assert order.status == "processing"
    await world.edges.command("fulfillment", f"/stores/{world.store}/pools/signal/codes", {"codes": ["SIG-0001"]})
    await order.becomes("completed")

    assert "SIG-0001" in (await customer.gets_mail("Your purchase is ready"))["text"]


async def test_staff_may_complete_an_order_that_cannot_be_delivered(world: World) -> None:
    sku = await world.sells("diving", {"kind": "course", "url": world.desk("diving")})
    await world.outside.inject("hooks/diving", answer=422)
    order = await world.customer().buys(sku)
    await order.becomes("failed")

    await world.command(order, "checkout", "complete", note="Enrolled by hand.")
    await order.becomes("completed")

    await world.says(order, "order.completed", "Completed manually.")
