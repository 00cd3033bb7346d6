"""`orderbus up`, `run` and `migrate`: the whole system, one worker, the databases' schemas."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli import console
from deploy.cli.place import announced, environment_of
from services.registry import SERVICES

if TYPE_CHECKING:
    from deploy.devstack.processes import Services
    from deploy.devstack.stack import Stack

Workers = Annotated[int, typer.Option("--workers", min=1, max=16, help="Processes of each service.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Empty the data folder first.")]


def up(data: console.Data = None, workers: Workers = 1, fresh: Fresh = False) -> None:
    """Run everything on this machine: Kafka, PostgreSQL, a Stripe sandbox, mail, and all services. Ctrl-C ends it."""
    console.run(_up(data, workers, fresh))


async def _up(data: Path | None, workers: int, fresh: bool) -> None:
    from deploy.devstack.stack import Stack  # noqa: PLC0415

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
                raise console.Failure(f"{part.name} ended with code {part.code}; see {part.log}:\n{part.last_words()}")
            for task in (failed, stopped):
                task.cancel()
            console.say("Stopping …")


@contextlib.asynccontextmanager
async def running_services(stack: Stack, workers: int) -> AsyncIterator[Services]:
    """Migrate, start every service and wait until all are ready; meanwhile other commands find them."""
    from deploy.devstack.processes import Services  # noqa: PLC0415

    environment = stack.environment()
    await migrate_all({name: stack.postgres.url(name) for name in SERVICES})
    async with Services(environment, logs=stack.logs, workers=workers, children=stack.children) as services:
        workers_here = ",".join(f"{worker.name}={worker.url}" for worker in services.workers)
        with announced(stack.data, environment | {"ORDERBUS_DEMO__WORKERS": workers_here}):
            yield services


async def migrate_all(urls: Mapping[str, str]) -> None:
    from shared.shell.postgres.migration import migrate as migrate_one  # noqa: PLC0415

    def one_after_another() -> None:
        for service, url in urls.items():
            migrate_one(service, url)

    await asyncio.to_thread(one_after_another)


def stop_event() -> asyncio.Event:
    """Set by Ctrl-C or SIGTERM."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def where_things_are(stack: Stack, services: Services) -> str:
    edges = "\n".join(f"  {worker.name:<18}{worker.url}" for worker in services.workers)
    folder = "" if stack.data == _default() else f" --data {stack.data}"
    return (
        f"orderbus is up.\n{edges}\n"
        f"  {'Kafka':<18}{stack.kafka.bootstrap_servers}\n"
        f"  {'PostgreSQL':<18}127.0.0.1:{stack.ports['postgres']}, role orderbus\n"
        f"  {'Stripe sandbox':<18}{stack.stripe_url}\n"
        f"  {'mails':<18}{stack.data / 'outside' / 'mails'}  (SMTP 127.0.0.1:{stack.ports['smtp']})\n"
        f"  {'logs':<18}{stack.logs}\n"
        f"The bearer token and all other settings: {stack.data / 'environment.json'}\n"
        f"Next: `orderbus orders{folder}`, `orderbus watch{folder}`. Ctrl-C stops everything."
    )


def _default() -> Path:
    from deploy.devstack.data_folder import default_folder  # noqa: PLC0415

    return default_folder().expanduser().resolve()


def run(
    service: Annotated[str, typer.Argument(help=", ".join(SERVICES))],
    worker: Annotated[int, typer.Option("--worker", min=0, help="Index of this worker of the service.")] = 0,
    port: Annotated[int | None, typer.Option("--port", help="HTTP port instead of the configured one; 0: any.")] = None,
    catch_up: Annotated[
        bool, typer.Option("--catch-up", help="After a restore: read all partitions in the order of time, alone.")
    ] = False,
    data: console.Data = None,
) -> None:
    """Run one worker of one service, against the Kafka and PostgreSQL that the settings name."""
    from deploy.worker import main  # noqa: PLC0415

    _known(service)
    if data is not None:
        os.environ.update(environment_of(data))
    arguments = [service, "--worker", str(worker)] + ([] if port is None else ["--port", str(port)])
    arguments += ["--catch-up"] if catch_up else []
    raise typer.Exit(main(arguments))


def migrate(
    service: Annotated[str | None, typer.Argument(help="One service; all of them where missing.")] = None,
    data: console.Data = None,
) -> None:
    """Bring the services' databases to the newest schema."""
    from deploy.cli.place import settings_of  # noqa: PLC0415

    if service is not None:
        _known(service)
    settings = settings_of(data)
    names = SERVICES if service is None else (service,)
    try:
        console.run(migrate_all({name: settings.service(name).database_url for name in names}))
    except OSError as trouble:
        raise console.Failure(f"The database cannot be reached: {trouble}") from None
    console.say(f"Migrated: {', '.join(names)}.")


def _known(service: str) -> None:
    if service not in SERVICES:
        raise console.Failure(f"There is no service {service}; there are {', '.join(SERVICES)}.", console.WRONG)
