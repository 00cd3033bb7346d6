"""One run: who acts in the world, and what they left."""

from __future__ import annotations

import asyncio

from deploy.simulation.dashboard import Dashboard
from deploy.simulation.file_staff import FileStaff
from deploy.simulation.game_staff import GameStaff
from deploy.simulation.late import Late
from deploy.simulation.nemesis import Nemesis
from deploy.simulation.newer import Newer
from deploy.simulation.outages import Outages
from deploy.simulation.payable_orders import PayableOrders
from deploy.simulation.poison import Poison
from deploy.simulation.replay import replay
from deploy.simulation.rest import at_rest, look
from deploy.simulation.restore import Restore
from deploy.simulation.saved_views import save_views
from deploy.simulation.shop import STORE, Shop
from deploy.simulation.staff import Staff
from deploy.simulation.world import World

REPLAY_EVERY = 4
"""Seeds that this number divides end with a replay."""
STRIKES_OVER = 4.0
"""Seconds in which the faults from outside strike, on average."""


class Trial:
    def __init__(self, world: World) -> None:
        self.world = world
        self.restore = Restore(world)
        PayableOrders(world)
        self.poison = Poison(world, may_forge=not self.restore.planned)
        self.staff = Staff(world, self.poison)
        self.newer = Newer(world)
        outages = Outages(world, self.staff.resume_all)
        self.nemesis = Nemesis(world, [*outages.strikes, *self.poison.strikes, *self.newer.strikes])
        self.dashboard = Dashboard(world, self.staff.resume_all)
        self.late = Late(world)
        self.shop = Shop(world)
        self.game_staff = GameStaff(world)
        self.file_staff = FileStaff(world)
        self.replayed: list[str] = []
        """What a replay of every record changed."""

    async def run(self) -> None:
        """Let everyone act, then wait until everything is at rest. Raises NotAtRest."""
        world = self.world
        await world.start()
        acting = asyncio.create_task(self._act())
        while not acting.done() or not at_rest(world) or self.staff.see_to_parked() or self.shop.last_look():
            await look(world)
            self.staff.look_daily()
        acting.result()
        if world.seed % REPLAY_EVERY == 0:
            world.profile.calm()
            await self.poison.clear_away()
            self.replayed = await replay(world)

    async def _act(self) -> None:
        await self.shop.open_store()
        save_views(self.world, STORE)
        strikes = int(self.world.profile.level.from_outside * self.world.orders)
        faults = self.nemesis.run(strikes, over=STRIKES_OVER)
        dashboard = self.dashboard.run(over=STRIKES_OVER)
        await asyncio.gather(faults, dashboard, self.restore.run(), *self.shop.orders())
        await self.shop.tidy_up()
