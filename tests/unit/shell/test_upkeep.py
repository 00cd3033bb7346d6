"""What a service keeps up in its tables: at the start of each worker, and again after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.core import Report
from shared.shell import worker
from shared.shell.http.problems import ProblemResponse
from shared.shell.kafka.catch_up import CatchUpSource
from shared.shell.ports.clock import SystemClock
from shared.shell.ports.http_api import HttpApi
from shared.shell.service import OwnReport
from shared.shell.shell import Shell
from shared.shell.worker import keep_up, own_tasks, report_own
from tests.unit.shell.harness import START


@pytest.mark.parametrize("trouble", [TimeoutError(), ValueError("a bug")])
async def test_a_task_that_fails_is_done_the_next_time_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    monkeypatch.setattr(worker, "HOUSEKEEPING_SECONDS", 0)
    done = list[str]()

    async def fails_once(now: datetime) -> None:
        done.append("first")
        if len(done) == 1:
            raise trouble

    async def other(now: datetime) -> None:
        done.append("second")

    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await keep_up([fails_once, other], SystemClock())

    assert done[:4] == ["first", "second", "first", "second"]


class Stale(Report):
    """What the service finds in its tables."""


async def test_what_a_service_finds_in_its_tables_is_handed_to_its_own_core() -> None:
    handed: list[tuple[Any, ...]] = []

    class Api:
        async def submit(self, message: Report, key: str, *, identity: str, actor: str) -> None:
            handed.append((message, key, identity, actor))

    async def find(now: datetime) -> Sequence[OwnReport]:
        return [OwnReport(key, Stale(), f"{key} is stale") for key in ("a", "b")] if now == START else []

    await report_own(cast("HttpApi", Api()), find, START)
    assert handed == [(Stale(), "a", "a is stale", "system"), (Stale(), "b", "b is stale", "system")]


async def test_one_that_is_not_taken_now_holds_no_other_up() -> None:
    handed: list[str] = []

    class Api:
        async def submit(self, message: Report, key: str, *, identity: str, actor: str) -> None:
            if key == "a":
                raise ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, "Busy.", "busy")
            handed.append(key)

    async def find(now: datetime) -> Sequence[OwnReport]:
        return [OwnReport(key, Stale(), f"{key} is stale") for key in ("a", "b")]

    await report_own(cast("HttpApi", Api()), find, START)
    assert handed == ["b"]


async def test_a_worker_runs_the_services_tasks_unless_it_catches_up() -> None:
    ran = list[str]()

    async def task() -> None:
        ran.append("task")

    shell = cast("Shell", SimpleNamespace(source=None, registry=SimpleNamespace(service=SimpleNamespace(tasks=[task]))))
    await asyncio.gather(*own_tasks(shell))
    assert ran == ["task"]

    shell.source = object.__new__(CatchUpSource)
    (reads,) = own_tasks(shell)
    assert "caught_up" in repr(reads)
    reads.close()
