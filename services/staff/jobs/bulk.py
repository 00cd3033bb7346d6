"""Carries out bulk jobs: sends each order's command to its owner, some at the same time, and keeps what the owner says.
A command that was sent and not noted is sent again under the same key, and its owner does it once."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import sqlalchemy as sa
import structlog

from services.staff.domain.bulk import BulkChoice, body_of, command_of, key_of, permissions_of
from services.staff.domain.roles import Rights
from services.staff.jobs.job import Job
from services.staff.jobs.lease import JobRun, Later
from services.staff.jobs.owner import CommandOutcome, CommandSender, OrderCommand, OrderHeldUp, OwnerAway
from services.staff.jobs.requests import BulkRequest
from services.staff.jobs.rights import may, rights_now
from services.staff.jobs.rules import JobRules
from services.staff.jobs.tables import jobs
from shared.core import Refused

PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until the next try while an owner does not answer: twice as long each time. After the longest one the job
waits for its next turn."""
PASSES = 8
"""So often an order that is held up is tried: with two minutes of pauses in all."""
PENDING = sa.text("""
    select j.order_id, j.position, j.items, coalesce(o.store, '') as store from job_orders j
    left join orders o on o.order_id = j.order_id
    where j.job = :job and j.state = 'pending' and j.position > :after order by j.position limit :most""")
NOTE = sa.text("""
    update job_orders j set state = u.state, code = u.code, text = u.text, at = now()
    from unnest(cast(:orders as text[]), cast(:states as text[]), cast(:codes as text[]), cast(:texts as text[]))
        as u(order_id, state, code, text)
    where j.job = :job and j.order_id = u.order_id and j.state = 'pending'""")
COUNT = sa.text("""
    update jobs set done = done + :done, refused = refused + :refused, problem = '', tries = 0 where id = :job""")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PendingOrder:
    order: str
    position: int
    delivered: Sequence[str]
    store: str


class BulkSender:
    def __init__(self, sender: CommandSender, rules: JobRules) -> None:
        self._sender, self._rules = sender, rules

    async def __call__(self, run: JobRun) -> None:
        """Pass after pass over the orders that are pending: those that are held up hold up no others."""
        choice = BulkRequest.model_validate(run.job.request).choice()
        for number in range(1, PASSES + 1):
            held_up = await self._pass(run, choice, last=number == PASSES)
            if not held_up:
                return
            await _tell(run, held_up)
            await asyncio.sleep(min(PAUSE * 2**number, LONGEST_PAUSE))

    async def _pass(self, run: JobRun, choice: BulkChoice, *, last: bool) -> str:
        """Why an order is held up; empty: none is. `last`: they are noted as unknown."""
        pause, after, held_up = PAUSE, 0, ""
        while pending := await self._pending(run, after):
            run.check()
            batch = _Batch(run, choice, self._sender, self._rules.at_once)
            batch.rights = await rights_now(run.engine, run.job.actor, run.job.token)
            outcomes = await batch.send(pending)
            if last:
                outcomes += [(order, CommandOutcome("unknown", "held_up", why)) for order, why in batch.held_up.items()]
            if outcomes:
                await _note(run, outcomes)
                pause = PAUSE
            run.check()
            if batch.away:
                if pause > LONGEST_PAUSE:
                    raise Later(batch.away)
                await _tell(run, batch.away)
                await asyncio.sleep(pause)
                pause *= 2
            else:
                after = pending[-1].position
                held_up = next(iter(batch.held_up.values()), held_up)
        return "" if last else held_up

    async def _pending(self, run: JobRun, after: int) -> list[PendingOrder]:
        async with run.engine.connect() as connection:
            values = {"job": run.job.id, "after": after, "most": self._rules.batch}
            rows = await connection.execute(PENDING, values)
            return [PendingOrder(row.order_id, row.position, row.items or (), row.store) for row in rows]


class _Batch:
    """Some orders of a job. `away`: why not all of them have an outcome. `held_up`: the orders that are, and why."""

    def __init__(self, run: JobRun, choice: BulkChoice, sender: CommandSender, at_once: int) -> None:
        self._run, self._choice, self._sender = run, choice, sender
        self._permissions = permissions_of(command_of(choice))
        self._places = asyncio.Semaphore(at_once)
        self.rights: Collection[Rights] | None = None
        self.away = ""
        self.held_up: dict[str, str] = {}

    async def send(self, orders: Sequence[PendingOrder]) -> list[tuple[str, CommandOutcome]]:
        outcomes = await asyncio.gather(*map(self._outcome, orders))
        return [(order.order, outcome) for order, outcome in zip(orders, outcomes, strict=True) if outcome is not None]

    async def _outcome(self, order: PendingOrder) -> CommandOutcome | None:
        """None: it was not sent, or got no answer."""
        if not may(self.rights, self._permissions, order.store):
            return CommandOutcome("refused", "forbidden", "Who started this job may not do this any more.")
        body = body_of(self._choice, order.delivered)
        if isinstance(body, Refused):
            return CommandOutcome("refused", body.code, body.text)
        command = self._command(self._run.job, order, body)
        async with self._places:
            if self.away or self._run.asked != "running":
                return None
            try:
                return await self._sender.send(command)
            except OrderHeldUp as held_up:
                self.held_up[order.order] = str(held_up)
            except OwnerAway as away:
                self.away = str(away)
            return None

    def _command(self, job: Job, order: PendingOrder, body: dict[str, object]) -> OrderCommand:
        action = self._choice.chosen
        path = f"/orders/{quote(order.order, safe='')}{action.path}"
        key = key_of(job.id, order.order)
        return OrderCommand(action.service, path, body, key, job.actor, self._permissions, order.store)


async def _note(run: JobRun, outcomes: Sequence[tuple[str, CommandOutcome]]) -> None:
    """Raises LeaseLost."""
    refused = sum(outcome.state != "done" for _, outcome in outcomes)
    values = {
        "job": run.job.id,
        "orders": [order for order, _ in outcomes],
        "states": [outcome.state for _, outcome in outcomes],
        "codes": [outcome.code for _, outcome in outcomes],
        "texts": [outcome.text for _, outcome in outcomes],
    }
    async with run.hold() as connection:
        await connection.execute(NOTE, values)
        counted = {"job": run.job.id, "done": len(outcomes), "refused": refused}
        await connection.execute(COUNT, counted)


async def _tell(run: JobRun, problem: str) -> None:
    log.warning("owner of commands is away, retrying later", job=run.job.id, problem=problem)
    async with run.hold() as connection:
        await connection.execute(sa.update(jobs).where(jobs.c.id == run.job.id).values(problem=problem))
