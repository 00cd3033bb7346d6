"""Path 11: access that other systems give, by an HTTP action and as a role on Discord: delivered, failed with a remedy,
retried, revoked."""

from __future__ import annotations

import base64
import json
from typing import Any

from standardwebhooks.webhooks import Webhook

from deploy.demo.shop import Order
from deploy.sandboxes.discord import GUILD, TOKEN, VIP
from tests.e2e.conversation import Customer, World, eventually
from tests.e2e.test_path_10_several_actions import executions

KEY = "whsec_" + base64.b64encode(b"a signing key of twenty-four").decode()
ADA, GRACE = "80351110224678912", "80351110224678913"


async def set_secret(world: World, name: str, value: str) -> None:
    path = f"/stores/{world.store}/secrets/{name}"
    await world.edges.command("fulfillment", path, {"value": value}, method="PUT")


async def texts(world: World, order: Order) -> str:
    """What staff read about each execution."""
    found = await world.edges.part("fulfillment", f"/orders/{order.id}/deliveries") or {"items": []}
    return " ".join(item.get("text", "") for item in found["items"])


async def buys_with(customer: Customer, sku: str, **fields: str) -> Order:
    order = await customer.opens()
    given = customer.checkout(sku)
    items = tuple(item.model_copy(update={"custom_fields": fields}) for item in given.items)
    await order.submits(given.model_copy(update={"items": items}))
    return order


async def revoked(world: World, order: Order) -> None:
    async def statuses() -> set[str]:
        return set((await executions(world, order.id)).values())

    await world.refunds(order)
    await order.becomes("refunded")
    await eventually(statuses, lambda now: now == {"revoked"}, "all of it revoked")


async def test_an_http_action_is_called_as_configured_and_revoked_by_its_second_call(world: World) -> None:
    await set_secret(world, "school-token", "s3cret")
    await set_secret(world, "school-signing", KEY)
    action: dict[str, Any] = {
        "kind": "http",
        "url": f"{world.desk('school')}?member={{{{customer.email}}}}",
        "headers": {"X-Api-Token": {"secret": "school-token", "prefix": "Bearer "}},
        "body": {"order": "{{order.number}}", "player": "{{custom.player}}", "units": 1},
        "signed": "school-signing",
        "revoke": {"url": world.desk("school-leavers"), "body": {"order": "{{order.number}}"}},
        "enter": "https://school.example/enter",
    }
    await world.sells("lessons", action)
    await world.outside.inject("hooks/school", answer=422, times=1)
    customer = world.customer("Grace Hopper")

    order = await buys_with(customer, "lessons", player='","admin":true,"x":"')
    await order.becomes("failed")
    assert "answered 422. It rejects the customer or the product. Find the reason there" in await texts(world, order)
    await world.retries(order)
    await order.becomes("completed")

    first, asked = await world.outside.received("school")
    assert first["headers"]["idempotency-key"] != asked["headers"]["idempotency-key"], "staff retried it"
    assert asked["headers"]["x-api-token"] == "Bearer s3cret"
    body = Webhook(KEY).verify(asked["body"], asked["headers"])
    assert body == {"order": order.number, "player": '","admin":true,"x":"', "units": 1}
    assert "https://school.example/enter" in (await customer.gets_mail("Your purchase is ready"))["text"]

    await revoked(world, order)
    (left,) = await world.outside.received("school-leavers")
    assert json.loads(left["body"]) == {"order": order.number}


async def test_a_secret_that_is_not_set_waits_and_says_so(world: World) -> None:
    headers = {"X-Api-Token": {"secret": "forgotten"}}
    await world.sells("forgotten", {"kind": "http", "url": world.desk("forgotten"), "headers": headers})
    order = await world.customer().buys("forgotten")

    async def waiting() -> str:
        found = await world.edges.part("fulfillment", f"/orders/{order.id}/deliveries") or {"items": []}
        return " ".join(str(item.get("waiting")) for item in found["items"])

    await eventually(waiting, lambda text: "secret forgotten is not set: orderbus secrets set" in text, "the remedy")

    async def told() -> str:
        return await texts(world, order)

    await eventually(told, lambda text: "secret forgotten is not set" in text, "the remedy in the status record", 60)

    await set_secret(world, "forgotten", "found")
    await order.becomes("completed")


async def test_a_role_on_discord_is_given_and_removed_with_the_last_order_that_gives_it(world: World) -> None:
    await set_secret(world, "bot", TOKEN)
    path = f"/stores/{world.store}/discord/main"
    await world.edges.command("fulfillment", path, {"guild": GUILD, "token": "bot"}, method="PUT")
    await world.sells("vip", {"kind": "discord_role", "connection": "main", "role": VIP, "note": "Welcome!"})
    check = await world.edges.command("fulfillment", f"{path}/test")
    assert (check["status"], check["guild"]) == ("ok", "Sandbox Server")

    await world.outside.set_discord_server(has_left=[ADA])
    first = await buys_with(world.customer("Ada Lovelace"), "vip", discord=ADA)
    await first.becomes("failed")
    assert "not on the Discord server. Ask them to join it" in await texts(world, first)
    await world.outside.set_discord_server(may_manage_roles=False)
    await world.retries(first)
    await eventually(lambda: texts(world, first), lambda text: "Manage Roles" in text, "the next remedy")
    await world.outside.set_discord_server()
    await world.retries(first)
    await first.becomes("completed")
    assert await world.outside.discord_roles(ADA) == [VIP]

    second = await buys_with(world.customer("Ada Lovelace"), "vip", discord=ADA)
    await second.becomes("completed")
    await revoked(world, first)
    assert await world.outside.discord_roles(ADA) == [VIP]
    assert f"keeps the role: order {second.id} gives it as well" in await texts(world, first)
    await revoked(world, second)
    assert await world.outside.discord_roles(ADA) == []


async def test_a_name_instead_of_an_id_fails_with_a_remedy(world: World) -> None:
    if "vip" not in world.catalogue.products:
        await world.sells("vip", {"kind": "discord_role", "connection": "main", "role": VIP})
    order = await buys_with(world.customer("Grace Hopper"), "vip", discord="grace#1234")

    await order.becomes("failed")
    assert "is no id of a Discord user" in await texts(world, order)
    assert await world.outside.discord_roles(GRACE) == []
