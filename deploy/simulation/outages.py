"""Outages of outside systems that last: answers lost for minutes, silence, slowness, and faults of the operator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from deploy.simulation.outage import MARK, Outage
from deploy.simulation.world import World

OPERATOR_TEXTS = {
    "stripe": "Stripe answered 401: check the API key",
    "mails": "the mail server refuses the login (535): check the password",
    "platform": "the course platform answered 404: check its URL",
    "webhook:shop": "403",
}


class Outages:
    """Strikes outside systems, which recover after a while."""

    def __init__(self, world: World, resume_all: Callable[[], Awaitable[None]]) -> None:
        self.world, self.resume_all = world, resume_all
        self.rng = world.rng_of("outages")
        self.strikes = (
            (1, self.answers_lost),
            (1, self.unreachable),
            (1, self.silent_endpoint),
            (1, self.slow),
            (1, self.operators_fault),
        )

    async def answers_lost(self) -> None:
        """Charges, refunds, mails and grants are carried out; no response comes, and callbacks are held back."""
        place = self.rng.choice(("stripe", "stripe", "stripe", "mails", "platform"))
        await self._last(place, Outage("answers_lost"), self.rng.choice((60.0, 60.0, 300.0, 1800.0, 3600.0)))

    async def unreachable(self) -> None:
        place = self.rng.choice(("stripe", "mails", "platform", "webhook:crm"))
        await self._last(place, Outage("down"), self.rng.choice((60.0, 300.0, 1800.0)))

    async def silent_endpoint(self) -> None:
        """One endpoint takes connections and never answers; the others are well."""
        place = self.rng.choice(("webhook:shop", "webhook:crm", "mails"))
        await self._last(place, Outage("silent"), self.rng.choice((60.0, 600.0, 3600.0)))

    async def slow(self) -> None:
        place = self.rng.choice(("stripe", "mails", "platform", "webhook:shop"))
        await self._last(place, Outage("slow"), self.rng.choice((60.0, 600.0)))

    async def operators_fault(self) -> None:
        """A key expired, an address is wrong: staff fix it after a while."""
        place = self.rng.choice(("stripe", "stripe", "mails", "platform"))
        fault = Outage("operator", f"{OPERATOR_TEXTS[place]} ({MARK})")
        await self._last(place, fault, self.rng.choice((5.0, 120.0, 900.0, 5000.0)))
        await self.resume_all()

    async def _last(self, place: str, outage: Outage, seconds: float) -> None:
        if place in self.world.profile.outages:
            return
        self.world.history.fault(f"outage_{outage.kind}", f"{place} for {seconds:g} s")
        self.world.profile.outages[place] = outage
        await asyncio.sleep(seconds * (0.5 + self.rng.random()))
        self.world.profile.outages.pop(place, None)
        self.world.history.add("world", "", f"{place} is well again")
