"""The probes of `orderbus doctor`. Each returns the version or state of one part of the system, or raises an error."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Sequence
from typing import Any

import aiosmtplib
import sqlalchemy as sa
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy.pool import NullPool

from deploy.cli.console import counted, day_and_clock
from deploy.cli.errors import Failure
from deploy.client.http import ApiClient, api_url, no_address
from deploy.settings import database_of, load_mail_settings, load_process_settings
from services.notifications.gateways.smtp import connected, unusable
from services.notifications.settings import SmtpSettings
from services.payments.gateways.provider import Provider
from services.registry import SERVICES
from shared.contracts import TOPICS
from shared.settings import Settings, name_of
from shared.shell.kafka.cluster import cluster_id
from shared.shell.kafka.refusals import unusable_kafka
from shared.shell.kafka.source import connection
from shared.shell.kafka.tls import KafkaRefused
from shared.shell.kafka.topic_retention import retention_findings, topic_settings
from shared.shell.kafka.topics import dead_letters, wrong_partitions
from shared.shell.observability.telemetry import traces_refused
from shared.shell.ports.bus import BusUnavailable
from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres.connections import Connections
from shared.shell.postgres.engine import new_engine
from shared.shell.postgres.identity import DatabaseIdentity, identity
from shared.shell.postgres.refusals import DatabaseUnreachable, checked, fits
from shared.shell.postgres.revision import newest_revision

OTLP = name_of(("telemetry", "otlp_endpoint"))
SHOWN = 3
"""Topics that are named."""
TIMEOUT = 8.0
"""Seconds that each probe may take."""


async def python() -> str:
    return f"{platform.python_version()} ({sys.executable})"


async def kafka(settings: Settings) -> str:
    admin = AIOKafkaAdminClient(**connection(settings.kafka))
    try:
        await admin.start()
        cluster: dict[str, Any] = await admin.describe_cluster()
        there = set(await admin.list_topics())
        names = [topic.name for topic in (*TOPICS, *map(dead_letters, SERVICES))]
        ours = [name for name in names if name in there]
        wrong = wrong_partitions(settings.kafka, await admin.describe_topics(ours) if ours else [])
        retention = retention_findings(settings.kafka, await topic_settings(admin, ours))
    except Exception as trouble:
        raise Failure(str(await unusable_kafka(settings.kafka, trouble))) from trouble
    finally:
        await admin.close()
    if said := wrong or retention.wrong or retention.short:
        raise Failure(said)
    missing = [name for name in names if name not in there]
    rest = f" (the services create the others when they start: {_some(missing)})" if missing else ""
    brokers = counted(len(cluster["brokers"]), "broker")
    return f"{brokers} at {settings.kafka.bootstrap_servers}, {len(ours)} of {len(names)} topics{rest}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


async def traces(endpoint: str) -> str:
    """The collector that traces are sent to."""
    if said := await asyncio.to_thread(traces_refused, endpoint):
        raise Failure(f"{OTLP}: {endpoint} takes no traces ({said}). Name a collector for OTLP over HTTP")
    return f"{endpoint} takes traces"


async def database(settings: Settings, name: str) -> str:
    url = database_of(settings, name)
    engine = new_engine(url, poolclass=NullPool)
    try:
        await checked(name, url, engine, writes=False)
        async with engine.connect() as connection:
            server = str(await connection.scalar(sa.text("show server_version"))).split()[0]
            revision = str(await connection.scalar(sa.text("select version_num from alembic_version")))
        known = await identity(Connections(engine).fetch)
        problem = await fits(name, settings.service(name), engine)
    except DatabaseUnreachable as trouble:
        raise Failure(str(trouble)) from trouble
    except StoreUnavailable as trouble:
        raise Failure(f"cannot be reached: {trouble}") from trouble
    finally:
        await engine.dispose()
    if problem:
        raise Failure(f"PostgreSQL {server}, but {problem}")
    newest = newest_revision(name)
    known.check_service(name)
    compared = await _compared(known, settings, name) if known.cluster else ""
    newer = "" if revision == newest else f", which a newer build has made; this one's is {newest}"
    return f"PostgreSQL {server}, schema at {revision}{newer}{compared}"


async def _compared(known: DatabaseIdentity, settings: Settings, name: str) -> str:
    """Raises WrongCluster. That Kafka cannot be asked says nothing about the database."""
    try:
        async with asyncio.timeout(TIMEOUT / 2):
            known.check_cluster(name, await cluster_id(settings.kafka))
    except (BusUnavailable, KafkaRefused, TimeoutError):
        return "; whether it belongs to this Kafka cluster is not known, for that cannot be asked"
    return ""


async def service(settings: Settings, name: str) -> str:
    async with ApiClient.of(settings) as api:
        address = await ready(settings, api, name)
        notes = list((await api.get(name, "/ready")).get("notes", ()))
        await api.get(name, "/parked")  # fails unless the bearer token is valid
        numbers = await api.metrics(name)
        paused = (await api.get(name, "/destinations"))["paused"]
    if paused:
        reasons = "; ".join(
            f"{one['destination']} since {day_and_clock(one['since'])}: {one['reason']}" for one in paused
        )
        resume = f"orderbus resume {name} {paused[0]['destination']}"
        raise Failure(f"calls are paused to {reasons}. Fix the cause, then run `{resume}`")
    waiting = (
        ("orderbus_parked", "message", "parked"),
        ("orderbus_undeliverable", "record", "undeliverable"),
        ("orderbus_timers_late", "timer", "late"),
    )
    for gauge, noun, state in waiting:
        if count := int(numbers.get(gauge, 0)):
            notes.append(f"{counted(count, noun)} {state}")
    return ", ".join([f"ready at {address}", *notes])


async def reader(settings: Settings, name: str) -> str:
    async with ApiClient.of(settings) as api:
        address = await ready(settings, api, name)
        lag = int((await api.metrics(name)).get("orderbus_lag", 0))
    return f"ready at {address}" + (f", {counted(lag, 'record')} behind" if lag else "")


async def ready(settings: Settings, api: ApiClient, name: str) -> str:
    """The address of a process. Raises Failure unless it is ready."""
    address = api_url(settings, name)
    if said := no_address(settings, name):
        raise Failure(said)
    missing = await api.ready(name)
    if missing == ["process"]:
        raise Failure(f"nothing answers at {address}: start a worker with `orderbus run {name}`")
    if missing:
        raise Failure(f"not ready at {address}: {', '.join(missing)}")
    return address


async def payment_provider(provider: type[Provider]) -> str:
    settings = load_process_settings("payments")
    return await provider(getattr(settings, provider.name)).probe()


async def smtp() -> str:
    """As notifications connects: with its TLS and its login."""
    settings: SmtpSettings = getattr(load_mail_settings(), "smtp")  # noqa: B009  # the class is made at run time
    settings = settings.model_copy(update={"timeout": min(settings.timeout, TIMEOUT / 2)})
    try:
        client = await connected(settings)
    except (aiosmtplib.SMTPException, OSError) as trouble:
        raise Failure(unusable(trouble, settings)) from trouble
    offered = client.supports_extension("starttls") and settings.tls == "none"
    client.close()
    login = f", login as {settings.username}" if settings.username else ""
    hint = "; it offers STARTTLS, but ORDERBUS_SMTP__TLS is none" if offered else ""
    tls = "without TLS" if settings.tls == "none" else f"with TLS ({settings.tls})"
    return f"{settings.host}:{settings.port} answers {tls}{login}{hint}"
