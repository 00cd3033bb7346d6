"""A game server in the simulation: what was run on its console, and for whom."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta

from deploy.simulation.fault_profile import FaultProfile
from deploy.simulation.history import History
from deploy.simulation.outside import Outside, Reply
from services.fulfillment.domain.delivery import Item, ItemStatus
from services.fulfillment.domain.game_console import UnsafeField, console_commands
from services.fulfillment.domain.rcon_operations import (
    PLAYER_OFFLINE,
    REVOCATIONS,
    SERVER_OFFLINE,
    CheckServer,
    RconOperation,
    RunRepeatableCommands,
)
from services.fulfillment.game_servers import GIVEN
from shared.contracts.connections import ConfigureServer
from shared.contracts.rcon import RconCommands
from shared.core import NoOutcome, NotDone, Outcome, Retry

PLAYERS = ("Ada_1", "Grace", "bo.b", "Linus", "x; op Eve", 'y" ; op Eve "', "z\nop Eve")
"""What customers write into the custom field; the last ones in bad faith."""

RANK = "rank"
"""Comes with some orders that name a player, well or in bad faith."""
GIVE = RconCommands(
    server="arena",
    commands=("lp user {{custom.player}} parent add vip", 'say "{{custom.player}} is a VIP"'),
    revoke_commands=("lp user {{custom.player}} parent remove vip",),
    needs_player="{{custom.player}}",
    wait_for=timedelta(hours=2),
)
ARENA = ConfigureServer(name="Arena", game="source", host="arena.example", port=27015, password="arena")  # noqa: S106


class GameConsole(Outside):
    name = "console"

    def __init__(
        self,
        profile: FaultProfile,
        history: History,
        rng: random.Random,
        item_of: Callable[[str, str], Item | None],
    ) -> None:
        super().__init__(profile, history, rng)
        self._item_of = item_of
        self.commands: list[tuple[str, str]] = []
        """All that were run, each with its order."""
        self.runs: Counter[tuple[str, str]] = Counter()
        """Of what must not be run twice, by order and item, since it was last revoked."""
        self.most_runs: Counter[tuple[str, str]] = Counter()
        """The most that there ever were, before and after revocations."""
        self.has: dict[tuple[str, str], bool] = defaultdict(bool)

    def do(self, operation: RconOperation | CheckServer, key: str) -> Reply:
        if isinstance(operation, CheckServer):
            return CheckServer.Done("There are 0 of a max of 20 players online:")
        item, place = self._item_of(operation.order, operation.item), (operation.order, operation.item)
        revokes = isinstance(operation, REVOCATIONS)
        needed = (ItemStatus.REVOKING,) if revokes else GIVEN
        if item is None or item.calls != operation.number or item.status not in needed:
            return type(operation).Failed("not_needed", "Not run.")
        if self.rng.random() < 0.2:
            if revokes:
                return Retry("the server is offline")
            code = self.rng.choice((SERVER_OFFLINE, PLAYER_OFFLINE))
            return type(operation).Failed(code, "Start the server, or wait for the player.")
        try:
            commands = console_commands(operation.commands, dict(operation.fields), "source")
        except UnsafeField as unsafe:
            return type(operation).Failed("field_unsafe", f"{unsafe.name} is unsafe")
        self.commands += [(operation.order, command) for command in commands]
        self.has[place] = not revokes
        if revokes:
            self.runs[place] = 0
        elif not isinstance(operation, RunRepeatableCommands):
            self.runs[place] += 1
            self.most_runs[place] = max(self.most_runs[place], self.runs[place])
        return type(operation).Done(commands)

    async def find(self, operation: RconOperation | CheckServer, key: str) -> Outcome | NotDone | NoOutcome:
        """Consoles keep no books."""
        return NotDone() if isinstance(operation, CheckServer) else type(operation).Unresolved("look at the server")
