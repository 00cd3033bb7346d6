"""A shell over memory, for every test of its parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.core import Refused
from shared.shell.http.api import ShellHttpApi
from tests.unit.shell.harness import Harness
from tests.unit.shell.manual_worker import ManualWorker


@pytest.fixture
def harness() -> Harness:
    return Harness()


@pytest.fixture
def worker(harness: Harness) -> ManualWorker:
    return ManualWorker(harness)


@pytest_asyncio.fixture
async def api(harness: Harness) -> AsyncIterator[ShellHttpApi]:
    """Refuses what is called `refused`."""
    harness.when("refused", Refused("no", "No."))
    batcher, no_engine = harness.batcher(), None
    running = asyncio.create_task(batcher.run())
    yield ShellHttpApi(harness.registry, harness.store, batcher, harness.clock, no_engine)  # type: ignore[arg-type]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
