"""The play: all customers' stories at once, as many at a time as the house holds, and what is counted meanwhile."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from deploy.client.http import ApiClient, ClientError
from deploy.client.storefront import KafkaUnreachable
from deploy.demo.atelier import Atelier
from deploy.demo.catalogue import DESK, HOOK, Catalogue
from deploy.demo.shop import NeverHappened, Order, Shop
from deploy.demo.stories import Story, cast, visit
from deploy.sandboxes.client import OutsideWorld, StripeSandbox

AT_ONCE = 400
"""Orders in flight: enough to keep every service busy, few enough to answer soon."""
AT_FIRST = 25
"""… of which so few at the beginning: each that ends makes room for two until the house is full."""
FLOWING = 0.95
"""The share of orders over which a rate is measured: the last ones wait for people and deadlines."""


@dataclass
class Life:
    """One order of the play, and how its story went."""

    order: Order
    story: Story
    ended_at: float | None = None
    """Monotonic seconds."""
    trouble: str = ""

    @property
    def settled_at(self) -> float | None:
        """When the story had ended and the last email or webhook was accepted; correct once all work is done."""
        return None if self.ended_at is None else max(self.ended_at, self.order.taken_at or 0.0)


@dataclass
class Tally:
    """What the live table shows."""

    wanted: int
    lives: list[Life] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    mails: int = 0
    webhooks: int = 0
    ends: list[float] = field(default_factory=list)
    latencies: list[int] = field(default_factory=list)
    """Milliseconds from placed to completed, of orders that complete by themselves."""
    first_completed: float | None = None

    def ended(self, life: Life) -> None:
        life.ended_at = time.monotonic()
        self.ends.append(life.ended_at)
        completed = life.order.reached("completed")
        if completed is None:
            return
        if self.first_completed is None:
            self.first_completed = life.ended_at
        if life.story.by_itself:
            self.latencies.append(completed - life.order.submitted_at)

    @property
    def by_status(self) -> dict[str, int]:
        return dict(Counter(life.order.status or "unseen" for life in self.lives))

    @property
    def placed(self) -> int:
        return sum(1 for life in self.lives if life.order.latest.get("placed_at"))

    @property
    def paid(self) -> int:
        return sum(1 for life in self.lives if life.order.latest.get("paid_at"))

    @property
    def delivered(self) -> int:
        """Items that reached their customers."""
        return sum(
            item["delivery"] == "delivered" for life in self.lives for item in life.order.latest.get("items") or ()
        )

    def rate_until_ended(self) -> float:
        """Orders per second, until 95 % of all reached their final status, even if emails and webhooks still waited."""
        return self._rate(self.ends)

    def settled_rate(self, unsettled: Collection[str]) -> float:
        """Orders per second, until 95 % of all were settled: where they stay, and every mail and webhook taken or given
        up. `unsettled`: ids of orders whose mails or webhooks still wait."""
        settled = (life.settled_at for life in self.lives if life.order.id not in unsettled)
        return self._rate([at for at in settled if at is not None])

    def _rate(self, ends: Sequence[float]) -> float:
        if not ends:
            return 0.0
        counted = sorted(ends)[: max(1, int(self.wanted * FLOWING))]
        return len(counted) / max(counted[-1] - self.began, 0.001)

    def latency(self, share: float) -> int:
        """The percentile in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


class Play:
    """Runs every story against a running system."""

    def __init__(
        self,
        shop: Shop,
        edges: ApiClient,
        outside: OutsideWorld,
        bank: StripeSandbox,
        people: Sequence[Story],
        *,
        seed: int,
        rate: float,
    ) -> None:
        self.shop, self.outside, self.bank = shop, outside, bank
        self._atelier = Atelier(edges, outside)
        self.people, self.seed = people, seed
        self._pause = 1 / rate if rate else 0.0
        self._places = AT_FIRST
        self._room = asyncio.Semaphore(AT_FIRST)
        self.tally = Tally(len(people))

    async def run(self) -> Tally:
        """Returns when every story has come to its end, or given up waiting for it."""
        await self._inject_faults()
        self.tally.began = time.monotonic()
        counting = asyncio.create_task(self._count())
        try:
            async with asyncio.TaskGroup() as group:
                for number, story in enumerate(self.people):
                    await self._room.acquire()
                    group.create_task(self._tell(number, story))
                    await self._until(self.tally.began + (number + 1) * self._pause)
        finally:
            counting.cancel()
        return self.tally

    async def _until(self, moment: float) -> None:
        if self._pause:
            await asyncio.sleep(max(0.0, moment - time.monotonic()))

    async def _tell(self, number: int, story: Story) -> None:
        catalogue = self.shop.catalogue
        order = self.shop.order(_store_of(story, catalogue))
        life = Life(order, story)
        self.tally.lives.append(life)
        try:
            await story.walk(visit(story, number, order, catalogue, self.bank, self._atelier, self.seed))
            self.tally.ended(life)
        except (NeverHappened, KafkaUnreachable, ClientError) as trouble:
            life.trouble = str(trouble)
        finally:
            self._make_room()

    def _make_room(self) -> None:
        self._room.release()
        if self._places < AT_ONCE:
            self._places += 1
            self._room.release()

    async def _inject_faults(self) -> None:
        """Half of the workshop's bookings are rejected at first, and the campus is down for a moment."""
        workshops = sum("workshop" in story.skus for story in self.people)
        if workshops:
            await self.outside.inject(DESK, answer=422, times=(workshops + 1) // 2)
        await self.outside.inject("course", answer=500, times=max(1, len(self.people) // 100))

    async def _count(self) -> None:
        """Mails and webhooks as their receivers count them, for the table."""
        while True:
            await asyncio.sleep(0.5)
            await self.count()

    async def count(self) -> None:
        """Now."""
        try:
            self.tally.mails = (await self.outside.mails(limit=1))["count"]
            hooks = await self.outside.hooks()
        except ClientError:
            return
        self.tally.webhooks = sum(hook["distinct"] for name, hook in hooks.items() if name.startswith(HOOK))


def _store_of(story: Story, catalogue: Catalogue) -> str:
    if story.at_the_fair:
        return catalogue.fair
    if story.at_the_games:
        return catalogue.games
    return catalogue.atelier if story.at_the_atelier else catalogue.main


def stock_for(people: Sequence[Story]) -> dict[str, int]:
    """Half as many numbered copies as there are customers who want one."""
    wanting = sum("numbered" in story.skus for story in people)
    return {"numbered": wanting // 2 if wanting > 1 else wanting}


def casting(orders: int, seed: int) -> list[Story]:
    return cast(orders, random.Random(seed))  # noqa: S311  # a play, no secrets
