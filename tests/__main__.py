"""All tests, as `make test` runs them: two parts at a time, since most tests with servers wait more than they compute.
`pytest` alone runs all one after the other."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

PARTS = (("integration",), ("simulation",), ("faults",), ("e2e",), ("unit",), ("contracts", "fuzz"), ("browser",))
"""Each is a run of pytest. The longest come first."""
AT_ONCE = 2
LOOK_SECONDS = 0.2


def run(folders: tuple[str, ...], output: IO[bytes]) -> int:
    """The exit code."""
    command = [str(Path(sys.executable).parent / "pytest"), *(f"tests/{folder}" for folder in folders)]
    return subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode


def show(output: IO[bytes]) -> None:
    """Print what has come since the last time."""
    shutil.copyfileobj(output, sys.stdout.buffer)
    sys.stdout.flush()


def main() -> int:
    """The exit code: 0 if all passed. The output of one part after the other, in their order."""
    with ExitStack() as files, ThreadPoolExecutor(AT_ONCE) as pool:
        written = [files.enter_context(NamedTemporaryFile()) for _ in PARTS]
        read = [files.enter_context(Path(file.name).open("rb")) for file in written]
        runs = [pool.submit(run, part, file) for part, file in zip(PARTS, written, strict=True)]
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
