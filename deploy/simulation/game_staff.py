"""Staff who look at the game server where it is unknown what was run, and do by hand what fields forbid."""

from __future__ import annotations

import asyncio

import orjson

from deploy.simulation.tasks import unowned
from deploy.simulation.world import World
from shared.contracts.fulfillment import EVENTS, ItemFailed, RetryDelivery, SettleDelivery, SettledOutcome
from shared.contracts.rcon import RconCommands
from shared.core import Command
from shared.shell.ports.bus import BusRecord


class GameStaff:
    def __init__(self, world: World) -> None:
        self._world, self._rng = world, world.rng_of("game staff")
        world.readers.append(self.read)

    def read(self, record: BusRecord) -> None:
        headers = dict(record.headers)
        if record.topic != EVENTS.name or headers.get("ce_type") != ItemFailed.type.encode():
            return
        body, key = orjson.loads(record.value or b""), (record.key or b"").decode()
        if body["code"] in ("unresolved", "field_unsafe", "server_offline", "player_offline"):
            self._world.keep(unowned(lambda: self._settle(key, body["item"])))

    async def _settle(self, key: str, about: str) -> None:
        if self._rng.random() < 0.5:  # they do not look first
            await self._say(RetryDelivery(items=(about,)), key)
        await asyncio.sleep(60.0 + self._rng.random() * self._rng.choice((1.0, 300.0)))
        delivery = self._world.delivery(key)
        for item in delivery.named(about) if delivery else ():
            if not isinstance(item.action, RconCommands) or item.status != "failed":
                continue
            outcome: SettledOutcome = "delivered"
            if item.in_doubt and not self._world.console.has[key, item.id]:
                outcome = "not_delivered"
            said = SettleDelivery(item=about, execution=item.id, outcome=outcome, reason="as the server shows it")
            await self._say(said, key)
            if outcome == "not_delivered":
                await self._say(RetryDelivery(executions=(item.id,)), key)

    async def _say(self, command: Command, key: str) -> None:
        await self._world.submit("fulfillment", command, key, actor="staff:gail")
