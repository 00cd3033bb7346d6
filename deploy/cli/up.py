"""`orderbus up`: the whole system on this machine."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from deploy.cli import console
from deploy.cli.errors import Failure, UsageError
from deploy.cli.event_loop import on_event_loop, stop_event
from deploy.cli.options import Data, Workers
from deploy.cli.startup import running_system
from deploy.cli.target import OWN_SETTINGS
from deploy.client.local_stack import FILE, default_folder
from deploy.devstack.processes import Services
from deploy.devstack.stack import Stack
from services.staff.people.command_line import any_user, invite_by_command
from shared.shell.postgres.engine import CONNECTION_SETTINGS, new_engine

Fresh = Annotated[bool, typer.Option("--fresh", help="Delete the contents of the data folder first.")]
Brokers = Annotated[
    int | None,
    typer.Option(
        "--brokers",
        metavar="N",
        min=1,
        max=3,
        help="Kafka brokers in a new data folder: 1 (default), or 3, as in production. Replication is then 3.",
    ),
]


@on_event_loop
async def up(data: Data = None, workers: Workers = 1, fresh: Fresh = False, brokers: Brokers = None) -> None:
    """Run everything here: Kafka, PostgreSQL, all services.

    A Stripe sandbox, a mail server and a webhook receiver run with them. Ctrl-C stops everything; the next start
    continues with what is in the data folder.
    """
    if brokers == 2:
        raise UsageError("--brokers is 1 or 3: with two brokers, none of them may be down.")
    stopping = stop_event()
    async with running_system(data, workers, fresh=fresh, brokers=brokers) as (stack, services):
        console.say(where_things_are(stack, services))
        if link := await first_admin(stack):
            console.say(f"No user of staff has joined yet. The first admin ({FIRST}) joins once by\n  {link}")
        failed = asyncio.create_task(stack.failed())
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({failed, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if failed.done() and not stopping.is_set():
            part = failed.result()
            raise Failure(f"{part.name} exited with code {part.code}. See {part.log}:\n{part.last_words()}")
        for task in (failed, stopped):
            task.cancel()
        console.say("Stopping …")


FIRST = "admin@orderbus.example"
"""Their address: `orderbus staff invite` takes any other."""


async def first_admin(stack: Stack) -> str:
    """A link by which they join; empty where there are users."""
    url = stack.postgres.url("staff")
    engine = new_engine(url, CONNECTION_SETTINGS)
    try:
        if await any_user(engine):
            return ""
        link = await invite_by_command(engine, FIRST, "admin", public_url=f"http://127.0.0.1:{stack.ports['staff']}")
        return link.link
    finally:
        await engine.dispose()


def where_things_are(stack: Stack, services: Services) -> str:
    workers = "\n".join(f"  {worker.name:<18}{worker.url}" for worker in (*services.workers, *services.readers))
    elsewhere = any(os.environ.get(name) for name in OWN_SETTINGS)
    usual = stack.data == default_folder().expanduser().resolve() and not elsewhere
    folder = "" if usual else f" --data {stack.data}"
    return (
        f"orderbus is up.\n{workers}\n"
        f"  {'Kafka':<18}{stack.kafka.bootstrap_servers}\n"
        f"  {'PostgreSQL':<18}127.0.0.1:{stack.ports['postgres']}, role orderbus\n"
        f"  {'Stripe sandbox':<18}{stack.stripe_url}\n"
        f"  {'emails':<18}{stack.data / 'outside' / 'mails'}  (SMTP 127.0.0.1:{stack.ports['smtp']})\n"
        f"  {'logs':<18}{stack.logs}\n"
        f"Its settings, with the bearer token, are in {stack.data / FILE}.\n"
        f"{next_steps(folder)}"
    )


def next_steps(folder: str) -> str:
    """`folder`: the option by which commands find it."""
    return (
        "Next, in another terminal:\n"
        f"  orderbus shop{folder}\n"
        f"  orderbus publish docs/examples/checkout.json --follow{folder}\n"
        f"  orderbus orders{folder}\n"
        "Ctrl-C stops everything here. What is in the folder stays."
    )
