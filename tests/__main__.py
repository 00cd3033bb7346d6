"""All tests, as `make test` runs them: those that need no servers along with those that do. `pytest` alone runs
them one after the other."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ALONE = ("unit", "contracts", "simulation")
WITH_SERVERS = ("integration", "e2e", "faults", "fuzz")


def pytest(folders: tuple[str, ...]) -> list[str]:
    return [str(Path(sys.executable).parent / "pytest"), *(f"tests/{folder}" for folder in folders)]


def main() -> int:
    """The exit code: 0 if all passed. The output of both, one after the other."""
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(pytest(ALONE), stdout=output, stderr=subprocess.STDOUT) as alone:
            try:
                code = subprocess.run(pytest(WITH_SERVERS), check=False).returncode
                alone.wait()
            except KeyboardInterrupt:
                alone.wait()
                code = 2
        output.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(output.read())
        sys.stdout.flush()
    return code or alone.returncode


if __name__ == "__main__":
    sys.exit(main())
