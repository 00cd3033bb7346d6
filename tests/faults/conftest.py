"""One orderbus with two workers per service for all fault tests: each leaves it whole and at rest.

ORDERBUS_LONG=1 runs the long versions (`make faults`), ORDERBUS_SEED=N repeats a run's choice of victims and moments.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.system import System, running_system

LONG = bool(os.environ.get("ORDERBUS_LONG"))


@pytest.fixture
def seed() -> int:
    """Printed, so that a failure can be tried again."""
    seed = int(os.environ.get("ORDERBUS_SEED") or random.randrange(1_000_000))
    print(f"ORDERBUS_SEED={seed}")
    return seed


@pytest_asyncio.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("faults") / "data", workers=2) as system:
        yield system
