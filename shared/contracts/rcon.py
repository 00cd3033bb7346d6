"""Commands on game servers: how a product is delivered by them, and what a server is."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from shared.contracts.addresses import reach_of_host
from shared.contracts.templates import Template, console_command
from shared.contracts.values import Given, Id, Line, Wait

Game = Literal["minecraft", "source", "rust"]


def server_host(host: str) -> str:
    """Raises ValueError."""
    if reach_of_host(host) == "never":
        raise ValueError("is an address that is never called (link-local, multicast or reserved)")
    return host


ServerHost = Annotated[Line, AfterValidator(server_host)]
ConsoleCommand = Annotated[Template, AfterValidator(console_command), Field(min_length=1)]
"""One line for a game server's console: a literal word first. A placeholder stands for one argument, or within quotes
for a part of one."""
ConsoleCommands = Annotated[tuple[ConsoleCommand, ...], Field(max_length=20)]


class RconCommands(Given):
    """Commands on a game server's console, over RCON, in this order."""

    kind: Literal["rcon"] = "rcon"
    """The kind of action."""
    server: Id
    """The game server's id, as `server.configure` names it."""
    commands: ConsoleCommands = Field(min_length=1)
    """Run when the item is delivered."""
    revoke_commands: ConsoleCommands = ()
    """Run when access is revoked. Empty: nothing is done on the server then."""
    repeatable: bool = False
    """The commands do no harm when they are run twice: after a connection that broke off they are run again by
    themselves. Otherwise staff look at the server first."""
    needs_player: Template | None = None
    """Wait until this player is online: `{{custom.player}}`. In Rust a Steam id or a name."""
    wait_for: Wait = timedelta(days=3)
    """How long to wait for a player or server that is offline, at most. Then the item fails."""
    note: Template | None = None
    """What the customer reads when it is done."""
