"""`python -m deploy.documents.screens` runs a small demo, and writes what the main tables of the command line look like
in a terminal of 80 columns into `docs/screens.md` (about a minute).

The tables' columns come from the code: `tests/unit/test_screens.py` finds those that it does not have any more, and
needs no run.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs/screens.md"
COLUMNS = 80
SCREENS: Mapping[str, str] = {
    "orders": "The latest orders.",
    "order {refunded}": "One order: its amounts, items, payments and timeline. This one was refunded.",
    "stock list lighthouse": "The stock of a store.",
    "stores list": "The stores.",
    "attention": "What waits for staff, in all services.",
    "top --once": "What the workers do.",
}
"""Commands, and what each shows. `{refunded}`: the number of an order that was refunded."""
HEAD = """# Screens

<!-- written by `python -m deploy.documents.screens`: do not edit -->

The main tables of the command line in a terminal of 80 columns, after `orderbus demo --orders 12`. A narrow terminal
leaves out the least important columns; in a pipe every table is whole, and `--json` prints JSON.
"""


def page(texts: Mapping[str, str]) -> str:
    """`texts`: what each command printed."""
    parts = [HEAD]
    for command, text in texts.items():
        lines = "\n".join(line.rstrip() for line in text.splitlines())
        parts.append(f"\n## orderbus {command.split()[0]}\n\n{SCREENS[command]}\n\n```text\n{lines.strip()}\n```\n")
    return "".join(parts)


@contextmanager
def running(environment: Mapping[str, str]) -> Iterator[None]:
    """The embedded stack with what the demo has left there. Raises TimeoutError."""
    orderbus(environment, "demo", "--orders", "12", "--data", f"{environment['XDG_DATA_HOME']}/orderbus/stack")
    up = subprocess.Popen([*COMMAND, "up"], env=environment, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 120
        while subprocess.run([*COMMAND, "orders"], env=environment, capture_output=True, check=False).returncode:
            if time.monotonic() > end:
                raise TimeoutError("the stack is not ready")
            time.sleep(1)
        yield
    finally:
        up.terminate()
        up.wait()


COMMAND = (str(Path(sys.executable).with_name("orderbus")),)


def orderbus(environment: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def in_terminal(environment: Mapping[str, str], *arguments: str) -> str:
    """What a command prints in a terminal. Raises CalledProcessError."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, *arguments], env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    printed = bytearray()
    try:
        while part := os.read(ours, 65536):
            printed += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    if code := process.wait():
        raise subprocess.CalledProcessError(code, arguments, bytes(printed))
    return printed.decode().replace("\r\n", "\n")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="orderbus-screens-") as folder:
        environment = {**os.environ, "XDG_DATA_HOME": folder, "COLUMNS": str(COLUMNS), "TERM": "dumb", "NO_COLOR": "1"}
        with running(environment):
            found = re.search(r"^(ORD-\S+)\s+refunded", orderbus(environment, "orders"), re.MULTILINE)
            refunded = found[1] if found else ""
            texts = {
                command: in_terminal(environment, *shlex.split(command.format(refunded=refunded)))
                for command in SCREENS
            }
    PAGE.write_text(page(texts), encoding="utf-8")
    sys.stdout.write(f"Wrote {PAGE}.\n")


if __name__ == "__main__":
    main()
