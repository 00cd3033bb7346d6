"""The services of a running stack: migrated, started, and found by other processes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from deploy.client.local_stack import WORKERS, announced
from deploy.devstack.processes import Services
from deploy.devstack.stack import Stack
from services.registry import READERS, SERVICES
from shared.shell.postgres.migration import migrate


@contextlib.asynccontextmanager
async def running_services(stack: Stack, workers: int) -> AsyncIterator[Services]:
    """Migrate, start every service and wait until all are ready; meanwhile `orderbus` commands find them."""
    for name in SERVICES:
        await asyncio.to_thread(migrate, name, stack.postgres.url(name))
    environment = stack.environment()
    async with Services(
        environment, logs=stack.logs, workers=workers, readers=READERS, children=stack.children
    ) as services:
        workers_here = ",".join(f"{worker.name}={worker.url}" for worker in services.workers)
        with announced(stack.data, environment | {WORKERS: workers_here}):
            yield services
