"""What `orderbus doctor` asks of each part of the system. A probe gives version or state, or raises."""

from __future__ import annotations

import asyncio
import platform
import sys
from pathlib import Path
from typing import Any

import asyncpg
import stripe
from aiokafka.admin import AIOKafkaAdminClient

from deploy.cli.errors import Failure
from deploy.client.http import ApiClient, api_url
from services.notifications.settings import NotificationsSettings
from services.payments.settings import PaymentsSettings
from shared.contracts import TOPICS
from shared.settings import Settings, load_settings
from shared.shell.kafka.source import connection

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
    except Exception as trouble:
        raise Failure(f"{settings.kafka.bootstrap_servers} cannot be reached ({type(trouble).__name__})") from trouble
    finally:
        await admin.close()
    ours = sum(topic.name in there for topic in TOPICS)
    rest = "" if ours == len(TOPICS) else " (the services make the others when they start)"
    brokers = len(cluster["brokers"])
    return f"{brokers} broker at {settings.kafka.bootstrap_servers}, {ours} of {len(TOPICS)} topics{rest}"


async def database(settings: Settings, name: str) -> str:
    url = settings.service(name).database_url.replace("+asyncpg", "")
    try:
        session = await asyncpg.connect(url, timeout=TIMEOUT)
    except (OSError, asyncpg.PostgresError) as trouble:
        raise Failure(f"cannot be reached: {trouble}") from trouble
    try:
        server = str(await session.fetchval("show server_version")).split()[0]
        known = await session.fetchval("select to_regclass('alembic_version')")
        revision = await session.fetchval("select version_num from alembic_version") if known else None
    finally:
        await session.close()
    newest = newest_revision(name)
    if revision != newest:
        raise Failure(
            f"PostgreSQL {server}, schema at {revision or 'nothing'} instead of {newest}: run `orderbus migrate`"
        )
    return f"PostgreSQL {server}, schema at {revision}"


def newest_revision(name: str) -> str:
    """By the migrations' file names: `0001_first.py`."""
    folder = Path(__file__).parents[2] / "services" / name / "migrations" / "versions"
    return max(path.name.split("_")[0] for path in folder.glob("[0-9]*.py"))


async def service(settings: Settings, name: str) -> str:
    async with ApiClient.of(settings) as edges:
        missing = await edges.ready(name)
        if missing:
            raise Failure(f"is not ready at {api_url(settings, name)}: {', '.join(missing)}")
        notes = list((await edges.get(name, "/ready")).get("notes", ()))
        await edges.get(name, "/parked")  # that the bearer token is right
        numbers = await edges.metrics(name)
        paused = (await edges.get(name, "/destinations"))["paused"]
    if paused:
        reasons = "; ".join(f"{one['destination']} since {one['since'][:19]}: {one['reason']}" for one in paused)
        raise Failure(f"is ready, but paused is {reasons}. Mend it, then `orderbus resume {name} DESTINATION`")
    waiting = (
        ("orderbus_parked", "messages parked"),
        ("orderbus_undeliverable", "records undeliverable"),
        ("orderbus_timers_late", "timers late"),
    )
    for gauge, text in waiting:
        if count := int(numbers.get(gauge, 0)):
            notes.append(f"{count} {text}")
    return ", ".join([f"ready at {api_url(settings, name)}", *notes])


async def stripe_api() -> str:
    settings = load_settings(PaymentsSettings).stripe
    key = settings.api_key.get_secret_value()
    addresses: Any = {"api": settings.api_base}
    client = stripe.StripeClient(key, base_addresses=addresses, http_client=stripe.HTTPXClient(timeout=TIMEOUT))
    try:
        await client.v1.payment_intents.list_async({"limit": 1})
    except stripe.AuthenticationError:
        raise Failure("does not accept the key in ORDERBUS_STRIPE__API_KEY") from None
    except stripe.StripeError as trouble:
        raise Failure(f"{settings.api_base} cannot be reached ({type(trouble).__name__})") from None
    sandbox = " (sandbox)" if "127.0.0.1" in settings.api_base else ""
    return f"SDK {stripe.VERSION}, key accepted at {settings.api_base}{sandbox}"


async def smtp() -> str:
    settings = load_settings(NotificationsSettings).smtp
    try:
        reader, writer = await asyncio.open_connection(settings.host, settings.port)
    except OSError as trouble:
        raise Failure(f"{settings.host}:{settings.port} cannot be reached: {trouble.strerror}") from trouble
    greeting = (await reader.readline()).decode("utf-8", "replace").strip() if settings.tls != "tls" else "TLS"
    writer.close()
    return f"{settings.host}:{settings.port} says {greeting!r}"
