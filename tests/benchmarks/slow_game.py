"""1,000 deliveries to one slow game server, and how long another server's take meanwhile:
`python -m tests.benchmarks.slow_game`. On the whole embedded system, with one worker of each service.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from deploy.devstack.stack import Stack
from deploy.sandboxes.rcon import PASSWORD, GameServer
from deploy.sandboxes.server import LOOPBACK
from tests.e2e.conftest import opened
from tests.e2e.conversation import World

ORDERS, OTHERS = 1000, 50
SECONDS = 0.1
"""That the slow server takes for a command."""


class SlowServer(GameServer):
    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__(folder)
        self._seconds = seconds
        self.at_once = self.most_at_once = 0

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self._seconds)
            await super()._converse(reader, writer)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def game(world: World, name: str, seconds: float, folder: Path) -> AsyncIterator[SlowServer]:
    """A server, and a product of that name that runs a command there."""
    server = SlowServer(folder / name, seconds)
    async with server.listening(0):
        store = world.store
        await world.edges.command("fulfillment", f"/stores/{store}/secrets/console", {"value": PASSWORD}, method="PUT")
        reached = {"name": name, "game": "minecraft", "host": LOOPBACK, "port": server.port, "password": "console"}
        await world.edges.command("fulfillment", f"/stores/{store}/servers/{name}", reached, method="PUT")
        commands = ["lp user {{order.id}} parent add vip"]
        await world.sells(name, {"kind": "rcon", "server": name, "commands": commands})
        yield server


async def buy(world: World, sku: str) -> float:
    """Seconds from the payment page to the completed order."""
    customer = world.customer()
    order = await customer.opens()
    began = time.perf_counter()
    await order.submits(customer.checkout(sku))
    await order.becomes("completed", within=600)
    return time.perf_counter() - began


async def others(world: World, pause: float) -> list[float]:
    taken = []
    for _ in range(OTHERS):
        taken.append(await buy(world, "fast"))
        await asyncio.sleep(pause)
    return sorted(taken)


def shown(taken: list[float]) -> str:
    return f"p50 {taken[len(taken) // 2]:.2f} s, p95 {taken[int(len(taken) * 0.95)]:.2f} s, max {taken[-1]:.2f} s"


async def main() -> None:
    async with AsyncExitStack() as opened_here:
        folder = Path(opened_here.enter_context(tempfile.TemporaryDirectory()))
        stack = await opened_here.enter_async_context(Stack(folder / "data"))
        world = await opened_here.enter_async_context(opened(stack))
        slow = await opened_here.enter_async_context(game(world, "slow", SECONDS, folder))
        await opened_here.enter_async_context(game(world, "fast", 0.0, folder))
        print(f"alone: {shown(await others(world, 0.1))}", flush=True)
        began = time.perf_counter()
        many = [asyncio.create_task(buy(world, "slow")) for _ in range(ORDERS)]
        while len(slow.commands) < ORDERS // 20:
            await asyncio.sleep(0.1)
        print(f"while {ORDERS} wait for the slow one: {shown(await others(world, 0.5))}", flush=True)
        print(f"of the slow one {len(slow.commands)} were done by then", flush=True)
        await asyncio.gather(*many)
        seconds = time.perf_counter() - began
        runs = Counter(command for command in slow.commands if command != "list")
        print(f"{ORDERS} in {seconds:.0f} s ({ORDERS / seconds:.1f}/s; {1 / SECONDS:.0f}/s is the most it takes)")
        print(
            f"run once each: {len(runs) == ORDERS and set(runs.values()) == {1}}; at most {slow.most_at_once} at once"
        )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
