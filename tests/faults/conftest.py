"""One orderbus with two workers per service for all fault tests: each leaves it whole and at rest.

ORDERBUS_LONG=1 runs the long versions (`make faults`), ORDERBUS_SEED=N repeats a run's choice of victims and moments.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from tests.faults.system import System, running_system

LONG = bool(os.environ.get("ORDERBUS_LONG"))


@dataclass
class Table:
    """What each fault came to, printed at the end."""

    rows: list[str] = field(default_factory=list)

    def add(self, fault: str, orders: int, lost: int, twice: int, seconds: float) -> None:
        self.rows.append(f"{fault:<48} {orders:>6} {lost:>6} {twice:>6} {seconds:>8.0f}")


@pytest.fixture(scope="session")
def table() -> Iterator[Table]:
    table = Table()
    yield table
    print("\n" + f"{'fault':<48} {'orders':>6} {'lost':>6} {'twice':>6} {'seconds':>8}")
    print("\n".join(table.rows))


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
