"""A Discord server with a bot, as far as roles need it: `python -m deploy.sandboxes.discord`.

GET     /discord/api/v10/users/@me  ·  /guilds/{guild}  ·  /guilds/{guild}/roles  ·  /guilds/{guild}/members/{user}
PUT     /discord/api/v10/guilds/{guild}/members/{user}/roles/{role};  DELETE removes it
GET     /discord/members                    {"members": {"<user>": ["<role>", …]}}
PUT     /control/discord                    {"answer": 500, "delay": 1.5, "times": 3, "every": 5};  DELETE ends it
PUT     /control/discord/server             {"token", "may_manage_roles", "bot_position", "has_left", "calls"}

Everyone has joined the server, unless `has_left` names them. `calls` are those that a bucket takes in a second.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from deploy.sandboxes.faults import Faults
from deploy.sandboxes.journal import Journal
from deploy.sandboxes.server import arguments_of, fault_routes, parsed, reply, run_alone

ROOT = "/discord/api/v10"
GUILD, BOT, OWNER = "613425648685547541", "613425648685547542", "613425648685547543"
VIP, BOTS_ROLE, ADMIN = "613425648685547544", "613425648685547545", "613425648685547546"
TOKEN = "sandbox-bot-token"  # noqa: S105  (of the sandbox)
MANAGE_ROLES, ADMINISTRATOR = 1 << 28, 1 << 3
PERIOD = 1.0
"""Seconds after which a bucket is full again."""
Handler = Callable[[web.Request], Awaitable[web.Response]]


class Server(BaseModel):
    """What tests change about it."""

    model_config = ConfigDict(extra="forbid")

    token: str = TOKEN
    may_manage_roles: bool = True
    bot_position: int = Field(default=5, ge=1, le=8)
    """VIP is at 3, the administrators' role at 9."""
    has_left: list[str] = Field(default_factory=list)
    calls: int = Field(default=50, ge=1)


class Refused(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message}


class DiscordServer:
    """Roles of members, kept in `discord.jsonl`."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.faults = Faults()
        self.server = Server()
        self.reasons: list[str] = []
        """Of the server's audit log."""
        self._clock = clock
        self._journal = Journal(folder / "discord.jsonl")
        self._members: defaultdict[str, set[str]] = defaultdict(set)
        self._buckets: dict[str, tuple[float, int]] = {}
        """Since when, and how many calls, by route."""
        self.changes = 0
        for _, record in self._journal.replay():
            self._apply(record)

    def roles_of(self, user: str) -> set[str]:
        return set(self._members[user])

    def close(self) -> None:
        self._journal.close()

    def _apply(self, record: dict[str, Any]) -> None:
        roles = self._members[record["user"]]
        (roles.add if record["does"] == "add" else roles.discard)(record["role"])
        self.changes += 1

    def open_routes(self) -> Sequence[web.RouteDef]:
        role = f"{ROOT}/guilds/{{guild}}/members/{{user}}/roles/{{role}}"
        return [
            web.get(f"{ROOT}/users/@me", self._bots(self._me, "me")),
            web.get(f"{ROOT}/guilds/{{guild}}", self._bots(self._guild, "guild")),
            web.get(f"{ROOT}/guilds/{{guild}}/roles", self._bots(self._roles, "roles")),
            web.get(f"{ROOT}/guilds/{{guild}}/members/{{user}}", self._bots(self._member, "member")),
            web.put(role, self._bots(self._change("add"), "role")),
            web.delete(role, self._bots(self._change("remove"), "role")),
        ]

    def guarded_routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get("/discord/members", self._list),
            web.put("/control/discord/server", self._set),
            *fault_routes("discord", lambda _: self.faults),
        ]

    def health(self) -> dict[str, int]:
        return {"discord": self.changes}

    # What bots ask

    def _bots(self, handler: Handler, route: str) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            headers, limited = self._limited(route)
            status = await self.faults.strike()
            try:
                if limited:
                    made = limited
                elif status is not None:
                    made = reply({"code": 0, "message": f"{status}: as the test asked for"}, status)
                else:
                    self._check(request)
                    made = await handler(request)
            except Refused as refused:
                made = reply(refused.body, refused.status)
            made.headers.update(headers)
            return made

        return answer

    def _limited(self, route: str) -> tuple[dict[str, str], web.Response | None]:
        now, calls = self._clock(), self.server.calls
        since, made = self._buckets.get(route, (now, 0))
        if now - since >= PERIOD:
            since, made = now, 0
        left = max(0.0, PERIOD - (now - since))
        self._buckets[route] = (since, made + 1)
        headers = {
            "X-RateLimit-Limit": str(calls),
            "X-RateLimit-Remaining": str(max(0, calls - made - 1)),
            "X-RateLimit-Reset": f"{time.time() + left:.3f}",
            "X-RateLimit-Reset-After": f"{left:.3f}",
            "X-RateLimit-Bucket": f"sandbox-{route}",
        }
        if made < calls:
            return headers, None
        body = {"code": 0, "message": "You are being rate limited.", "retry_after": round(left, 3), "global": False}
        return headers | {"Retry-After": str(int(left) + 1), "X-RateLimit-Scope": "user"}, reply(body, 429)

    def _check(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bot {self.server.token}":
            raise Refused(401, 0, "401: Unauthorized")
        for name, value in request.match_info.items():
            if not (value.isascii() and value.isdigit() and value == str(int(value))):
                raise Refused(400, 50035, f"Invalid Form Body: {name} is no snowflake")
        if request.match_info.get("guild", GUILD) != GUILD:
            raise Refused(404, 10004, "Unknown Guild")

    async def _me(self, _: web.Request) -> web.Response:
        return reply(user(BOT, "Sandbox Bot") | {"mfa_enabled": False, "locale": "en-US", "bot": True})

    async def _guild(self, _: web.Request) -> web.Response:
        return reply(guild(self._role_list()))

    async def _roles(self, _: web.Request) -> web.Response:
        return reply(self._role_list())

    async def _member(self, request: web.Request) -> web.Response:
        id = request.match_info["user"]
        self._known(id)
        roles = {BOTS_ROLE} if id == BOT else self._members[id]
        return reply(member(id, sorted(roles)))

    def _change(self, does: str) -> Handler:
        async def change(request: web.Request) -> web.Response:
            id, role = request.match_info["user"], request.match_info["role"]
            positions = {each["id"]: each["position"] for each in self._role_list()}
            self._known(id)
            if role not in positions:
                raise Refused(404, 10011, "Unknown Role")
            if not self.server.may_manage_roles or not 0 < positions[role] < self.server.bot_position:
                raise Refused(403, 50013, "Missing Permissions")
            if (role in self._members[id]) != (does == "add"):
                record = {"does": does, "user": id, "role": role}
                self._journal.append(record)
                self._apply(record)
            self.reasons.append(unquote(request.headers.get("X-Audit-Log-Reason", "")))
            return web.Response(status=204)

        return change

    def _known(self, id: str) -> None:
        if id in self.server.has_left:
            raise Refused(404, 10007, "Unknown Member")

    def _role_list(self) -> list[dict[str, Any]]:
        may = MANAGE_ROLES if self.server.may_manage_roles else 0
        return [
            role(GUILD, "@everyone", 0, 0),
            role(VIP, "VIP", 3, 0),
            role(BOTS_ROLE, "Sandbox Bot", self.server.bot_position, may) | {"managed": True},
            role(ADMIN, "Administrators", 9, ADMINISTRATOR),
        ]

    # What tests ask

    async def _list(self, _: web.Request) -> web.Response:
        return reply({"members": {id: sorted(roles) for id, roles in self._members.items() if roles}})

    async def _set(self, request: web.Request) -> web.Response:
        self.server = await parsed(request, Server)
        return reply({})


def user(id: str, name: str) -> dict[str, Any]:
    unset = dict.fromkeys(("avatar", "global_name", "primary_guild"))
    return unset | {"id": id, "username": name, "discriminator": "0", "public_flags": 0, "flags": 0}


def member(id: str, roles: list[str]) -> dict[str, Any]:
    unset = dict.fromkeys(("avatar", "banner", "communication_disabled_until", "nick", "premium_since"))
    given = {"flags": 0, "joined_at": "2026-01-01T00:00:00+00:00", "pending": False, "mute": False, "deaf": False}
    return unset | given | {"roles": roles, "user": user(id, f"user-{id[-4:]}")}


def role(id: str, name: str, position: int, permissions: int) -> dict[str, Any]:
    colors = {"primary_color": 0, "secondary_color": None, "tertiary_color": None}
    fixed = {"color": 0, "colors": colors, "hoist": False, "managed": False, "mentionable": False, "flags": 0}
    unset = dict.fromkeys(("icon", "unicode_emoji"))
    return fixed | unset | {"id": id, "name": name, "position": position, "permissions": str(permissions)}


def guild(roles: list[dict[str, Any]]) -> dict[str, Any]:
    unset = dict.fromkeys(
        "icon description home_header splash discovery_splash banner application_id afk_channel_id system_channel_id "
        "widget_channel_id max_presences vanity_url_code rules_channel_id safety_alerts_channel_id "
        "public_updates_channel_id incidents_data".split()
    )
    none = dict.fromkeys(
        "system_channel_flags verification_level default_message_notifications mfa_level explicit_content_filter "
        "premium_tier premium_subscription_count nsfw_level".split(),
        0,
    )
    given = {
        **{"id": GUILD, "name": "Sandbox Server", "owner_id": OWNER, "region": "deprecated", "roles": roles},
        **{"afk_timeout": 300, "preferred_locale": "en-US", "max_members": 500_000},
        **{"max_stage_video_channel_users": 50, "max_video_channel_users": 25},
        **{"widget_enabled": False, "premium_progress_bar_enabled": False, "nsfw": False},
        **{"features": [], "emojis": [], "stickers": []},
    }
    return unset | none | given


if __name__ == "__main__":
    run_alone(arguments_of("deploy.sandboxes.discord", "A Discord server with a bot."), DiscordServer)
