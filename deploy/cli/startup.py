"""Starting the whole system, with progress on standard error."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from deploy.cli import console
from deploy.devstack.processes import Services
from deploy.devstack.services import running_services
from deploy.devstack.stack import Stack


@contextlib.asynccontextmanager
async def running_system(
    data: Path | None, workers: int, *, fresh: bool, brokers: int | None = None
) -> AsyncIterator[tuple[Stack, Services]]:
    """The embedded stack and all services, ready. Raises StackError."""
    console.say("Starting Kafka, PostgreSQL, the Stripe sandbox and the receivers of emails and webhooks …")
    async with Stack(data, fresh, brokers) as stack:
        console.say(f"Ready after {stack.seconds_to_ready:.1f} s. Starting the services …")
        async with running_services(stack, workers) as services:
            yield stack, services
