"""What is wrong with a connection to Discord, and what staff can do about it: for calls that were refused, and for the
test of a connection before anything is sold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from services.fulfillment.gateways.discord.client import DiscordClient, error_code
from shared.shell.http.outbound import OutboundError, Response

UNKNOWN_GUILD, UNKNOWN_MEMBER, UNKNOWN_ROLE = 10004, 10007, 10011
MISSING_ACCESS, MISSING_PERMISSIONS = 50001, 50013
ADMINISTRATOR, MANAGE_ROLES = 1 << 3, 1 << 28
"""https://docs.discord.com/developers/topics/permissions#permissions-bitwise-permission-flags."""


@dataclass(frozen=True, slots=True)
class Bot:
    name: str
    """`<store>/<connection>`."""
    guild: str
    secret: str
    """The name of the secret that holds its token."""
    token: str

    def __repr__(self) -> str:
        return f"Bot({self.name})"


@dataclass(frozen=True, slots=True)
class Remedy:
    code: str
    text: str


def token_fault(token: str) -> bool:
    return not (token.isascii() and token.isprintable() and " " not in token and token)


def remedy(status: int, code: int, role: str, guild: str) -> Remedy:
    """Of a call that was refused, by Discord's own code."""
    found = {
        UNKNOWN_MEMBER: Remedy(
            "unknown_member",
            "The customer is not on the Discord server. Ask them to join it, then retry the order; or check their id.",
        ),
        10013: Remedy(
            "unknown_user", "Discord has no user with the id that the customer gave. Ask for it, give the role by hand."
        ),
        UNKNOWN_ROLE: Remedy(
            "unknown_role",
            f"The server has no role {role} any more. Correct the role in the product, then retry the order with the "
            "latest configuration.",
        ),
        UNKNOWN_GUILD: Remedy(
            "unknown_guild",
            f"The bot is not on the server {guild}, or the server is gone. Invite the bot, or correct the connection; "
            "then retry the order.",
        ),
        MISSING_ACCESS: Remedy(
            "missing_access", f"The bot has no access to the server {guild}. Invite it there, then retry the order."
        ),
        MISSING_PERMISSIONS: Remedy(
            "missing_permission",
            "The bot may not give this role. Give the bot the permission Manage Roles, and move its own role above "
            "this one (Server Settings, Roles); then retry the order.",
        ),
    }.get(code)
    if found:
        return found
    if status == 403:
        return Remedy("forbidden", "The bot may not do this. Check its permissions, then retry the order.")
    return Remedy("rejected", f"It rejects the request (code {code}). Find the reason there, then retry the order.")


@dataclass(frozen=True, slots=True)
class CheckedRole:
    """A role of the Discord server."""

    id: str
    """The role's id on Discord."""
    name: str
    """The role's name."""
    position: int
    """Its place in the server's hierarchy: higher numbers are above."""
    can_be_given: bool
    """By the bot: its own highest role is above, and no integration manages it."""


@dataclass(frozen=True, slots=True)
class DiscordCheck:
    """`problems` say what to fix; none: roles that can be given will be."""

    status: Literal["ok", "faulty"]
    """`ok`, or `faulty`: then `problems` say what to fix."""
    problems: tuple[str, ...] = ()
    """What to fix, for staff."""
    bot: str | None = None
    """The bot's name on Discord; null: it could not log in."""
    guild: str | None = None
    """The server's name on Discord; null: the bot does not see it."""
    roles: tuple[CheckedRole, ...] = ()
    """The highest first."""


class _Unanswered(Exception):
    """Says what to fix."""


async def diagnosis(client: DiscordClient, bot: Bot, role: str) -> str | None:
    """Why a role cannot be given, as the server's roles tell; None if they do not tell."""
    check = await checked(client, bot)
    found = next((one for one in check.roles if one.id == role), None)
    if check.roles and found is None:
        return remedy(404, UNKNOWN_ROLE, role, bot.guild).text
    if check.problems:
        return f"{check.problems[0]} Then retry the order."
    if found and not found.can_be_given:
        return (
            f"Role {found.name} is above the bot's own role, or belongs to an integration. Move the bot's role above "
            "it (Server Settings, Roles), then retry the order."
        )
    return None


async def checked(client: DiscordClient, bot: Bot) -> DiscordCheck:
    """The token, the server, and which of its roles the bot can give."""
    name = guild_name = None
    try:
        me = await _read(client, bot, "/users/@me", "/users/@me")
        name = str(me.get("username", ""))
        guild = await _read(client, bot, f"/guilds/{bot.guild}", "/guilds/{guild}")
        guild_name = str(guild.get("name", ""))
        path = f"/guilds/{bot.guild}/members/{me.get('id')}"
        member = await _read(client, bot, path, "/guilds/{guild}/members/{user}")
        roles = await _read_list(client, bot, f"/guilds/{bot.guild}/roles", "/guilds/{guild}/roles")
    except _Unanswered as problem:
        return DiscordCheck("faulty", (str(problem),), name, guild_name)
    has = member.get("roles")
    own = [role for role in roles if role["id"] == bot.guild or (isinstance(has, list) and role["id"] in has)]
    highest = max((_whole(role.get("position")) for role in own), default=0)
    may = any(_whole(role.get("permissions")) & (ADMINISTRATOR | MANAGE_ROLES) for role in own)
    found = [
        CheckedRole(
            str(role["id"]),
            str(role.get("name", "")),
            _whole(role.get("position")),
            may and _whole(role.get("position")) < highest and not role.get("managed") and role["id"] != bot.guild,
        )
        for role in sorted(roles, key=lambda role: -_whole(role.get("position")))
    ]
    problems = () if may else ("The bot lacks the permission Manage Roles. Give it to the bot's role.",)
    return DiscordCheck("ok" if may else "faulty", problems, name, guild_name, tuple(found))


def _whole(said: object) -> int:
    """0 for what is no whole number."""
    text = str(said)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 40 else 0


async def _read(client: DiscordClient, bot: Bot, path: str, route: str) -> Mapping[str, Any]:
    found = await _get(client, bot, path, route)
    if not isinstance(found, dict):
        raise _Unanswered("Discord's answer cannot be read. Try again later.")
    return found


async def _read_list(client: DiscordClient, bot: Bot, path: str, route: str) -> list[dict[str, Any]]:
    found = await _get(client, bot, path, route)
    if not isinstance(found, list):
        raise _Unanswered("Discord's answer cannot be read. Try again later.")
    return [one for one in found if isinstance(one, dict) and "id" in one]


async def _get(client: DiscordClient, bot: Bot, path: str, route: str) -> Any:
    try:
        reply = await client.call("GET", path, bot.token, bot=bot.name, route=route, guild=bot.guild)
    except OutboundError as error:
        raise _Unanswered(f"Discord cannot be reached: {error}.") from None
    if not isinstance(reply, Response):
        raise _Unanswered(f"Discord's rate limit is reached. Try again in {reply.after:.0f} seconds.")
    if reply.status == 401:
        raise _Unanswered(f"The bot's token is invalid. Set the store's secret {bot.secret} again.")
    if reply.status in (403, 404):
        code = error_code(reply)
        raise _Unanswered(remedy(reply.status, code or UNKNOWN_GUILD, "", bot.guild).text)
    if reply.status != 200:
        raise _Unanswered(f"Discord answered {reply.status}. Try again later.")
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        raise _Unanswered("Discord's answer cannot be read. Try again later.") from None
