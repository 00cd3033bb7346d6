"""Staff who type codes for items that wait for one."""

from __future__ import annotations

import asyncio
import json

from deploy.simulation.tasks import unowned
from deploy.simulation.world import World
from shared.contracts.codes import ProvideCode
from shared.contracts.fulfillment import EVENTS
from shared.shell.ports.bus import BusRecord


class TypedCodes:
    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng_of("typing")

    def read(self, record: BusRecord) -> None:
        """Give some items that wait a code: a new one, or one that the pool has, too."""
        value = record.value or b""
        if record.topic == EVENTS.name and b'"pool_empty"' in value and self._rng.random() < 0.3:
            code = f"{self._rng.choice(('own', 'first', 'more-1'))}-{self._rng.randrange(5)}"
            command = ProvideCode(item=json.loads(value)["item"], codes=(code,), reason="Typed.")
            self._world.keep(unowned(lambda: self._type(command, (record.key or b"").decode())))

    async def _type(self, command: ProvideCode, key: str) -> None:
        await asyncio.sleep(self._rng.random() * self._rng.choice((1.0, 60.0)))
        self._world.publish(command, key, actor="staff:anna", times=self._rng.choice((1, 1, 2)))
