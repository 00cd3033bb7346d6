"""Path 11: redemption codes of a file: several for a unit, a pool that runs low and empty, typed by staff, refunded."""

from __future__ import annotations

from typing import Any

from tests.e2e.conversation import World, delivery_states, eventually

REASON = "Bought at the publisher's."


async def imported(world: World, pool: str, *codes: str) -> dict[str, Any]:
    file = "code,price\n" + "".join(f"{code},1.00\n" for code in codes)
    return await world.edges.upload(
        "fulfillment", f"/stores/{world.store}/pools/{pool}/codes", file.encode(), "text/csv"
    )


async def pool_of(world: World, pool: str) -> dict[str, Any]:
    found: dict[str, Any] = await world.edges.get("fulfillment", f"/stores/{world.store}/pools/{pool}")
    return found


async def test_codes_of_a_file_are_delivered_and_staff_hear_when_few_are_left(world: World) -> None:
    sku = await world.sells("season", {"kind": "code", "pool": "season", "per_unit": 2})
    mark = {"name": "Season keys", "low_water": 4}
    await world.edges.command("fulfillment", f"/stores/{world.store}/pools/season", mark, method="PUT")
    customer = world.customer("Barbara Liskov")
    order = await customer.buys(sku)
    await order.shows(lambda it: delivery_states(it) == ["waiting"], "waiting for codes")

    done = await imported(world, "season", *(f"SEASON-{number}" for number in range(5)), "SEASON-0")
    assert (done["added"], done["repeated_lines"]) == (5, [7])
    await order.becomes("completed")

    assert "SEASON-0\nSEASON-1" in (await customer.gets_mail("Your purchase is ready"))["text"]
    await world.tells(order, "pool.low")
    assert [entry["what"] for entry in await attention(world, "season")] == ["low code pool"]
    await world.refunds(order)
    await order.becomes("refunded")
    after = await pool_of(world, "season")
    assert (after["free"], after["taken"]) == (3, 2), "codes that the customer has seen do not return"


async def test_staff_type_the_code_of_an_item_whose_pool_is_empty(world: World) -> None:
    sku = await world.sells("rare-key", {"kind": "code", "pool": "rare-key"})
    customer, other = world.customer("Leslie Lamport"), world.customer("Nancy Lynch")
    order, later = await customer.buys(sku), await other.buys(sku)
    await order.shows(lambda it: delivery_states(it) == ["waiting"], "waiting for a code")
    await later.shows(lambda it: delivery_states(it) == ["waiting"], "waiting for a code")
    assert [entry["what"] for entry in await attention(world, "rare-key")] == ["empty code pool"]

    await world.command(order, "fulfillment", "provide-code", item="1", codes=["TYPED-1"], reason=REASON)
    await order.becomes("completed")
    assert "TYPED-1" in (await customer.gets_mail("Your purchase is ready"))["text"]

    async def told() -> bool:
        return any(REASON in entry["text"] for entry in await world.timeline(order))

    await eventually(told, bool, "the reason in the timeline")

    await world.command(later, "fulfillment", "provide-code", item="1", codes=["TYPED-1"], reason=REASON)
    failed = await later.becomes("failed")
    assert "Another item has one of these codes" in failed["message"]
    await imported(world, "rare-key", "TYPED-1", "OTHER-1")
    await world.retries(later)
    await later.becomes("completed")
    assert "OTHER-1" in (await other.gets_mail("Your purchase is ready"))["text"]


async def attention(world: World, pool: str) -> list[dict[str, Any]]:
    async def listed() -> list[dict[str, Any]]:
        found = await world.edges.get("fulfillment", "/attention")
        return [entry for entry in found["attention"] if entry["subject"].endswith(f"/{pool}")]

    return await eventually(listed, bool, "an entry about the pool")
