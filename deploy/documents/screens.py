"""`python -m deploy.documents.screens` runs a small demo, and writes what the main tables of the command line look like
in a terminal of 80 columns into `docs/screens.md` (about a minute).

The tables' columns come from the code: `tests/unit/test_screens.py` finds those that it does not have any more, and
needs no run.
"""

from __future__ import annotations

import asyncio
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

from aiokafka import AIOKafkaProducer

from shared.contracts.payments import EVENTS

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs/screens.md"
COLUMNS = 80
SCREENS: Mapping[str, str] = {
    "orders": "The latest orders.",
    "order {completed}": "One order: its amounts, items, payments and timeline. This one is completed.",
    "order {refunded}": "One that was refunded.",
    "order {expired}": "One that was not paid in time.",
    "products list lighthouse": "What a store sells.",
    "stock list lighthouse": "The stock of a store.",
    "stock history lighthouse print": "How a SKU's stock has changed.",
    "stores list": "The stores.",
    "stores show lighthouse": "The settings of a store.",
    "webhooks list lighthouse": "Where a store's events are sent.",
    "feed lighthouse": "What the staff of a store have not read yet.",
    "files list lighthouse": "What customers of a store can download.",
    "waiting --timers": "Timers that are late.",
    "payments owed": "What is owed to customers.",
    "attention": "What waits for staff, in all services.",
    "check": "Whether all invariants hold.",
    "doctor": "What is reachable, in which version.",
    "top --once": "What the workers do.",
    "parked list": "Messages that could not be handled. This one was written to a topic by hand.",
}
"""Commands, and what each shows. `{refunded}`: the number of an order that was refunded."""
STATUSES = ("completed", "refunded", "expired")
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
        name = heading(command)
        parts.append(f"\n## {name}\n\n{SCREENS[command]}\n\n```text\n{lines.strip(chr(10))}\n```\n")
    return "".join(parts)


def heading(command: str) -> str:
    return f"orderbus {re.sub(r'{.*}', 'ORDER', command)}" + (
        f", {found[1]}" if (found := re.search(r"{(.*)}", command)) else ""
    )


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
    """What a command prints in a terminal. Raises RuntimeError."""
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
        raise RuntimeError(f"{shlex.join(arguments)} ended with {code}:\n{printed.decode()}")
    return printed.decode().replace("\r\n", "\n")


BROKEN = "parked list"


async def park(environment: str) -> None:
    """Write a record that no service can handle. `environment`: as `orderbus env` prints it."""
    servers = re.search(r"export KAFKA=(\S+)", environment)
    assert servers, environment
    producer = AIOKafkaProducer(bootstrap_servers=servers[1].strip("'"))
    await producer.start()
    headers = [("ce_type", b"payment.captured"), ("ce_id", b"not-an-id")]
    await producer.send_and_wait(EVENTS.name, b"{}", key=b"o-by-hand", headers=headers)
    await producer.stop()
    await asyncio.sleep(2)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="orderbus-screens-") as folder:
        environment = {**os.environ, "XDG_DATA_HOME": folder, "COLUMNS": str(COLUMNS), "TERM": "dumb", "NO_COLOR": "1"}
        with running(environment):
            listed = orderbus(environment, "orders")
            found = {status: re.search(rf"^(ORD-\S+)\s+{status}", listed, re.MULTILINE) for status in STATUSES}
            numbers = {status: one[1] if one else "" for status, one in found.items()}
            texts = {}
            for command in SCREENS:
                if command == BROKEN:
                    asyncio.run(park(orderbus(environment, "env")))
                printed = in_terminal(environment, *shlex.split(command.format(**numbers)))
                texts[command] = printed.replace(folder, "~/.local/share").replace(str(PROJECT), "~/orderbus")
    PAGE.write_text(page(texts), encoding="utf-8")
    sys.stdout.write(f"Wrote {PAGE}.\n")


if __name__ == "__main__":
    main()
