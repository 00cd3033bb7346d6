"""`orderbus up`: the whole system on this machine."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from deploy.cli import console
from deploy.cli.errors import Failure
from deploy.cli.event_loop import on_event_loop, stop_event
from deploy.cli.options import Data, Workers
from deploy.client.local_stack import FILE, default_folder
from deploy.devstack.processes import Services
from deploy.devstack.services import running_services
from deploy.devstack.stack import Stack

Fresh = Annotated[bool, typer.Option("--fresh", help="Empty the data folder first.")]


@on_event_loop
async def up(data: Data = None, workers: Workers = 1, fresh: Fresh = False) -> None:
    """Run everything here: Kafka, PostgreSQL, all services.

    Also a Stripe sandbox, a mail server and a webhook receiver. Ctrl-C stops all of it; the next start continues from
    the data folder.
    """
    stopping = stop_event()
    console.say("Starting Kafka, PostgreSQL, the Stripe sandbox and the outside world …")
    async with Stack(data, fresh) as stack:
        console.say(f"The stack is ready after {stack.seconds_to_ready:.1f} s; starting the services …")
        async with running_services(stack, workers) as services:
            console.say(where_things_are(stack, services))
            failed = asyncio.create_task(stack.failed())
            stopped = asyncio.create_task(stopping.wait())
            await asyncio.wait({failed, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done() and not stopping.is_set():
                part = failed.result()
                raise Failure(f"{part.name} ended with code {part.code}; see {part.log}:\n{part.last_words()}")
            for task in (failed, stopped):
                task.cancel()
            console.say("Stopping …")


def where_things_are(stack: Stack, services: Services) -> str:
    edges = "\n".join(f"  {worker.name:<18}{worker.url}" for worker in services.workers)
    folder = "" if stack.data == default_folder().expanduser().resolve() else f" --data {stack.data}"
    return (
        f"orderbus is up.\n{edges}\n"
        f"  {'Kafka':<18}{stack.kafka.bootstrap_servers}\n"
        f"  {'PostgreSQL':<18}127.0.0.1:{stack.ports['postgres']}, role orderbus\n"
        f"  {'Stripe sandbox':<18}{stack.stripe_url}\n"
        f"  {'emails':<18}{stack.data / 'outside' / 'mails'}  (SMTP 127.0.0.1:{stack.ports['smtp']})\n"
        f"  {'logs':<18}{stack.logs}\n"
        f"The bearer token and all other settings: {stack.data / FILE}\n"
        f"Next: `orderbus orders{folder}`, `orderbus watch{folder}`. Ctrl-C stops everything."
    )
