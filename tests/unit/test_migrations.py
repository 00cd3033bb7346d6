"""Each service's migrations are one chain: what two changes add at the same time follows one another."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from services.registry import SERVICES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_one_chain_of_migrations_numbered_like_their_files(service: str) -> None:
    assert_one_chain(ROOT, service)


def assert_one_chain(project: Path, service: str) -> None:
    folder = project / "services" / service / "migrations"
    numbers = sorted(path.name[:4] for path in (folder / "versions").glob("0*.py"))
    scripts = ScriptDirectory(str(folder))

    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    assert scripts.get_heads() == [numbers[-1]]
    assert [step.revision for step in scripts.walk_revisions()] == numbers[::-1]
