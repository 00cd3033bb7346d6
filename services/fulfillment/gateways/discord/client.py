"""Discord's HTTP API: https://docs.discord.com/developers/reference and .../topics/rate-limits.

No call is made before the bucket of its route, or the bot as a whole, may be called again: as the headers of earlier
answers say, in this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

from shared.shell.http.outbound import Outbound, Response, retry_after

TIMEOUT = 15.0
MAX_REASON = 512
LONGEST_WAIT = 3600.0


@dataclass(slots=True)
class Bucket:
    """How many calls it takes until when, in seconds of the clock."""

    remaining: int
    resets_at: float


@dataclass(slots=True)
class RateLimits:
    """Of all bots. A route is a method with a path without ids; its bucket is known after its first answer, and is one
    for each server."""

    clock: Callable[[], float] = time.monotonic
    buckets: dict[tuple[str, str, str], Bucket] = field(default_factory=dict)
    names: dict[tuple[str, str], str] = field(default_factory=dict)
    """Of buckets, by bot and route."""
    paused: dict[str, float] = field(default_factory=dict)
    """Bots that may make no call at all, and until when."""

    def wait(self, bot: str, route: str, guild: str) -> float:
        """Seconds until a call may be made; 0: now, and it counts."""
        now = self.clock()
        if (pause := self.paused.get(bot, now) - now) > 0:
            return pause
        bucket = self.buckets.get(self._key(bot, route, guild))
        if bucket is None or bucket.resets_at <= now:
            return 0.0
        if bucket.remaining <= 0:
            return bucket.resets_at - now
        bucket.remaining -= 1
        return 0.0

    def learn(self, bot: str, route: str, guild: str, reply: Response) -> float | None:
        """What an answer says. Of a 429: after how many seconds to call again."""
        now, headers = self.clock(), reply.headers
        if name := headers.get("X-RateLimit-Bucket"):
            self.names[bot, route] = name
        left, after = _number(headers.get("X-RateLimit-Remaining")), _number(headers.get("X-RateLimit-Reset-After"))
        key = self._key(bot, route, guild)
        if left is not None and after is not None:
            known = self.buckets.get(key)
            is_same = known is not None and known.resets_at > now
            remaining = min(known.remaining, int(left)) if known and is_same else int(left)
            self.buckets[key] = Bucket(remaining, now + after)
        if reply.status != 429:
            return None
        body = json_of(reply)
        said = _number(body.get("retry_after"))
        wait = min(said if said is not None else retry_after(reply, LONGEST_WAIT) or 1.0, LONGEST_WAIT)
        if body.get("global") is True or headers.get("X-RateLimit-Global", "").lower() == "true":
            self.paused[bot] = now + wait
        else:
            self.buckets[key] = Bucket(0, now + wait)
        return wait

    def _key(self, bot: str, route: str, guild: str) -> tuple[str, str, str]:
        return bot, self.names.get((bot, route), route), guild


@dataclass(frozen=True, slots=True)
class Limited:
    """No call was made, or it was not let through. Seconds until the next may be."""

    after: float
    called: bool


class DiscordClient:
    """Calls by one bot or another. Raises OutboundError."""

    def __init__(
        self, outbound: Outbound, url: str, *, timeout: float = TIMEOUT, limits: RateLimits | None = None
    ) -> None:
        self._outbound = outbound
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._limits = limits or RateLimits()

    async def call(
        self, method: str, path: str, token: str, *, bot: str, route: str, guild: str = "", reason: str = ""
    ) -> Response | Limited:
        """`bot` and `route` name what is limited together; `reason` stands in the server's audit log."""
        route = f"{method} {route}"
        if (wait := self._limits.wait(bot, route, guild)) > 0:
            return Limited(wait, called=False)
        headers = {
            "Authorization": f"Bot {token}",
            "User-Agent": "DiscordBot (https://github.com/orderbus/orderbus, 1)",
        }
        if reason:
            headers["X-Audit-Log-Reason"] = quote(reason, safe=" ")[:MAX_REASON]
        reply = await self._outbound.request(method, self._url + path, None, headers, timeout=self._timeout)
        after = self._limits.learn(bot, route, guild, reply)
        return reply if after is None else Limited(after, called=True)

    async def close(self) -> None:
        await self._outbound.close()


def json_of(reply: Response) -> Mapping[str, Any]:
    """The body, if it is an object."""
    try:
        found = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def error_code(reply: Response) -> int:
    """https://docs.discord.com/developers/topics/opcodes-and-status-codes#json; 0 where there is none."""
    code = json_of(reply).get("code")
    return code if isinstance(code, int) else 0


def _number(text: object) -> float | None:
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < 1e9 else None
