"""After an operator restored one service's database: bring it up to what the topics say, in the right order.

    no worker runs ─► the point ─► the epoch ─► the group set back ─► codes reclaimed ─► parked keys tried ─► caught up

Each step can be repeated. A second run goes on with the restore that the first one began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from deploy.check.reclaim import Reclaimed, reclaim, vault_of
from deploy.restore.database import MARGIN, Restored, RestoredDatabase
from deploy.restore.group import SetBack, set_back
from deploy.restore.own_facts import latest_epoch, read_own_facts
from services.declared import declared
from services.registry import factory_of
from shared.errors import ReportedError
from shared.settings import Settings, name_of
from shared.shell.batch.own_log import OwnLog
from shared.shell.kafka.cluster import cluster_id
from shared.shell.kafka.group_members import members_of
from shared.shell.kafka.source import SESSION_SECONDS
from shared.shell.operations.recall import recalled_kinds
from shared.shell.postgres.connections import Connections
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.generation import NoTables
from shared.shell.postgres.identity import identity
from shared.shell.postgres.refusals import checked
from shared.shell.service.registry import HandlerRegistry
from shared.shell.worker import run_worker

DROPPED_WITHIN = SESSION_SECONDS + 5.0
"""Seconds after which a member that died is no longer in its group."""
Say = Callable[[str], None]


class StillWorking(ReportedError):
    """A worker works on the database that is to be caught up."""


class NoPoint(ReportedError):
    """The database does not say what it was restored to."""

    exit_code = 2


class NotRestored(ReportedError):
    """There is nothing in the database."""

    exit_code = 5

    def __init__(self, service: str) -> None:
        super().__init__(
            f"{name_of((service, 'database_url'))}: this database has no tables. Restore the backup of {service} into "
            "it (“Restore one database” in docs/operations.md), then repeat this; `orderbus migrate` would make an "
            "empty one."
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    restored: Restored
    group: SetBack
    reclaimed: Reclaimed | None
    withheld: int
    """Facts that were decided again and were on the topics already."""
    different: Mapping[str, Sequence[str]]
    """By key, the types of facts that were decided otherwise than the first time."""
    parked: Mapping[str, str]
    """By key that is still parked: why."""
    unfinished: str
    """What had not ended when the time for it was over; empty as a rule."""


async def restore(settings: Settings, service: str, to: datetime | None, say: Say) -> Outcome:
    """Raises StillWorking, NoPoint, BusUnavailable, StoreUnavailable, or ReportedError where the database or Kafka
    cannot be used."""
    url = settings.service(service).database_url.get_secret_value()
    registry = HandlerRegistry(declared()[service])
    await _usable(settings, service, url)
    database = await RestoredDatabase.open(url)
    try:
        no_workers = partial(_no_workers, service, partial(members_of, settings.kafka, service), database.relays)
        await no_workers()
        restored = await _begin(settings, registry, database, to, say)
        await no_workers()  # from here on, none may start
        handled = await database.positions()
        group = await set_back(settings.kafka, service, registry.topics, restored.read_from, handled)
        await database.read_from(group.positions)
        reclaimed = await reclaim(settings.kafka, url, vault_of(settings)) if service == "fulfillment" else None
        log = OwnLog(recalled_kinds(registry.service))
        try:
            await read_own_facts(log, settings.kafka, registry, restored.read_from, restored.to)
            say(f"{service} reads again what came since {restored.read_from:%Y-%m-%d %H:%M:%S} UTC.")
            unfinished = await run_worker(service, factory_of(service), settings, 0, 0, catch_up=log)
        finally:
            log.close()
        await database.caught_up(restored)
        parked = await database.parked()
    finally:
        await database.close()
    different = {key: sorted(kinds) for key, kinds in sorted(log.different.items())}
    return Outcome(restored, group, reclaimed, log.withheld, different, parked, unfinished)


async def _usable(settings: Settings, service: str, url: str) -> None:
    engine = create_engine(url, "restore")
    try:
        await checked(service, url, engine)
        known = await identity(Connections(engine).fetch)
        known.check_cluster(service, await cluster_id(settings.kafka))
    except NoTables:
        raise NotRestored(service) from None
    finally:
        await engine.dispose()


async def _no_workers(
    service: str, members: Callable[[], Awaitable[list[str]]], relays: Callable[[], Awaitable[list[str]]]
) -> None:
    """Wait until those that died are forgotten. Raises StillWorking."""
    found: list[str] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(DROPPED_WITHIN):
            while found := [*await members(), *await relays()]:
                await asyncio.sleep(1.0)
    if found:
        names = ", ".join(dict.fromkeys(found))
        raise StillWorking(f"Workers of {service} are still running ({names}): stop all of them, then repeat this.")


async def _begin(
    settings: Settings, registry: HandlerRegistry, database: RestoredDatabase, to: datetime | None, say: Say
) -> Restored:
    begun = await database.begun()
    if begun is not None:
        say(f"The restore to {begun.to:%Y-%m-%d %H:%M:%S} UTC goes on.")
        return begun if to is None or to >= begun.to else await database.widen(begun, to, to - MARGIN)
    last = await database.last_change(table.table.name for table in registry.service.storage.states)
    if to is not None and to > datetime.now(UTC):
        raise NoPoint(f"{to:%Y-%m-%d %H:%M:%S} UTC is in the future: name the restored point.")
    if to is None and last is None:
        raise NoPoint(
            f"The database of {registry.name} has handled nothing: is the backup restored? If it is of "
            f"a time before the first order, name that time with --to."
        )
    if last is not None and (to is None or last < to):
        say(f"The last change in the database of {registry.name} is of {last:%Y-%m-%d %H:%M:%S} UTC.")
        to = last
    assert to is not None
    read_from = to - MARGIN
    epoch = await latest_epoch(settings.kafka, registry, read_from) + 1
    return await database.begin(epoch, to, read_from)
