"""All tests, as `make test` runs them: two parts at a time, since most tests with servers wait more than they compute.
Their files are in memory if there is room: a database for each test, and stacks that write as durably as in production,
would mostly wait for the disk. `pytest` alone runs all one after the other, with files where TMPDIR says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import IO

import psutil

PARTS = (("integration",), ("simulation",), ("faults",), ("e2e",), ("unit",), ("contracts", "fuzz"), ("browser",))
"""Each is a run of pytest. The longest come first."""
AT_ONCE = 2
LOOK_SECONDS = 0.2

MEMORY = Path("/dev/shm")  # noqa: S108 - what is made there is private, and gone at the end
ROOM = 8 << 30
"""Bytes of MEMORY that must be free, and half of what must be free of the machine's. A whole run has used 2.6 GB."""


@contextmanager
def place() -> Iterator[dict[str, str]]:
    """The variables that name it."""
    free = shutil.disk_usage(MEMORY).free if MEMORY.is_dir() else 0
    if "TMPDIR" in os.environ or free < ROOM or psutil.virtual_memory().available < 2 * ROOM:
        yield {}
        return
    with TemporaryDirectory(prefix="orderbus-tests-", dir=MEMORY, ignore_cleanup_errors=True) as folder:
        yield {"TMPDIR": folder}


def run(folders: tuple[str, ...], output: IO[bytes], variables: dict[str, str]) -> int:
    """The exit code."""
    command = [str(Path(sys.executable).parent / "pytest"), *(f"tests/{folder}" for folder in folders)]
    environment = os.environ | variables
    return subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False, env=environment).returncode


def show(output: IO[bytes]) -> None:
    """Print what has come since the last time."""
    shutil.copyfileobj(output, sys.stdout.buffer)
    sys.stdout.flush()


def main() -> int:
    """The exit code: 0 if all passed. The output of one part after the other, in their order."""
    with place() as variables, ExitStack() as files, ThreadPoolExecutor(AT_ONCE) as pool:
        written = [files.enter_context(NamedTemporaryFile()) for _ in PARTS]
        read = [files.enter_context(Path(file.name).open("rb")) for file in written]
        runs = [pool.submit(run, part, file, variables) for part, file in zip(PARTS, written, strict=True)]
        try:
            for each, output in zip(runs, read, strict=True):
                while not each.done():
                    show(output)
                    time.sleep(LOOK_SECONDS)
                show(output)
            return max(abs(each.result()) for each in runs)
        except KeyboardInterrupt:  # the parts under way were interrupted, too
            return 2
        finally:
            pool.shutdown(cancel_futures=True)
            for output in read:
                show(output)


if __name__ == "__main__":
    sys.exit(main())
