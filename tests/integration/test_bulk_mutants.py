"""Do the tests of bulk jobs detect a command done twice, or not at all, after a kill? Each known bug fails one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from services.staff.jobs import bulk, lease
from services.staff.jobs.bulk import PendingOrder, _Batch
from services.staff.jobs.job import Job
from services.staff.jobs.owner import DONE, CommandOutcome, OrderCommand
from tests.integration import test_staff_bulk as judges
from tests.integration.staff_jobs_rig import JobsApi
from tests.integration.test_staff_bulk import api, fates

__all__ = ["api", "fates"]
Put = Callable[[pytest.MonkeyPatch], None]
Judge = Callable[[JobsApi], Awaitable[None]]


def each_runner_has_keys_of_its_own(patch: pytest.MonkeyPatch) -> None:
    original = _Batch._command

    def command(self: _Batch, job: Job, order: PendingOrder, body: dict[str, object]) -> OrderCommand:
        made = original(self, job, order, body)
        return replace(made, key=f"{job.lease}/{made.key}")

    patch.setattr(_Batch, "_command", command)


def outcomes_are_noted_before_commands_are_sent(patch: pytest.MonkeyPatch) -> None:
    original = _Batch.send

    async def send(self: _Batch, orders: Sequence[PendingOrder]) -> list[tuple[str, CommandOutcome]]:
        await bulk._note(self._run, [(order.order, DONE) for order in orders])
        await original(self, orders)
        return []

    patch.setattr(_Batch, "send", send)


def who_lost_the_lease_still_writes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lease, "HOLD", sa.text(lease.HOLD.text.replace("and lease = :lease", "")))


async def killed(api: JobsApi) -> None:
    await judges.test_killed_at_random_each_order_gets_its_command_once(api, 0)


MUTANTS: dict[str, tuple[Put, Judge]] = {
    "each runner has keys of its own": (each_runner_has_keys_of_its_own, killed),
    "outcomes are noted before commands are sent": (outcomes_are_noted_before_commands_are_sent, killed),
    "who lost the lease still writes": (
        who_lost_the_lease_still_writes,
        judges.test_a_frozen_runner_writes_nothing_while_another_one_has_the_job,
    ),
}


@pytest.mark.usefixtures("fates")
@pytest.mark.parametrize(("put", "judge"), MUTANTS.values(), ids=MUTANTS)
async def test_a_mutant_is_detected(api: JobsApi, monkeypatch: pytest.MonkeyPatch, put: Put, judge: Judge) -> None:
    put(monkeypatch)

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await judge(api)
