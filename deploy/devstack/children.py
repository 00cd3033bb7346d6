"""Starting and stopping the stack's processes, through the guardian that outlives a killed parent."""

import asyncio
import contextlib
import errno
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from deploy.devstack import guardian
from deploy.devstack.errors import PartFailed

LOG_LIMIT = 20_000_000
"""Bytes after which a log is put aside as `.1` at the next start."""


FULL_BELOW = 1_000_000
"""Bytes: with less room, what goes wrong goes wrong for that reason."""


@dataclass(frozen=True)
class Account:
    """An unprivileged account to run a part as when we are root."""

    uid: int
    gid: int
    reach_all_folders: bool


@dataclass
class Child:
    """One process of the stack, the leader of its own process group. `code` is None while it runs."""

    name: str
    pid: int
    log: Path
    stop_signal: int
    code: int | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    def ended(self, code: int) -> None:
        self.code = code
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        return self.code if self.code is not None else -signal.SIGKILL

    def kill(self, with_signal: int = signal.SIGKILL) -> None:
        """Send a signal to the process and whatever it started."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, with_signal)

    async def stop(self, grace: float = 10.0) -> None:
        """Ask politely, wait `grace` seconds, then kill."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, self.stop_signal)
        try:
            await asyncio.wait_for(self._ended.wait(), grace)
        except TimeoutError:
            self.kill()
            await self._ended.wait()

    def last_words(self, lines: int = 5) -> str:
        """The end of its log, for an error message; a full disk is named, as it may have cost the log its end."""
        end: list[str] = []
        with contextlib.suppress(OSError):
            end = self.log.read_text("utf-8", "replace").splitlines()[-lines:]
            # When PostgreSQL stops, it frees the space that it took last.
            full = shutil.disk_usage(self.log.parent).free < FULL_BELOW or os.strerror(errno.ENOSPC) in "".join(end)
            if full:
                end.append(f"The disk of {self.log.parent} is full: make room, then start again. Nothing is lost.")
        return "\n".join(end)


class Children:
    """All processes of one stack. They end with this object, or when this process is gone in whatever way.

    `keep_open` is a file descriptor (of the lock on the data folder) that stays open until the last one has ended.
    """

    def __init__(self, keep_open: int | None = None) -> None:
        self._keep_open = keep_open
        self._children: dict[int, Child] = {}
        self._starting: dict[int, tuple[asyncio.Future[Child], Child]] = {}
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        ours, theirs = socket.socketpair()
        passed = [theirs.fileno()] + ([self._keep_open] if self._keep_open is not None else [])
        command = [sys.executable, "-I", "-S", str(Path(guardian.__file__)), str(theirs.fileno())]
        with theirs:
            self._guardian = subprocess.Popen(  # noqa: ASYNC220  (a few milliseconds, once)
                command, pass_fds=passed, start_new_session=True, stdin=subprocess.DEVNULL, cwd="/"
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        self._listening = asyncio.create_task(self._listen(), name="guardian")
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(child.stop() for child in list(self._children.values())))
        self._writer.close()
        await self._listening
        await asyncio.to_thread(self._guardian.wait)

    async def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        stop_signal: int = signal.SIGTERM,
        account: Account | None = None,
    ) -> Child:
        """Start a process; raises PartFailed when it cannot be executed at all."""
        put_aside_when_large(log)
        number = next(self._numbers)
        request = {
            "argv": list(argv),
            "env": dict(os.environ if env is None else env),
            "cwd": str(cwd),
            "log": str(log),
            "stop_signal": int(stop_signal),
            "account": None if account is None else (account.uid, account.gid, account.reach_all_folders),
        }
        started: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._starting[number] = (started, Child(name, 0, log, int(stop_signal)))
        self._writer.write(json.dumps({"id": number, "start": request}).encode() + b"\n")
        return await started

    async def run(self, name: str, argv: Sequence[str], *, timeout: float = 60, **options: Any) -> None:
        """Run a process to its end; raises PartFailed unless it ends with code 0 in time (seconds)."""
        child = await self.start(name, argv, **options)
        try:
            code = await asyncio.wait_for(child.wait(), timeout)
        except TimeoutError:
            child.kill()
            raise PartFailed(f"{name} did not end within {timeout:.0f} s; see {child.log}.") from None
        if code:
            raise PartFailed(f"{name} ended with code {code}; see {child.log}:\n{child.last_words()}")

    async def _listen(self) -> None:
        with contextlib.suppress(OSError):
            async for line in self._reader:
                self._handle(json.loads(line))
        for pid in list(self._children):  # the guardian is gone, and every child with it
            self._children.pop(pid).ended(-signal.SIGKILL)
        for started, _ in self._starting.values():
            started.cancel()

    def _handle(self, message: dict[str, Any]) -> None:
        if "exited" in message:
            self._children.pop(message["exited"]).ended(message["code"])
            return
        started, child = self._starting.pop(message["id"])
        if "pid" in message:
            child.pid = message["pid"]
            self._children[child.pid] = child
        if started.cancelled():
            child.kill()
        elif "pid" in message:
            started.set_result(child)
        else:
            started.set_exception(PartFailed(f"{child.name} could not be started: {message['error']}"))


def put_aside_when_large(log: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_name(log.name + ".1"))


def python_environment() -> dict[str, str]:
    """Our environment, in which a Python child finds the project whatever its folder, and writes its log at once."""
    return os.environ | {"PYTHONUNBUFFERED": "1"}
