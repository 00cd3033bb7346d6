"""The stack's data folder: its lock, and what must be the same at the next start (ports, secrets)."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deploy.devstack import ports
from deploy.devstack.errors import DataInUse, MissingPart, StackError
from deploy.devstack.kafka import cluster_id, port_names
from services.registry import PROCESSES

PORT_NAMES = (
    "postgres",
    "stripe",
    "smtp",
    "outside",
    "rcon",
    *PROCESSES,
)
OURS = (
    "kafka",
    "kafka-2",
    "kafka-3",
    "postgres",
    "postgres.new",
    "postgres.new.password",
    "stripe",
    "outside",
    "files",
    "rcon",
    "logs",
    "stack.json",
    "stack.part",
    "environment.json",
    "environment.part",
    "lock",
)
STILL_ENDING = 15.0
"""Seconds to wait for the processes of a stack whose parent was killed a moment ago."""


@dataclass(frozen=True)
class Secrets:
    """Made once per data folder."""

    api_token: str
    link_secret: str
    data_keys: str
    feed_secret: str
    stripe_key: str
    stripe_webhook_secret: str
    stripe_control_token: str
    outside_token: str
    postgres_password: str
    pay_keys: str
    assertion_keys: str

    @classmethod
    def make(cls) -> "Secrets":
        return cls(
            api_token=secrets.token_urlsafe(24),
            link_secret=secrets.token_urlsafe(32),
            data_keys=secrets.token_urlsafe(32),
            feed_secret=secrets.token_urlsafe(32),
            stripe_key=f"sk_test_{secrets.token_hex(16)}",
            stripe_webhook_secret=f"whsec_{secrets.token_hex(16)}",
            stripe_control_token=secrets.token_urlsafe(24),
            outside_token=secrets.token_urlsafe(24),
            postgres_password=secrets.token_urlsafe(24),
            pay_keys=secrets.token_urlsafe(32),
            assertion_keys=secrets.token_urlsafe(32),
        )


@dataclass(frozen=True)
class Remembered:
    ports: dict[str, int]
    secrets: Secrets
    brokers: int
    cluster: str
    """Kafka's id of it; another one when no broker has records, as a cluster that was made again has."""


def prepare(folder: Path) -> None:
    """Create the folder, or check that it is a stack's. Raises StackError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path.name for path in folder.iterdir() if path.name not in OURS]
        # PostgreSQL runs as another account when we are root, and must pass; what is private is closed below.
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    except OSError as failure:
        raise MissingPart(
            f"The data folder {folder} cannot be used ({failure.strerror}): choose another with --data."
        ) from failure
    if others and not (folder / "stack.json").is_file():
        raise StackError(
            f"{folder} holds files that are not the stack's ({', '.join(sorted(others)[:3])}): "
            "choose an empty folder with --data."
        )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold the folder for one stack; gives the lock's descriptor. The lock ends with the last process that has it open.

    Raises DataInUse.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        wait_for_lock(descriptor, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def wait_for_lock(descriptor: int, folder: Path) -> None:
    """Wait for a killed stack's processes to end, but never for a living stack."""
    deadline = time.monotonic() + STILL_ENDING
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode()
            if is_running(holder) or time.monotonic() > deadline:
                raise DataInUse(
                    f"Another stack (process {holder or 'unknown'}) runs on {folder}: "
                    "use that one, stop it, or choose another folder with --data."
                ) from None
            time.sleep(0.1)
        else:
            return


def is_running(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def empty(folder: Path) -> None:
    """Remove what earlier stacks left; only while holding the lock."""
    for name in OURS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        elif name != "lock":
            path.unlink(missing_ok=True)


def remember(folder: Path, brokers: int | None = None) -> Remembered:
    """What was made for this folder: as at the last start where usable, written back for the next. Raises StackError,
    also where it has another number of brokers than is asked for."""
    path = folder / "stack.json"
    before: dict[str, Any] = {}
    secrets_now = Secrets.make()
    try:
        before = json.loads(path.read_text())
        secrets_now = replace(secrets_now, **before["secrets"])  # those that an earlier build had
    except FileNotFoundError:
        if (folder / "postgres" / "PG_VERSION").exists():
            raise StackError(
                f"{path} is gone, and the data next to it opens only with the password in it: restore the file, or "
                "start over with --fresh."
            ) from None
    except (OSError, ValueError, TypeError, KeyError) as wrong:
        raise StackError(f"{path} cannot be read ({wrong}): start over with --fresh, or restore the file.") from wrong
    number = brokers_of(folder, before, brokers)
    names = [name for node in range(1, number + 1) for name in port_names(node)]
    chosen = ports.choose((*names, *PORT_NAMES), before.get("ports"))
    cluster = before.get("cluster") if any(folder.glob("kafka*/records/meta.properties")) else None
    now = Remembered(chosen, secrets_now, number, cluster or cluster_id())
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(now), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return now


def brokers_of(folder: Path, before: dict[str, Any], wanted: int | None) -> int:
    """Topics keep the replication that they were made with."""
    made = int(before.get("brokers", 1)) if before else wanted or 1
    if wanted not in (None, made):
        raise StackError(
            f"{folder} was made with {made} Kafka broker{'s' if made > 1 else ''}, and its topics keep their "
            f"replication: leave --brokers out, delete its contents with --fresh, or choose another folder with --data."
        )
    return made
