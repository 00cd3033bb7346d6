"""Path 11: content made to order: staff upload it for the item, the customer downloads it until the refund."""

from __future__ import annotations

import io
import re
from urllib.parse import urlencode

import aiohttp

from tests.e2e.conversation import World, eventually

PORTRAIT = b"a portrait of Ada " * 50_000
WHY = "Painted as ordered."


async def test_a_portrait_is_uploaded_downloaded_in_parts_and_ends_with_the_refund(world: World) -> None:
    sku = await world.sells("portrait", {"kind": "manual", "text": "Paint {{customer.name}}."})
    customer = world.customer("Ada Lovelace")
    order = await customer.buys((sku, 1))
    await order.becomes("processing")

    async def of_item() -> str:
        found = await world.edges.get("fulfillment", f"/orders/{order.id}/deliveries")
        return str(found["items"][0]["status"])

    await eventually(of_item, lambda now: now == "waiting_task", "the task")
    query = {"name": "Portrait of Ada.pdf", "reason": WHY, "note": "Print it on A3."}
    path = f"/orders/{order.id}/items/1/file?{urlencode(query)}"
    accepted = await world.edges.put_file("fulfillment", path, io.BytesIO(PORTRAIT), "portrait-1")
    again = await world.edges.put_file("fulfillment", path, io.BytesIO(b"another"), "portrait-1")
    assert (accepted["duplicate"], again["duplicate"]) == (False, True)
    await world.edges.command("fulfillment", f"/orders/{order.id}/mark-delivered", {"reason": WHY})
    await order.becomes("completed")

    async def mails() -> list[str]:
        return [(await world.outside.mail(mail["id"]))["text"] for mail in await customer.mails()]

    texts = await eventually(mails, lambda now: any("/downloads/" in text for text in now), "the link")
    (link,) = {found for text in texts for found in re.findall(r"https?://\S+/downloads/[^\s>)]+", text)}
    assert any("Print it on A3." in text for text in texts)
    async with aiohttp.ClientSession() as browser:
        async with browser.get(link, headers={"Range": "bytes=2-9"}) as part:
            assert (part.status, await part.read()) == (206, b"portrait")
        async with browser.get(link) as whole:
            assert await whole.read() == PORTRAIT

        await world.refunds(order)

        async def status() -> int:
            async with browser.get(link) as answer:
                return answer.status

        await eventually(status, lambda now: now == 410, "the end of the link")
    attached = await world.says(order, "delivery.noted", "Attached by staff")
    assert WHY in attached["text"]
