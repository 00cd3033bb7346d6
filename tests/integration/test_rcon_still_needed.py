"""What is not needed any more is not run on a game server, and what cannot be known about it leaves no doubt."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.fulfillment.domain.game_server import GameServer
from services.fulfillment.domain.rcon_operations import RconOperation, RunCommands
from services.fulfillment.gateways.rcon import Rcon
from shared.core import NotTried
from tests.integration.test_rcon_gateway import KEY, PASSWORD, SHORT, Configured, Judge, gateway, judge, run

__all__ = ["judge"]


async def test_what_is_no_longer_needed_is_not_run(judge: Judge) -> None:
    known = Configured(current=False)
    said = await Rcon(known, known, private=True).perform(run("give a"), "k")
    assert isinstance(said, RunCommands.Failed) and said.code == "not_needed"


async def test_what_is_replaced_while_it_waits_for_the_connection_is_not_run(judge: Judge) -> None:
    """Else another call could run the same commands, too."""
    known = Configured(
        {KEY: GameServer("Survival", "minecraft", "127.0.0.1", judge.port, "pw")}, {("acme", "pw"): PASSWORD}
    )
    rcon = Rcon(known, known, private=True, timeouts=replace(SHORT, place=2))
    before = asyncio.create_task(rcon.perform(run("sleep 0.3"), "k"))
    await asyncio.sleep(0.1)
    replaced = asyncio.create_task(rcon.perform(run("give a"), "k"))
    await asyncio.sleep(0.05)
    known.current = False

    said = await replaced

    assert isinstance(said, RunCommands.Failed) and said.code == "not_needed"
    assert isinstance(await before, RunCommands.Done)
    assert await judge.commands(1) == ["sleep 0.3"]


@pytest.mark.parametrize("slow", [1, 2])
async def test_nothing_is_in_doubt_when_the_database_does_not_answer(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, slow: int
) -> None:
    """Before the call, or once it is connected."""
    asked = 0

    async def is_current(self: Configured, operation: RconOperation) -> bool:
        nonlocal asked
        asked += 1
        await asyncio.sleep(10 if asked == slow else 0)
        return True

    monkeypatch.setattr(Configured, "is_current", is_current)

    said = await asyncio.wait_for(gateway(judge.port).perform(run("give a"), "k"), 5)

    assert isinstance(said, NotTried) and "database does not answer" in said.error
