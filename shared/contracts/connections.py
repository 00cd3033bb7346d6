"""Commands to fulfillment about what it delivers by: game servers, servers on Discord, carriers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.contracts.carriers import TrackingPage
from shared.contracts.discord import Snowflake
from shared.contracts.fulfillment import COMMANDS
from shared.contracts.rcon import Game, ServerHost
from shared.contracts.values import Id, Line
from shared.core import Command


class ConfigureServer(Command, type="server.configure", topic=COMMANDS):
    """Set how a game server's console is reached; it is tested at once. Key: `<store>/server/<id>`."""

    name: Line = Field(min_length=1)
    """The server's name, as staff call it."""
    game: Game
    """The game, which decides how the server reads commands."""
    host: ServerHost
    """The server's host name or IP address."""
    port: Annotated[int, Field(ge=1, le=65535)]
    """The port of RCON, not of the game."""
    password: Id
    """The name of the store's secret that is its RCON password, never the password itself."""


class TestServer(Command, type="server.test", topic=COMMANDS):
    """Connect to a game server, log in and ask who is online; the result is part of its state. Key:
    `<store>/server/<id>`. Fulfillment also sends it to itself when commands meet a server that does not answer."""

    __test__ = False


class ConfigureDiscord(Command, type="discord.configure", topic=COMMANDS):
    """Connect a store to a Discord server. Key: `<store>/discord/<connection>`."""

    guild: Snowflake
    """The server's id."""
    token: Id
    """The name of the secret that holds the bot's token."""


class ConfigureCarrier(Command, type="carrier.configure", topic=COMMANDS):
    """Set the page on which a store's customers follow the parcels of a carrier. It counts for parcels that are sent
    from then on. Key: `<store>/carriers`."""

    carrier: Line = Field(min_length=1, pattern=r"\S")
    """As staff write it when they send a parcel, in capitals or not."""
    page: TrackingPage | None = None
    """Missing: the store has no page of its own any more. Fulfillment knows those of well-known carriers."""
