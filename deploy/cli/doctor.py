"""`orderbus doctor`: what is here, what is reachable, in which version, and what is missing."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deploy.cli import console
from deploy.cli.place import settings_of
from services.registry import SERVICES

if TYPE_CHECKING:
    from shared.settings import Settings

PATIENCE = 8.0
"""Seconds that each probe may take."""


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    text: str
    """The version or state, or what is missing and what to do about it."""
    needed: bool = True
    """For running orderbus as it is set up; False for what only the embedded stack needs."""


class Trouble(Exception):
    """What a probe found wrong, in a sentence."""


def doctor(data: console.Data = None, as_json: console.AsJson = False) -> None:
    """Say what is reachable, in which version, and what is missing. Exit code 1 when something needed is."""

    async def work() -> None:
        findings = await examined(data)
        if as_json:
            console.show_json({"ok": _well(findings), "findings": [asdict(one) for one in findings]})
        else:
            for one in findings:
                print(f"{'ok' if one.ok else 'MISSING' if one.needed else 'absent':<9}{one.what:<24}{one.text}")
        if not _well(findings):
            raise typer.Exit(console.FAILED)

    console.run(work())


def _well(findings: list[Finding]) -> bool:
    return all(one.ok or not one.needed for one in findings)


async def examined(data: Path | None) -> list[Finding]:
    here = [await _found(name, probe, needed=needed) for name, probe, needed in HERE]
    try:
        settings = settings_of(data)
    except Exception as wrong:
        known = console.expected(wrong) or ((str(wrong), 0) if isinstance(wrong, console.Failure) else None)
        if known is None:
            raise
        return [*here, Finding("settings", ok=False, text=known[0])]
    _load()
    probes = [
        _found("Kafka", lambda: kafka(settings)),
        *(_found(f"database {name}", partial(database, settings, name)) for name in SERVICES),
        *(_found(f"service {name}", partial(service, settings, name)) for name in SERVICES),
        _found("Stripe", stripe_api),
        _found("SMTP", smtp),
    ]
    text = f"Kafka {settings.kafka.bootstrap_servers}"
    return [*here, Finding("settings", ok=True, text=text), *await asyncio.gather(*probes)]


def _load() -> None:
    """Import what the probes need before any of them is timed: on a busy machine this takes seconds."""
    for module in (
        "aiokafka.admin",
        "asyncpg",
        "stripe",
        "deploy.client.http",
        "shared.contracts",
        "shared.shell.kafka.source",
    ):
        import_module(module)


async def _found(what: str, probe: Callable[[], Awaitable[str]], *, needed: bool = True) -> Finding:
    try:
        async with asyncio.timeout(PATIENCE):
            return Finding(what, ok=True, text=await probe(), needed=needed)
    except TimeoutError:
        return Finding(what, ok=False, text=f"does not answer within {PATIENCE:.0f} s", needed=needed)
    except Exception as trouble:  # whatever a probe meets is what it reports
        text = str(trouble) or type(trouble).__name__
        return Finding(what, ok=False, text=text.splitlines()[0], needed=needed)


# What is on this machine


async def python() -> str:
    return f"{platform.python_version()} ({sys.executable})"


async def java() -> str:
    from deploy.devstack.java import find_java  # noqa: PLC0415

    found = find_java()
    return f"{found.version} ({found.executable})"


async def kafka_jars() -> str:
    from deploy.devstack import kafka_jars as jars  # noqa: PLC0415

    folder = jars.cache_folder()
    there = len(list(folder.glob("**/*.jar")))
    if not there:
        raise Trouble(f"Kafka {jars.VERSION} is not fetched yet: `orderbus up` does it (43 MB, once for this user)")
    return f"{jars.VERSION}, {there} files in {folder}"


async def postgres_programs() -> str:
    from deploy.devstack.postgres import find_programs  # noqa: PLC0415

    process = await asyncio.create_subprocess_exec(
        str(find_programs() / "postgres"), "--version", stdout=asyncio.subprocess.PIPE
    )
    return (await process.communicate())[0].decode().strip()


Probe = Callable[[], Awaitable[str]]
HERE: tuple[tuple[str, Probe, bool], ...] = (
    ("Python", python, True),
    ("Java", java, False),
    ("Kafka program", kafka_jars, False),
    ("PostgreSQL program", postgres_programs, False),
)


# What the settings name


async def kafka(settings: Settings) -> str:
    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415

    from shared.contracts import TOPICS  # noqa: PLC0415
    from shared.shell.kafka.source import connection  # noqa: PLC0415

    admin = AIOKafkaAdminClient(**connection(settings.kafka))
    try:
        await admin.start()
        cluster: dict[str, Any] = await admin.describe_cluster()
        there = set(await admin.list_topics())
    except Exception as trouble:
        raise Trouble(f"{settings.kafka.bootstrap_servers} cannot be reached ({type(trouble).__name__})") from trouble
    finally:
        await admin.close()
    ours = sum(topic.name in there for topic in TOPICS)
    rest = "" if ours == len(TOPICS) else " (the services make the others when they start)"
    brokers = len(cluster["brokers"])
    return f"{brokers} broker at {settings.kafka.bootstrap_servers}, {ours} of {len(TOPICS)} topics{rest}"


async def database(settings: Settings, name: str) -> str:
    import asyncpg  # noqa: PLC0415

    url = settings.service(name).database_url.replace("+asyncpg", "")
    try:
        connection = await asyncpg.connect(url, timeout=PATIENCE)
    except (OSError, asyncpg.PostgresError) as trouble:
        raise Trouble(f"cannot be reached: {trouble}") from trouble
    try:
        server = str(await connection.fetchval("show server_version")).split()[0]
        known = await connection.fetchval("select to_regclass('alembic_version')")
        revision = await connection.fetchval("select version_num from alembic_version") if known else None
    finally:
        await connection.close()
    newest = newest_revision(name)
    if revision != newest:
        raise Trouble(
            f"PostgreSQL {server}, schema at {revision or 'nothing'} instead of {newest}: run `orderbus migrate`"
        )
    return f"PostgreSQL {server}, schema at {revision}"


def newest_revision(name: str) -> str:
    """By the migrations' file names: `0001_first.py`."""
    folder = Path(__file__).parents[2] / "services" / name / "migrations" / "versions"
    return max(path.name.split("_")[0] for path in folder.glob("[0-9]*.py"))


async def service(settings: Settings, name: str) -> str:
    from deploy.client.http import ApiClient, api_url  # noqa: PLC0415

    async with ApiClient.of(settings) as edges:
        missing = await edges.ready(name)
        if missing:
            raise Trouble(f"is not ready at {api_url(settings, name)}: {', '.join(missing)}")
        notes = list((await edges.get(name, "/ready")).get("notes", ()))
        await edges.get(name, "/parked")  # that the bearer token is right
        numbers = await edges.metrics(name)
        paused = (await edges.get(name, "/destinations"))["paused"]
    if paused:
        reasons = "; ".join(f"{one['destination']} since {one['since'][:19]}: {one['reason']}" for one in paused)
        raise Trouble(f"is ready, but paused is {reasons}. Mend it, then `orderbus resume {name} DESTINATION`")
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
    import stripe  # noqa: PLC0415

    from services.payments.settings import PaymentsSettings  # noqa: PLC0415
    from shared.settings import load_settings  # noqa: PLC0415

    settings = load_settings(PaymentsSettings).stripe
    key = settings.api_key.get_secret_value()
    addresses: Any = {"api": settings.api_base}
    client = stripe.StripeClient(key, base_addresses=addresses, http_client=stripe.HTTPXClient(timeout=PATIENCE))
    try:
        await client.v1.payment_intents.list_async({"limit": 1})
    except stripe.AuthenticationError:
        raise Trouble("does not take the key in ORDERBUS_STRIPE__API_KEY") from None
    except stripe.StripeError as trouble:
        raise Trouble(f"{settings.api_base} cannot be reached ({type(trouble).__name__})") from None
    sandbox = " (sandbox)" if "127.0.0.1" in settings.api_base else ""
    return f"SDK {stripe.VERSION}, key accepted at {settings.api_base}{sandbox}"


async def smtp() -> str:
    from services.notifications.settings import NotificationsSettings  # noqa: PLC0415
    from shared.settings import load_settings  # noqa: PLC0415

    settings = load_settings(NotificationsSettings).smtp
    try:
        reader, writer = await asyncio.open_connection(settings.host, settings.port)
    except OSError as trouble:
        raise Trouble(f"{settings.host}:{settings.port} cannot be reached: {trouble.strerror}") from trouble
    greeting = (await reader.readline()).decode("utf-8", "replace").strip() if settings.tls != "tls" else "TLS"
    writer.close()
    return f"{settings.host}:{settings.port} says {greeting!r}"
