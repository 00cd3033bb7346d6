"""The disk that holds everything fills up while orders flow: it is said clearly, and with room again all goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from deploy.devstack.processes import Worker
from tests.faults.scenario import FaultScenario
from tests.faults.system import System, running_system
from tests.faults.table import LONG

ROOM = 1200 if LONG else 300
"""MB. A new stack takes 90, and every thousand orders some 150."""
FULL = 15.0 if LONG else 4.0
"""Seconds without room after the first part has ended."""
NOTICED = 30.0
"""Seconds within which the parts fail, and the workers know what they miss."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file system of its own, in memory."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root on Linux may mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = _run("mount", "-t", "tmpfs", "-o", f"size={ROOM}m", "tmpfs", str(folder))
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    with _unmounted_after(folder):
        yield folder


@contextlib.contextmanager
def _unmounted_after(folder: Path) -> Iterator[None]:
    """By a process of its own that waits for our end, so that not even SIGKILL leaves the disk mounted."""
    umount = ["sh", "-c", 'cat; umount "$0" || umount -l "$0"', str(folder)]
    with subprocess.Popen(umount, stdin=subprocess.PIPE, start_new_session=True):  # its end is waited for
        yield


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest_asyncio.fixture(loop_scope="session")
async def system(small_disk: Path) -> AsyncIterator[System]:
    async with running_system(small_disk / "data", workers=1) as system:
        yield system


async def test_the_disk_is_full_for_a_while(scenario: FaultScenario, small_disk: Path) -> None:
    system = scenario.system

    async def break_it() -> None:
        with _no_room_on(small_disk):
            failed = await asyncio.wait_for(system.stack.failed(), NOTICED)
            assert f"The disk of {system.stack.logs} is full" in failed.last_words()
            await asyncio.sleep(FULL)
            async with asyncio.timeout(NOTICED):
                while not {"kafka", "database"} & {*await _missing(system.services.worker("checkout"))}:
                    await asyncio.sleep(0.5)
        for part in system.stack.parts:  # as the next `orderbus up` does
            if part.child and not part.child.running:
                await part.start()
        await system.services.until_ready()

    await scenario.survives("(g) full disk, then room again", break_it)


@contextlib.contextmanager
def _no_room_on(disk: Path) -> Iterator[None]:
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
        yield
    finally:
        filler.unlink()


async def _missing(worker: Worker) -> list[str]:
    """What the worker says that it lacks; nothing while it does not answer."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with aiohttp.ClientSession() as session, session.get(f"{worker.url}/ready") as answer:
            missing: list[str] = (await answer.json())["missing"]
            return missing
    return []
