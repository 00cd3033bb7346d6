"""PgBouncer in front of a test's PostgreSQL server."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from deploy.devstack.children import Children
from deploy.devstack.kafka import accepts
from deploy.devstack.ports import LOOPBACK, choose
from deploy.devstack.postgres import unprivileged_account

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="runs `pgbouncer` (Debian's package of that name)")


@asynccontextmanager
async def pgbouncer(
    urls: Sequence[str], folder: Path, mode: str, children: Children, *, pool: int = 20
) -> AsyncIterator[int]:
    """The port of one for the server and the roles of these URLs. All but the mode and the pool is as by default."""
    assert PROGRAM
    servers = [urlsplit(url) for url in urls]
    port, name = choose(["pgbouncer"])["pgbouncer"], f"pgbouncer-{mode}-{pool}"
    users, settings = folder / f"{name}.txt", folder / f"{name}.ini"
    users.write_text("".join(f'"{one.username}" "{unquote(one.password or "")}"\n' for one in servers))
    settings.write_text(
        f"[databases]\n* = host={LOOPBACK} port={servers[0].port}\n[pgbouncer]\nlisten_addr = {LOOPBACK}\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {users}\n"
        f"pool_mode = {mode}\ndefault_pool_size = {pool}\nmax_client_conn = 500\n"
    )
    account = unprivileged_account([folder])
    for file in (users, settings):
        file.chmod(0o600)
        if account:
            os.chown(file, account.uid, account.gid)
    child = await children.start(
        "PgBouncer",
        [PROGRAM, str(settings)],
        log=folder / f"{name}.log",
        cwd=Path("/"),
        stop_signal=signal.SIGTERM,
        account=account,
    )
    deadline = time.monotonic() + 30
    while not await accepts(LOOPBACK, port):
        assert child.running and time.monotonic() < deadline, child.last_words()
        await asyncio.sleep(0.05)
    try:
        yield port
    finally:
        await child.stop()
