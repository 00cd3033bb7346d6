"""All tests, as `make test` runs them: two parts at a time, since most tests with servers wait more than they compute.
`pytest` alone runs all one after the other."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PARTS = (("integration",), ("simulation",), ("faults",), ("e2e",), ("unit", "contracts"), ("fuzz",), ("browser",))
"""Each is a run of pytest. The longest come first."""
AT_ONCE = 2
LOOK_SECONDS = 0.2


@dataclass
class Run:
    """One part, and the file that its output goes to."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]


def started(folders: tuple[str, ...], output: IO[bytes]) -> Run:
    command = [str(Path(sys.executable).parent / "pytest"), *(f"tests/{folder}" for folder in folders)]
    return Run(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT), output)


def show(shown: int, run: Run) -> int:
    """Print what is new of its output; returns how much of it is shown then."""
    with Path(run.output.name).open("rb") as file:
        file.seek(shown)
        sys.stdout.buffer.write(text := file.read())
    sys.stdout.flush()
    return shown + len(text)


def main() -> int:
    """The exit code: 0 if all passed. The output of one part after the other, in their order."""
    runs: list[Run] = []
    at, shown = 0, 0
    with ExitStack() as files:
        outputs = [files.enter_context(tempfile.NamedTemporaryFile()) for _ in PARTS]
        try:
            while at < len(PARTS):
                while len(runs) < len(PARTS) and sum(1 for _ in _under_way(runs)) < AT_ONCE:
                    runs.append(started(PARTS[len(runs)], outputs[len(runs)]))
                over = runs[at].process.poll() is not None
                shown = show(shown, runs[at])
                if over:
                    at, shown = at + 1, 0
                else:
                    time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:  # they were interrupted, too
            for run in runs:
                run.process.wait()
            for run in runs[at:]:
                show(shown, run)
                shown = 0
            return 2
    return max((abs(run.process.returncode) for run in runs), default=0)


def _under_way(runs: list[Run]) -> Iterator[Run]:
    return (run for run in runs if run.process.poll() is None)


if __name__ == "__main__":
    sys.exit(main())
