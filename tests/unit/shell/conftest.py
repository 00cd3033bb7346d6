"""A shell over memory, for every test of its parts."""

from __future__ import annotations

import pytest

from tests.unit.shell.office import Office
from tests.unit.shell.world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def office(world: World) -> Office:
    return Office(world)
