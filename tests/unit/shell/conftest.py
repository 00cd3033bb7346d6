"""A shell over memory, for every test of its parts."""

from __future__ import annotations

import pytest

from tests.unit.shell.harness import Harness
from tests.unit.shell.manual_worker import ManualWorker


@pytest.fixture
def harness() -> Harness:
    return Harness()


@pytest.fixture
def worker(harness: Harness) -> ManualWorker:
    return ManualWorker(harness)
