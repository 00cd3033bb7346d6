"""Roles on a Discord server. Part of fulfillment's messages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from shared.contracts.templates import Template
from shared.contracts.values import Given, Id, Text, Url
from shared.core.descriptions import Means

SNOWFLAKE = r"^[1-9][0-9]{16,19}$"
"""https://docs.discord.com/developers/reference#snowflakes: 64 bits; those of today have 17 to 20 digits."""
Snowflake = Annotated[str, StringConstraints(pattern=SNOWFLAKE), Means("An id of Discord's.")]


class DiscordRole(Given):
    """A role on a Discord server, which the customer has joined already. It is removed when the item is revoked, unless
    another delivered item of the store gives the same role to the same member."""

    kind: Literal["discord_role"] = "discord_role"
    """The kind of action."""
    connection: Id
    """The store's connection to the server: `discord.configure`."""
    role: Snowflake
    """The role's id on Discord."""
    member: Template = "{{custom.discord}}"
    """The id of the customer's user on Discord."""
    enter: Url | None = None
    """Where the customer uses the role."""
    note: Text | None = None
    """A text for the customer."""
