"""Connections of stores to Discord servers: which server, and by which bot."""

from __future__ import annotations

from dataclasses import dataclass

from services.fulfillment.domain.keys import row_key
from shared.contracts.connections import ConfigureDiscord
from shared.core import Context, Core, Decision, Refused


@dataclass(frozen=True, slots=True)
class DiscordConnection:
    """Key: `<store>/discord/<connection>`."""

    guild: str
    """The server's id."""
    token: str
    """The name of the secret that holds the bot's token."""


discord_connections = Core(DiscordConnection)


def connection_key(store: str, connection: str) -> str:
    return row_key(store, f"discord/{connection}")


@discord_connections.begins(ConfigureDiscord)
def configured(
    connection: DiscordConnection | None, command: ConfigureDiscord, context: Context
) -> Decision[DiscordConnection] | Refused:
    store, _, rest = context.key.partition("/")
    name = rest.removeprefix("discord/")
    if not (store and name and name != rest and "/" not in name):
        return Refused("wrong_key", "The key must be <store>/discord/<connection>.")
    return Decision(DiscordConnection(command.guild, command.token))
