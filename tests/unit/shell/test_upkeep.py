"""What a service keeps up in its tables: at the start of each worker, and again after a failure."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

import pytest

from shared.shell import worker
from shared.shell.ports.clock import SystemClock
from shared.shell.worker import keep_up


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
