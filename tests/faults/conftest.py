"""One orderbus with two workers per service: each fault test leaves it whole and at rest.

ORDERBUS_LONG=1 runs the long versions (`make faults`), each on an orderbus of its own, so that what earlier ones left
behind does not count. ORDERBUS_SEED=N repeats a run's choice of victims, moments and customers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.scenario import FaultScenario
from tests.faults.system import System, running_system
from tests.faults.table import LONG, TABLE, Table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TABLE.rows:
        terminalreporter.section("faults")
        for line in TABLE.lines():
            terminalreporter.write_line(line)


@pytest.fixture
def table() -> Table:
    return TABLE


@pytest.fixture
def seed() -> int:
    return TABLE.seed


@pytest_asyncio.fixture(scope="function" if LONG else "session", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("faults") / "data", workers=2) as system:
        yield system


@pytest.fixture
def scenario(system: System, table: Table, seed: int) -> FaultScenario:
    return FaultScenario(system, table, seed)
