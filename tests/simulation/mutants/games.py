"""Mutants of commands on game servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.fulfillment.domain import game_console
from services.fulfillment.domain.delivery import Item, ItemStatus
from services.fulfillment.domain.kinds.rcon import RconKind
from shared.contracts.fulfillment import Action
from tests.simulation.mutants.catalogue import instead, mutant


@mutant("a custom field adds a command on a game server", seeds=range(2, 10_000))
def unescaped_field() -> Iterator[None]:
    def as_it_is(value: str, place: Any) -> str:
        return value

    with instead(game_console, "_escaped", as_it_is):
        yield


@mutant("commands that may have been run are run again", slow=True, orders=40)
def run_again() -> Iterator[None]:
    def always(self: RconKind, item: Item, latest: Action | None) -> bool:
        return item.status is ItemStatus.FAILED

    with instead(RconKind, "can_restart", always):
        yield
