"""All tests, as `make test` runs them: two halves of about equal length at once, since most tests with servers wait
more than they compute. `pytest` alone runs all one after the other."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

SHOWN = ("integration", "e2e", "fuzz")
AFTERWARDS = ("unit", "contracts", "simulation", "browser", "faults")
"""What their half prints is shown when both are through."""


def pytest(folders: tuple[str, ...]) -> list[str]:
    return [str(Path(sys.executable).parent / "pytest"), *(f"tests/{folder}" for folder in folders)]


def main() -> int:
    """The exit code: 0 if all passed. The output of both, one after the other."""
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(pytest(AFTERWARDS), stdout=output, stderr=subprocess.STDOUT) as other:
            try:
                code = subprocess.run(pytest(SHOWN), check=False).returncode
                other.wait()
            except KeyboardInterrupt:
                other.wait()
                code = 2
        output.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(output.read())
        sys.stdout.flush()
    return code or other.returncode


if __name__ == "__main__":
    sys.exit(main())
