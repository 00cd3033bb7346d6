"""What the routes about people share, and what the service runs of it: who is known, and what is cleared away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.delay import FORGOTTEN
from services.staff.people.open_id import OpenIdProvider
from services.staff.people.passwords import Passwords
from services.staff.people.recognition import Recognition
from services.staff.people.rules import PeopleRules, utc_now
from services.staff.people.tables import api_tokens, challenges, invitations, sessions, sign_in_attempts


class People:
    """`writes`: the engine that may write. `Service.known` is `recognition.find`; `upkeep` and `close` are the
    service's, too."""

    def __init__(
        self,
        writes: AsyncEngine,
        rules: PeopleRules | None = None,
        now: Callable[[], datetime] = utc_now,
        passwords: Passwords | None = None,
        provider: OpenIdProvider | None = None,
    ) -> None:
        self.writes, self.rules, self.now = writes, rules or PeopleRules(), now
        self.passwords = passwords or Passwords()
        self.provider = provider
        self.recognition = Recognition(writes, self.rules, now)

    async def upkeep(self, now: datetime) -> None:
        """Remove what has ended."""
        async with self.writes.begin() as connection:
            for table in (sessions, api_tokens, invitations, challenges):
                await connection.execute(sa.delete(table).where(table.c.expires_at < now))
            await connection.execute(sa.delete(sessions).where(sessions.c.seen_at < now - self.rules.idle))
            old = sign_in_attempts.c.last_at < now - FORGOTTEN
            await connection.execute(sa.delete(sign_in_attempts).where(old))

    async def close(self) -> None:
        self.passwords.close()
        if self.provider is not None:
            await self.provider.close()
