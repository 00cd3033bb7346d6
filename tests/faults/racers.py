"""Two racers for one order's money: a race is begun again and again, until each of both has won.

The first starts `offset` seconds after the second, or before it where that is negative: at random, within 50 ms around
the moment from which on it loses, which is learnt from race to race.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from deploy.client.http import ApiClient, Place, Problem
from deploy.client.storefront import Follower, Read
from deploy.demo.basket import person
from deploy.demo.shop import Order
from deploy.demo.stories import Visit
from shared.contracts.payments import CALLBACKS, EVENTS
from tests.faults.system import System
from tests.faults.table import LONG

RACES = 100 if LONG else 10
MOST = 5 * RACES
"""Races after which one that never won has lost."""
LANES = 10 if LONG else 5
"""Races of a kind at a time."""
SPREAD = 0.05
STEP = 0.005 if LONG else 0.02
"""Seconds by which the winner starts later the next time."""
Racer = Callable[[], Awaitable[object]]


@dataclass
class Race:
    """One race, and what each racer was answered: "" or the code of its refusal."""

    order: Order
    visit: Visit
    number: int
    offset: float
    answers: list[str] = field(default_factory=list)
    winner: str = ""
    trouble: str = ""

    async def run(self, first: Racer, second: Racer) -> None:
        starting = _starts(first, max(0.0, self.offset)), _starts(second, max(0.0, -self.offset))
        self.answers = list(await asyncio.gather(*starting))


async def _starts(racer: Racer, after: float) -> str:
    await asyncio.sleep(after)
    try:
        await racer()
    except Problem as refused:
        if refused.status >= 500:
            raise
        return refused.code
    return ""


@dataclass
class Money:
    """Where an order's money is: as payments tells staff, as the provider's books have it, as the order shows it."""

    payment: Mapping[str, Any]
    books: Sequence[Mapping[str, Any]]
    order: Mapping[str, Any]
    mails: Sequence[Mapping[str, Any]]
    events: Sequence[Read]

    def at_provider(self, what: str) -> int:
        return sum(intent[what] for intent in self.books)

    def events_of(self, type: str) -> list[Read]:
        return [event for event in self.events if event.type == type]

    def refunds(self, status: str) -> list[Mapping[str, Any]]:
        return [refund for refund in self.payment["refunds"] if refund["status"] == status]


Runs = Callable[["Track", Race], Awaitable[None]]
Verdict = Callable[[Race, Money], bool]


@dataclass(frozen=True)
class Kind:
    """A kind of race. `runs`: brings the order to the start, has both run, and says who won. `ends`: the statuses in
    which the order may rest. `right`: whether the answers and refunds fit together."""

    racers: tuple[str, str]
    runs: Runs
    skus: tuple[str, ...]
    ends: frozenset[str]
    right: Verdict
    store: str = ""
    lead: float = 0.0
    """Seconds by which the first racer starts later, at the beginning."""

    @property
    def name(self) -> str:
        return "/".join(self.racers)


@dataclass
class Track:
    """The running system, with both workers of payments reached, and the events that they publish."""

    system: System
    workers: tuple[ApiClient, ApiClient]
    follower: Follower
    events: dict[str, list[Read]] = field(default_factory=lambda: defaultdict(list))

    async def refunds(self, race: Race, who: int, amount: int | None = None, **body: object) -> None:
        """A refund by staff, through one of the workers."""
        body |= {"note": f"racer {who}"} | ({} if amount is None else {"amount": amount})
        await self.workers[who].command("payments", f"/orders/{race.order.id}/refund", body)

    async def cancels(self, race: Race) -> None:
        await self.system.edges.command("checkout", f"/orders/{race.order.id}/cancel", {"reason": "Changed my mind."})

    async def payment(self, race: Race) -> dict[str, Any]:
        return dict(await self.system.edges.get("payments", f"/orders/{race.order.id}/payment"))

    async def reference(self, race: Race) -> str:
        return str((await self.payment(race))["attempts"][-1]["reference"])

    async def read(self) -> None:
        async for batch in self.follower.batches():
            for event in batch:
                self.events[event.key].append(event)


@asynccontextmanager
async def track_of(system: System) -> AsyncIterator[Track]:
    places = system.edges.places
    second = Place("payments", system.services.worker("payments", 1).url, places["payments"].token)
    follower = Follower(system.settings.kafka, [EVENTS, CALLBACKS])
    async with ApiClient({**places, "payments": second}) as other, follower:
        track = Track(system, (system.edges, other), follower)
        reading = asyncio.create_task(track.read())
        try:
            yield track
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


@dataclass
class Season:
    """All races of one kind."""

    kind: Kind
    track: Track
    rng: random.Random
    races: list[Race] = field(default_factory=list)
    lead: float = 0.0
    missed: int = 0
    """Races that were over before both could start."""

    @classmethod
    def of(cls, kind: Kind, track: Track, seed: int) -> Self:
        return cls(kind, track, random.Random(f"{kind.name} {seed}"), lead=kind.lead)

    @property
    def won(self) -> Counter[str]:
        return Counter(race.winner for race in self.races if race.winner)

    def _is_over(self) -> bool:
        enough = all(self.won[racer] for racer in self.kind.racers)
        return len(self.races) - self.missed >= (RACES if enough else MOST)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(self._lane())

    async def _lane(self) -> None:
        while not self._is_over():
            race = self._new_race()
            self.races.append(race)
            try:
                await self.kind.runs(self.track, race)
            except Exception as trouble:
                race.trouble = f"{type(trouble).__name__}: {trouble}"
            if race.winner:
                self.lead += STEP if race.winner == self.kind.racers[0] else -STEP
            elif not race.trouble:
                self.missed += 1

    def _new_race(self) -> Race:
        system = self.track.system
        order = system.shop.order(self.kind.store)
        customer = person("Grace Hopper", order.id[-12:])
        skus = [(sku, 1) for sku in self.kind.skus]
        visit = Visit(order, customer, skus, "DE", 0, system.catalogue, system.bank, random.Random(0))
        offset = self.lead + self.rng.uniform(-SPREAD, SPREAD)
        return Race(order, visit, len(self.races), offset=offset)
