"""Outages of outside systems that last: answers lost for minutes, silence, slowness, and faults of the operator."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from deploy.simulation.world import World

OutageKind = Literal["answers_lost", "down", "silent", "slow", "operator"]
MARK = "for operators only"
"""Is in every text of an operator's fault: no customer may ever read it."""
OPERATOR_TEXTS = {
    "stripe": "Stripe answered 401: check the API key",
    "mails": "the mail server refuses the login (535): check the password",
    "platform": "the course platform answered 404: check its URL",
    "webhook:shop": "403",
}
CIRCUIT_AFTER = 8
"""Failures in a row after which a gateway makes no calls for a while."""
CIRCUIT_PAUSE = 5.0
ONE_TRIES = 60.0
"""Seconds that the others wait while one call tries."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What is wrong with an outside system. `answers_lost`: carried out, then the connection is closed. `down`: no
    connection. `silent`: no answer, nothing done. `slow`: well, but near the caller's timeout. `operator`: refused
    because of how we are set up."""

    kind: OutageKind
    text: str = ""


class Circuit:
    """As the gateways have one: after failures in a row no call is made for a while, then one at a time."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        """Seconds that a pause grows to."""
        self._failures = 0
        self._opens = 0.0

    def wait(self, now: float) -> float:
        """Seconds until a call makes sense; 0: now."""
        if self._failures < CIRCUIT_AFTER:
            return 0.0
        if now < self._opens:
            return self._opens - now
        self._opens = now + ONE_TRIES  # one call tries; the others wait for its outcome
        return 0.0

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now: float) -> None:
        self._failures += 1
        beyond = min(max(self._failures - CIRCUIT_AFTER, 0), 20)
        self._opens = now + min(CIRCUIT_PAUSE * 2**beyond, self._longest)


class Outages:
    """Strikes outside systems, and lets them recover after a while."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.rng_of("outages")
        self.strikes = (
            (1, self.answers_lost),
            (1, self.unreachable),
            (1, self.silent_endpoint),
            (1, self.slow),
            (1, self.operators_fault),
        )

    async def answers_lost(self) -> None:
        """Charges, refunds, emails and grants are carried out, but all responses are lost and callbacks held back."""
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
        await self.world.staff.resume_all()

    async def _last(self, place: str, outage: Outage, seconds: float) -> None:
        if place in self.world.profile.outages:
            return
        self.world.history.fault(f"outage_{outage.kind}", f"{place} for {seconds:g} s")
        self.world.profile.outages[place] = outage
        await asyncio.sleep(seconds * (0.5 + self.rng.random()))
        self.world.profile.outages.pop(place, None)
        self.world.history.add("world", "", f"{place} is well again")
