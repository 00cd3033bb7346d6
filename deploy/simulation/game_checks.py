"""What must hold of the game server's console, when all is at rest."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploy.check.evidence import Findings
from deploy.simulation.game import GameConsole
from services.fulfillment.domain.delivery import Delivery, ItemStatus
from shared.contracts.rcon import RconCommands

_CONFIGURED = re.compile(r'lp user [\w.+-]+ parent (add|remove) vip|say "[^";\n]* is a VIP"')


def commands_as_configured(console: GameConsole) -> Iterator[tuple[str, str]]:
    """No customer's field can add a command."""
    for order, command in console.commands:
        if not _CONFIGURED.fullmatch(command):
            yield order, f"the console ran {command!r}, which is not configured"


def commands_run_once(console: GameConsole) -> Iterator[tuple[str, str]]:
    """What must not be run twice is run once, and once more each time that it was revoked and is granted again."""
    for (order, item), runs in console.most_runs.items():
        if runs > 1:
            yield order, f"the commands of item {item} were run {runs} times"


def ranks_as_recorded(console: GameConsole, found: Findings) -> Iterator[tuple[str, str]]:
    """Who has a rank is who was given it, and not revoked again."""
    for key, delivery in found.of(Delivery).items():
        for item in delivery.items:
            unclear = item.in_doubt or item.status is ItemStatus.REVOCATION_FAILED or item.calls == 0
            if not isinstance(item.action, RconCommands) or unclear:
                continue
            has, settled = console.has[key, item.id], item.status is ItemStatus.DELIVERED and not item.answers
            if has != (item.status is ItemStatus.DELIVERED) and not settled:
                yield key, f"item {item.id} is {item.status}, but the rank is {has}"
