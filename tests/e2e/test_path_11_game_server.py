"""Path 11: a rank on a game server: delivered, waiting, failed with what to fix, retried, settled, refunded."""

from __future__ import annotations

from typing import Any

from deploy.sandboxes.rcon import PASSWORD
from tests.e2e.conversation import World, eventually

RANK = {
    "kind": "rcon",
    "server": "survival",
    "commands": ["lp user {{custom.player}} parent add vip", 'say "Welcome, {{customer.name}}!"'],
    "revoke_commands": ["lp user {{custom.player}} parent remove vip"],
    "needs_player": "{{custom.player}}",
    "note": "{{custom.player}} is a VIP now.",
}


class Game:
    """A store that sells ranks on its game server."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def configure(self, **changes: object) -> None:
        edges, store = self.world.edges, self.world.store
        port = (await self.world.outside.console())["port"]
        await edges.command("fulfillment", f"/stores/{store}/secrets/console", {"value": PASSWORD}, method="PUT")
        server = {"name": "Survival", "game": "minecraft", "host": "127.0.0.1", "port": port, "password": "console"}
        await edges.command("fulfillment", f"/stores/{store}/servers/survival", server | changes, method="PUT")

    async def health(self) -> dict[str, Any]:
        path = f"/stores/{self.world.store}/servers/survival"
        found = await eventually(lambda: self.world.edges.get("fulfillment", path), lambda it: it["health"], "a test")
        return dict(found["health"])

    async def sold(self, player: str, sku: str = "rank") -> Any:
        customer = self.world.customer("Ada Lovelace")
        order = await customer.opens()
        basket = customer.checkout(sku)
        items = tuple(item.model_copy(update={"custom_fields": {"player": player}}) for item in basket.items)
        await order.submits(basket.model_copy(update={"items": items}))
        return order

    async def execution(self, order: Any) -> dict[str, Any]:
        found = await self.world.edges.part("fulfillment", f"/orders/{order.id}/deliveries") or {"items": [{}]}
        return dict(found["items"][0])

    async def shows(self, order: Any, code: str) -> dict[str, Any]:
        return await eventually(lambda: self.execution(order), lambda it: it.get("code") == code, code)

    async def ranks(self, player: str) -> list[str]:
        return list((await self.world.outside.console())["ranks"].get(player, []))


async def test_a_rank_is_given_waits_fails_is_retried_and_is_revoked(world: World) -> None:
    game = Game(world)
    await world.sells("rank", RANK)
    await game.configure()
    health = await game.health()
    assert (health["ok"], "players online" in health["text"]) == (True, True)

    order = await game.sold("Ada_1")
    await order.becomes("completed")
    assert await game.ranks("Ada_1") == ["vip"]
    execution = await game.execution(order)
    assert execution["answers"][0] == "Ada_1 now inherits permissions from vip."
    assert execution["instructions"]["note"] == "Ada_1 is a VIP now."

    await world.refunds(order)
    await order.becomes("refunded")
    await eventually(lambda: game.ranks("Ada_1"), lambda ranks: ranks == [], "the rank is revoked")

    away = await game.sold("Linus_T")
    waits = await game.shows(away, "player_offline")
    assert (waits["status"], "Linus_T is not online" in waits["text"]) == ("waiting_outside", True)
    await world.outside.change_console(players=["Linus_T"])
    await world.retries(away)
    await away.becomes("completed")
    await world.outside.restore_console()


async def test_what_is_wrong_is_said_with_its_remedy_and_nothing_is_run_twice(world: World) -> None:
    game = Game(world)
    await world.sells("rank", RANK)
    await game.configure()
    assert (await game.health())["ok"]

    await world.outside.change_console(password="another")
    refused = await game.sold("Ada_1")
    waits = await game.shows(refused, "wrong_password")
    assert "Set the secret console" in waits["text"]
    await world.outside.change_console(password=PASSWORD)
    await game.configure()
    assert (await game.health())["ok"], "a test tries the password again at once"
    await world.retries(refused)
    await refused.becomes("completed")

    await world.outside.change_console(offline=True)
    offline = await game.sold("Grace_H")
    waits = await game.shows(offline, "server_offline")
    assert "Start the server" in waits["text"]
    await eventually(game.health, lambda it: not it["ok"], "the server fails its test")
    attention = await world.edges.get("fulfillment", "/attention")
    assert any(entry["what"] == "game server" for entry in attention["attention"]), attention

    await world.outside.restore_console()
    await world.retries(offline)
    await offline.becomes("completed")

    hostile = await game.sold("Ada_1; op Eve")
    failed = await game.shows(hostile, "field_unsafe")
    assert "custom field player" in failed["text"]
    await hostile.becomes("failed")

    await world.outside.change_console(hangs=True)
    before = (await world.outside.console())["commands"]
    unknown = await game.sold("Grace_H")
    failed = await game.shows(unknown, "unresolved")
    assert (failed["status"], failed["in_doubt"]) == ("failed", True)
    await world.outside.restore_console()
    await world.is_refused(world.command(unknown, "fulfillment", "retry", items=["1"]), "in_doubt")
    settled = {"item": "1", "outcome": "delivered", "reason": "Grace has the rank."}
    await world.command(unknown, "fulfillment", "settle", **settled)
    await unknown.becomes("completed")
    after = (await world.outside.console())["commands"]
    assert after[len(before) :] == ["lp user Grace_H parent add vip"], "once"
    assert not any("Eve" in command for command in after)
