"""Which outside systems are called right now: pauses, which all workers share, and this worker's circuits.

A pause begins with an `OperatorFault` and is a row of the table `destinations`. While it lasts, what goes there waits;
one operation at a time probes, ever more rarely; and at the start of a worker, which may have other settings. The first
outcome of a probe, or staff, end the pause.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog

from shared.core import NoOutcome, NotDone, OperatorFault, Outcome, Retry, Unknown
from shared.shell.observability.metrics import Metrics
from shared.shell.operations.circuit import Circuit
from shared.shell.operations.rules import clean
from shared.shell.ports.clock import Clock, back_off
from shared.shell.ports.rows import DestinationPause
from shared.shell.ports.store import Store, StoreUnavailable

log = structlog.get_logger(__name__)
FIRST_PROBE = 15.0
"""Seconds from the beginning of a pause to its first probe, at most; doubled each time."""
LONGEST_PROBE = 300.0


class Destinations:
    def __init__(self, store: Store, clock: Clock, worker: str, metrics: Metrics, rng: random.Random) -> None:
        self.store, self.clock, self.worker = store, clock, worker
        self.metrics, self.rng = metrics, rng
        self.pauses: dict[str, DestinationPause] = {}
        """As they were when last looked at."""
        self.circuits: dict[str, Circuit] = {}
        self._started = clock.now()
        self._inherited: set[str] | None = None
        """What was paused before this worker started and has not been probed by it; None before the first look."""

    def held(self, destination: str) -> str:
        """Why no call is made now; empty where one may be."""
        if pause := self.pauses.get(destination):
            return f"{destination} is paused: {pause.reason}"
        circuit = self.circuits.get(destination)
        if circuit is not None and not circuit.admits(_now()):
            return f"{destination} does not answer at the moment"
        return ""

    def avoided(self) -> list[str]:
        """The destinations whose circuit is open."""
        now = _now()
        return [name for name, circuit in self.circuits.items() if not circuit.admits(now)]

    def to_probe(self) -> list[str]:
        """The destinations of which one operation should be tried."""
        now = self.clock.now()
        new = self._inherited or ()
        paused = [name for name, pause in self.pauses.items() if pause.probe_at <= now or name in new]
        return paused + [name for name, circuit in self.circuits.items() if circuit.wants_probe(_now())]

    async def may_probe(self, destination: str) -> bool:
        """Whether this worker is the one to probe; then `probed` must follow."""
        if pause := self.pauses.get(destination):
            if self._inherited:
                self._inherited.discard(destination)
            wait = back_off(FIRST_PROBE, pause.probes + 2, self.rng, LONGEST_PROBE)
            if not await self.store.claim_probe(pause, self.clock.now() + timedelta(seconds=wait)):
                return False
        if circuit := self.circuits.get(destination):
            circuit.probing = True
        return True

    def probed(self, destination: str) -> None:
        if circuit := self.circuits.get(destination):
            circuit.probed(_now(), self.rng)

    def began(self, destination: str) -> None:
        circuit = self.circuits.get(destination)
        if circuit is None:
            circuit = self.circuits[destination] = Circuit()
        circuit.began(_now())

    def answered(self, destination: str, answer: Outcome | NotDone | NoOutcome | None) -> None:
        """The answer to a call; None where it was broken off."""
        circuit, now = self.circuits[destination], _now()
        if isinstance(answer, Outcome | NotDone):
            circuit.succeeded(now)
        elif isinstance(answer, Unknown):
            was_open = circuit.is_open
            circuit.failed(now, self.rng)
            if circuit.is_open and not was_open:
                log.warning("destination does not answer", destination=destination)
        elif isinstance(answer, Retry | OperatorFault):
            circuit.refused(now)
        else:
            circuit.not_made()
        if circuit.idle:
            del self.circuits[destination]

    async def refresh(self) -> None:
        """See what others paused and resumed. Raises StoreUnavailable."""
        self.pauses = {pause.destination: pause for pause in await self.store.paused_destinations()}
        if self._inherited is None:
            self._inherited = {name for name, pause in self.pauses.items() if pause.at < self._started}
        self.metrics.open_circuits.set(sum(circuit.is_open for circuit in self.circuits.values()))

    async def pause(self, destination: str, reason: str) -> None:
        if destination in self.pauses:
            return
        now = self.clock.now()
        probe_at = now + timedelta(seconds=back_off(FIRST_PROBE, 1, self.rng))
        pause = DestinationPause(destination, now, clean(reason), self.worker, probe_at)
        try:
            is_new = await self.store.pause_destination(pause)
            await self.refresh()
        except StoreUnavailable:
            return  # The next call meets the same fault.
        if is_new:
            self.metrics.destination_pauses.inc()
            log.error("destination paused", destination=destination, reason=pause.reason)

    async def resume(self, destination: str) -> None:
        if destination not in self.pauses:
            return
        try:
            ended = await self.store.resume_destination(destination)
        except StoreUnavailable:
            return  # The next probe ends it.
        self.pauses.pop(destination, None)
        if ended:
            log.info("destination resumed", destination=destination)

    def forget(self, destination: str) -> None:
        """Staff say that it works again: close its circuit, and read the pauses again."""
        self.pauses.pop(destination, None)
        if circuit := self.circuits.get(destination):
            circuit.failures = circuit.pauses = 0

    def circuits_as_json(self) -> Sequence[dict[str, Any]]:
        """The circuits of this worker that are open."""
        now = _now()
        return [
            {
                "destination": name,
                "failures": circuit.failures,
                "in_flight": circuit.in_flight,
                "next_probe_seconds": round(max(0.0, circuit.open_until - now), 1),
            }
            for name, circuit in self.circuits.items()
            if circuit.is_open
        ]


def _now() -> float:
    return asyncio.get_running_loop().time()
