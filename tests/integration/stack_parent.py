"""A program that runs a stack until it is stopped: `python -m tests.integration.stack_parent DATA [BROKERS]`.

It prints the pids of the parts."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from deploy.devstack.errors import StackError
from deploy.devstack.stack import Stack


async def main(data: Path, brokers: int | None) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)  # type: ignore[union-attr]
    async with Stack(data, brokers=brokers) as stack:
        pids = [part.child.pid for part in stack.parts if part.child]
        print(json.dumps({"pids": pids, "parent": os.getpid()}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    # As at a terminal, also where the tests run in the background: a shell starts such jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else None))
    except StackError as problem:
        sys.exit(str(problem))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(3)
