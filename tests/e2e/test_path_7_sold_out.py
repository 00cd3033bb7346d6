"""Path 7: the last unit goes to one of two orders; the other is told, and not charged."""

from __future__ import annotations

import asyncio

from tests.e2e.conversation import World, eventually


async def test_the_last_unit_goes_to_one_of_two(world: World) -> None:
    sku = await world.sells("figurehead", {"kind": "download", "file": "https://lighthouse.example/f"}, stock=1)
    customers = [world.customer("Ada Lovelace"), world.customer("Grace Hopper")]

    orders = await asyncio.gather(*(customer.buys(sku, "tides") for customer in customers))
    ends = await asyncio.gather(*(order.becomes("completed", "cancelled") for order in orders))

    assert sorted(end["status"] for end in ends) == ["cancelled", "completed"]
    late = next(order for order in orders if order.status == "cancelled")
    unlucky = customers[orders.index(late)]
    assert await world.money_taken(late) == (0, 0, 0)
    assert "sold out" in (await unlucky.gets_mail("was cancelled"))["text"].lower()
    stock = await world.stock(sku)
    assert stock["free"] == 0


async def test_ten_units_are_never_sold_to_twelve(world: World) -> None:
    sku = await world.sells("rope", {"kind": "download", "file": "https://lighthouse.example/rope"}, stock=10)

    orders = await asyncio.gather(*(world.customer().buys((sku, 2)) for _ in range(6)))
    ends = await asyncio.gather(*(order.becomes("completed", "cancelled") for order in orders))

    assert sum(end["status"] == "completed" for end in ends) == 5
    await eventually(lambda: world.stock(sku), lambda seen: seen["free"] == 0, "the stock")
