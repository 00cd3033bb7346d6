"""What the simulation's checks of deliveries let pass, and what they find."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from deploy.simulation.as_bought import delivered_as_bought
from deploy.simulation.catalogue import COURSE
from deploy.simulation.delivery_checks import codes_of_two
from deploy.simulation.fault_profile import LEVELS, FaultProfile
from deploy.simulation.game import GIVE, GameConsole
from deploy.simulation.game_checks import commands_run_once
from deploy.simulation.history import History
from deploy.simulation.warehouse import Warehouse
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, Stage
from services.fulfillment.domain.rcon_operations import RconOperation, RevokeByCommands, RunCommands
from shared.contracts.fulfillment import EVENTS
from shared.contracts.values import Instructions
from shared.shell.ports.bus import BusRecord


class Console:
    """A server that is always there."""

    def __init__(self) -> None:
        history, rng = History(lambda: datetime(2026, 1, 1, tzinfo=UTC)), random.Random(1)
        self.item = Item("1", "rank", "Rank", 1, action=GIVE, status=ItemStatus.IN_PROGRESS, calls=1)
        self.console = GameConsole(FaultProfile(LEVELS["none"], rng, history), history, rng, lambda *_: self.item)
        self.console.rng = cast(Any, SimpleNamespace(random=lambda: 1.0))

    def does(self, kind: type[RconOperation], status: ItemStatus) -> None:
        self.item = Item("1", "rank", "Rank", 1, action=GIVE, status=status, calls=1)
        commands = GIVE.commands if kind is RunCommands else GIVE.revoke_commands
        call = kind(
            server="s/server/arena",
            order="o",
            item="1",
            commands=commands,
            fields=(("custom.player", "Ada_1"),),
            number=1,
        )
        self.console.do(call, "")

    def broken(self) -> list[str]:
        return [text for _, text in commands_run_once(self.console)]


def test_what_is_granted_again_after_it_was_revoked_is_run_again() -> None:
    console = Console()
    console.does(RunCommands, ItemStatus.IN_PROGRESS)
    console.does(RevokeByCommands, ItemStatus.REVOKING)
    console.does(RunCommands, ItemStatus.IN_PROGRESS)

    assert console.broken() == []


@pytest.mark.parametrize("times", [2, 3])
def test_what_was_not_revoked_is_not_run_again(times: int) -> None:
    console = Console()
    for _ in range(times):
        console.does(RunCommands, ItemStatus.IN_PROGRESS)
    console.does(RevokeByCommands, ItemStatus.REVOKING)
    console.does(RunCommands, ItemStatus.IN_PROGRESS)

    assert console.broken() == [f"the commands of item 1 were run {times} times"]


class Told:
    """What the warehouse reads about an order's item."""

    def __init__(self) -> None:
        world: Any = SimpleNamespace(
            rng_of=lambda _: SimpleNamespace(random=lambda: 1.0), readers=[], keep=lambda coroutine: coroutine.close()
        )
        self.warehouse = Warehouse(world, "s/mug", COURSE)

    def of(self, type: str, **fact: Any) -> None:
        headers = (("ce_type", f"item.{type}".encode()),)
        body = orjson.dumps({"item": "1", **fact})
        self.warehouse.read(BusRecord(EVENTS.name, 0, 0, b"o", headers, body, datetime(2026, 1, 1, tzinfo=UTC)))

    def broken(self, version: int) -> list[str]:
        item = Item("1", "rank", "Rank", 1, action=GIVE, version=version)
        found: Any = SimpleNamespace(of=lambda _: {"o": Delivery(Stage.PAID, items=(item,))})
        trial: Any = SimpleNamespace(shop=SimpleNamespace(warehouse=self.warehouse))
        return [text for _, _, text in delivered_as_bought(trial, found)]


def test_what_was_not_configured_when_it_was_bought_is_delivered_as_it_is_configured_later() -> None:
    told = Told()
    told.of("waiting", code="not_configured")
    told.of("retried", configuration=1)
    told.of("retried", configuration=1)  # the record came twice

    assert told.broken(1) == []


def test_what_was_configured_is_not_replaced_unasked_neither_at_once_nor_later() -> None:
    told, later = Told(), Told()
    told.of("retried", configuration=2)
    later.of("waiting", code="not_configured")
    later.of("retried", configuration=1)
    later.of("retried", configuration=2)

    for each in (told, later):
        assert each.broken(2) == ["item 1 has configuration 2, without being asked for"]


def test_a_code_that_two_items_have_had_is_found_although_one_was_revoked() -> None:
    def had(status: ItemStatus, **given: Any) -> Delivery:
        item = Item("1", "key", "Key", 1, status=status, instructions=Instructions(kind="code", **given))
        return Delivery(Stage.PAID, "s", items=(item,))

    def broken(*deliveries: Delivery) -> list[str]:
        found = {f"o-{number}": delivery for number, delivery in enumerate(deliveries, 1)}
        evidence = SimpleNamespace(of=lambda kind: found)
        return [text for *_, text in codes_of_two(cast(Any, evidence))]

    first = had(ItemStatus.REVOKED, code="A, B", codes=("A", "B"))
    assert broken(first, had(ItemStatus.DELIVERED, code="C")) == []
    assert broken(first, had(ItemStatus.DELIVERED, code="B")) == ["item 1 has B, which o-1 1 has had"]
