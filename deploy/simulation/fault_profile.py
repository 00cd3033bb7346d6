"""Faults, drawn from the seed: how often each happens at which level. Nothing here knows what an order is.

To add a fault that strikes a call (store, bus, provider): add its name and probability to `Level`, and raise or answer
it in `FaultProfile`. To add one that strikes from outside (crash, outage): add it to `nemesis.py`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from deploy.simulation.history import History
from deploy.simulation.outage import Outage
from shared.shell.ports.store import StoreUnavailable

STATEMENT = 0.01
"""Seconds that a statement takes, roughly: transactions overlap."""


@dataclass(frozen=True, slots=True)
class Level:
    """Probabilities per call, and how many faults from outside come per order."""

    store_fails: float = 0.0
    store_slow: float = 0.0
    answer_lost: float = 0.0
    """A commit that succeeded, and whose answer never came."""
    bus_fails: float = 0.0
    reads_again: float = 0.0
    provider_busy: float = 0.0
    lost_before: float = 0.0
    lost_after: float = 0.0
    arrives_late: float = 0.0
    hangs: float = 0.0
    raises: float = 0.0
    webhook_late: float = 0.0
    webhook_repeated: float = 0.0
    webhook_lost: float = 0.0
    """A callback about a charge that never comes."""
    core_bug: float = 0.0
    """A message at which its core raises, until staff have it fixed."""
    odd_header: float = 0.0
    """A message that has a header without a value among its own: legal in Kafka."""
    shared_id: float = 0.0
    """A message of another source has the same id: CloudEvents tells messages apart by source and id."""
    from_outside: float = 0.0
    stray_charge: float = 0.0
    """A payment that waits for its customer: someone makes another one with its metadata, in Stripe's dashboard."""
    dashboard_refund: float = 0.0
    """A captured payment: staff refund it, or a part, in Stripe's dashboard."""
    refund_refused: float = 0.0
    """Stripe does not make a refund: the store's balance is too low."""
    refund_bounces: float = 0.0
    """A refund that succeeded: the bank returns it."""
    account_paused: float = 0.0
    """A run: Stripe pauses the account for a while."""
    confirms_late: float = 0.0
    """A payment that waits for its customer or for Stripe: it goes on when the order's time to pay is over."""
    false_decline: float = 0.0
    """A declined payment: Stripe captures it after all."""


LEVELS = {
    "none": Level(),
    "some": Level(
        store_fails=0.0005,
        store_slow=0.002,
        answer_lost=0.002,
        bus_fails=0.002,
        reads_again=0.002,
        provider_busy=0.02,
        lost_before=0.02,
        lost_after=0.02,
        arrives_late=0.005,
        hangs=0.002,
        raises=0.002,
        webhook_late=0.05,
        webhook_repeated=0.05,
        webhook_lost=0.01,
        core_bug=0.001,
        odd_header=0.02,
        shared_id=0.02,
        from_outside=0.4,
        stray_charge=0.1,
        dashboard_refund=0.02,
        refund_refused=0.02,
        refund_bounces=0.1,
        account_paused=0.1,
        confirms_late=0.1,
        false_decline=0.05,
    ),
    "many": Level(
        store_fails=0.002,
        store_slow=0.005,
        answer_lost=0.01,
        bus_fails=0.01,
        reads_again=0.01,
        provider_busy=0.05,
        lost_before=0.05,
        lost_after=0.08,
        arrives_late=0.02,
        hangs=0.005,
        raises=0.005,
        webhook_late=0.2,
        webhook_repeated=0.2,
        webhook_lost=0.05,
        core_bug=0.004,
        odd_header=0.05,
        shared_id=0.05,
        from_outside=1.4,
        stray_charge=0.2,
        dashboard_refund=0.05,
        refund_refused=0.05,
        refund_bounces=0.3,
        account_paused=0.3,
        confirms_late=0.2,
        false_decline=0.2,
    ),
    "storm": Level(
        store_fails=0.01,
        store_slow=0.03,
        answer_lost=0.05,
        bus_fails=0.05,
        reads_again=0.05,
        provider_busy=0.1,
        lost_before=0.15,
        lost_after=0.2,
        arrives_late=0.05,
        hangs=0.02,
        raises=0.02,
        webhook_late=0.4,
        webhook_repeated=0.4,
        webhook_lost=0.1,
        core_bug=0.02,
        odd_header=0.1,
        shared_id=0.1,
        from_outside=5.5,
        stray_charge=0.4,
        dashboard_refund=0.1,
        refund_refused=0.1,
        refund_bounces=0.5,
        account_paused=0.5,
        confirms_late=0.4,
        false_decline=0.4,
    ),
}


class FaultProfile:
    """Says, call by call, what goes wrong."""

    def __init__(self, level: Level, rng: random.Random, history: History) -> None:
        self.level, self.rng, self.history = level, rng, history
        self.stores_down: set[str] = set()
        self.bus_down = False
        self.outages: dict[str, Outage] = {}
        """Outside systems that are not well for longer, by name."""

    def calm(self) -> None:
        """No faults from now on."""
        self.level = replace(LEVELS["none"])
        self.stores_down.clear()
        self.outages.clear()
        self.bus_down = False

    def happens(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability

    def store(self, service: str) -> Callable[[str], Awaitable[None]]:
        """What a service's store awaits before each statement."""
        draw = self.rng.random

        async def pause(statement: str) -> None:
            if service in self.stores_down:
                await asyncio.sleep(0)
                raise StoreUnavailable("the database is down")
            level, drawn = self.level, draw()
            if statement == "committed":
                if drawn < level.answer_lost:
                    self.history.fault("commit_answer_lost", service)
                    raise StoreUnavailable("the commit's answer was lost")
                return
            if drawn < level.store_fails:
                self.history.fault("store_error", f"{service} {statement}")
                raise StoreUnavailable("the connection broke")
            if drawn < level.store_fails + level.store_slow:
                self.history.fault("store_slow", f"{service} {statement}")
                await asyncio.sleep(0.001 + draw() * 0.2)
            elif drawn > 0.6:
                await asyncio.sleep((drawn - 0.6) * STATEMENT)

        return pause

    def source(self, worker: str) -> Callable[[str], str]:
        def trouble(call: str) -> str:
            if self.bus_down:
                return "refused"
            if self.happens(self.level.bus_fails):
                self.history.fault("broker_error", f"{worker} {call}")
                return "refused"
            if call == "read" and self.happens(self.level.reads_again):
                self.history.fault("redelivery", worker)
                return "again"
            return ""

        return trouble

    def sink(self, worker: str) -> Callable[[str], str]:
        def trouble(call: str) -> str:
            if self.bus_down:
                return "refused"
            if self.happens(self.level.bus_fails):
                kind = self.rng.choice(("refused", "half", "unheard"))
                self.history.fault(f"send_{kind}", worker)
                return kind
            return ""

        return trouble

    def provider(self) -> str:
        """What goes wrong with one call to the outside: `busy`, `lost_before`, `lost_after`, `late`, `hangs_before`,
        `hangs_after`, `raises`; empty for nothing."""
        drawn, level = self.rng.random(), self.level
        for kind, probability in (
            ("busy", level.provider_busy),
            ("lost_before", level.lost_before),
            ("lost_after", level.lost_after),
            ("late", level.arrives_late),
            ("hangs_before", level.hangs),
            ("hangs_after", level.hangs),
            ("raises", level.raises),
        ):
            if drawn < probability:
                self.history.fault(f"provider_{kind}")
                return kind
            drawn -= probability
        return ""
