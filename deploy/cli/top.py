"""`orderbus top`: what each worker does, from its `/metrics`."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import aiohttp
import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.cells import cell_len
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.cli import console
from deploy.cli.errors import Failure, UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.target import settings_of
from deploy.client.http import api_url, no_address, wrong_service
from deploy.client.local_stack import WORKERS
from services.registry import PROCESSES, SERVICES
from shared.settings import KafkaSettings, Settings
from shared.shell.kafka.group_members import addresses_of
from shared.shell.kafka.tls import KafkaRefused
from shared.shell.ports.bus import BusUnavailable

UNLIMITED = 10_000
LOOK_SECONDS, LOOK_TIMEOUT = 10.0, 4.0
"""How often it is looked which workers there are, and how long that may take."""
TIMEOUT = aiohttp.ClientTimeout(2)
Url = Annotated[
    list[str] | None,
    typer.Option("--url", metavar="URL", help="HTTP address of a worker; may be repeated. Default: all that run."),
]


@dataclass(frozen=True)
class Sample:
    """What one worker reported: its metrics, each the sum over its labels."""

    name: str
    url: str
    at: float
    state: str
    """`ready`, what it waits for, or `unreachable`."""
    values: Mapping[str, float]
    service: str = ""


UNKNOWN = Sample("", "", 0.0, "unreachable", {})


@dataclass(frozen=True)
class Row:
    """One worker between two samples. Rates per second, times in milliseconds or as named. None: not reported."""

    worker: str
    service: str
    state: str
    handled: float | None = None
    duplicates: float | None = None
    relayed: float | None = None
    lag: float | None = None
    lag_seconds: float | None = None
    batch: float | None = None
    transaction_ms: float | None = None
    outbox: float | None = None
    outbox_age_seconds: float | None = None
    operations: float | None = None
    operations_late: float | None = None
    operations_in_doubt: float | None = None
    destinations_paused: float | None = None
    parked: float | None = None
    undeliverable: float | None = None
    memory_bytes: float | None = None


@on_event_loop
async def top(
    url: Url = None,
    data: Data = None,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=0.2, help="Seconds between refreshes.")
    ] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one table and exit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Watch every worker: rates, lag, queues, memory.

    Ctrl-C stops. Without a terminal it prints one table and exits. Kafka names the workers; where it cannot be asked,
    one of each service is shown, at the address in the settings.

    \b
    msg/s     messages handled in a second
    dup/s     repetitions in a second, which have no effect
    sent/s    records sent to Kafka in a second
    lag       records in Kafka that wait to be read
    lag s     for how many seconds the oldest of them has waited
    batch     messages in a transaction, on average
    tx ms     milliseconds that a transaction takes, on average
    outbox    records that wait to be sent to Kafka
    age s     for how many seconds the oldest of them has waited
    open      calls to outside systems that have not ended
    late      of these, those that should have been made by now
    in doubt  of these, those that may have been carried out, or not
    paused    outside systems to which calls are paused
    parked    messages that could not be handled
    undeliv.  records that Kafka refuses for good
    MB        memory of the process

    What is about a service's tables (outbox to undeliv.) is the same for all of its workers.
    """
    workers = Workers.given(url) if url else Workers.of(settings_of(data))
    if as_json or once or not sys.stdout.isatty():
        await _once(workers, every, as_json)
    else:
        await _live(workers, every)


@dataclass
class Workers:
    """Which workers there are: URL by name."""

    known: Mapping[str, str]
    """Those given, all workers of the embedded stack, or each service at the address in its settings."""
    kafka: KafkaSettings | None = None
    """Whose groups name the workers that run; None: those that are known are all."""
    looked_at: float = -math.inf
    found: dict[str, str] = field(default_factory=dict)
    unasked: str = ""
    """Why Kafka could not be asked."""

    @classmethod
    def given(cls, urls: Sequence[str]) -> Workers:
        return cls({url: url.rstrip("/") for url in urls})

    @classmethod
    def of(cls, settings: Settings) -> Workers:
        """Raises UsageError where an address is unknown."""
        if announced := os.environ.get(WORKERS):
            return cls(dict(pair.split("=", 1) for pair in announced.split(",")), settings.kafka)
        if unknown := [said for name in SERVICES if (said := no_address(settings, name))]:
            raise UsageError("\n".join(unknown))
        return cls({name: api_url(settings, name) for name in SERVICES}, settings.kafka)

    async def now(self) -> Mapping[str, str]:
        """Those that are known, and all that are in the services' groups; those come and go. A service whose workers
        say where they are is not asked at its own address besides."""
        if self.kafka is None:
            return self.known
        if time.monotonic() - self.looked_at > LOOK_SECONDS:
            self.unasked = ""
            members = await asyncio.gather(*(self._members(self.kafka, name) for name in SERVICES))
            of_services = dict(zip(SERVICES, members, strict=True))
            kept = {name: url for name, url in self.known.items() if not of_services.get(name)}
            self.found = kept | {name: url for found in members for name, url in found.items()}
            self.looked_at = time.monotonic()
        return self.found

    async def _members(self, kafka: KafkaSettings, service: str) -> dict[str, str]:
        """Those that say where they are; none where Kafka does not say it."""
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                return {name: url for name, url in (await addresses_of(kafka, service)).items() if url}
        except (BusUnavailable, KafkaRefused) as trouble:
            self.unasked = f"Kafka does not name the workers. {trouble}"
        except TimeoutError:
            self.unasked = f"Kafka does not name the workers: it does not answer within {LOOK_TIMEOUT:g} s."
        return {}


async def _once(workers: Workers, every: float, as_json: bool) -> None:
    async for rows in watched(workers, every):
        if as_json:
            console.show_json({"workers": [asdict(row) for row in rows], "services": services_of(rows)})
        else:
            shown, left_out = table(rows, console.terminal_width())
            console.show_without_padding(shown, console.terminal_width() or UNLIMITED)
            if left_out:
                console.say(console.too_narrow(left_out))
        if workers.unasked:
            console.say(workers.unasked)
        if not any(row.handled is not None for row in rows):
            raise Failure("No worker answers. Are they running? `orderbus doctor` checks.")
        return


async def _live(workers: Workers, every: float) -> None:
    with Live(refresh_per_second=4, screen=True) as live:
        async for rows in watched(workers, every):
            shown, left_out = table(rows, live.console.width)
            below = [*([console.too_narrow(left_out)] if left_out else []), *filter(None, [workers.unasked])]
            live.update(Group(shown, *below), refresh=True)


async def watched(workers: Workers, every: float) -> AsyncIterator[list[Row]]:
    """A row per worker for each interval of `every` seconds."""
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        before = await _samples(session, await workers.now())
        while True:
            await asyncio.sleep(every)
            now = await _samples(session, await workers.now())
            yield [row_of(before.get(name, UNKNOWN), sample) for name, sample in now.items()]
            before = now


async def _samples(session: aiohttp.ClientSession, workers: Mapping[str, str]) -> dict[str, Sample]:
    samples = await asyncio.gather(*(_sample(session, name, url) for name, url in workers.items()))
    return dict(zip(workers, samples, strict=True))


async def _sample(session: aiohttp.ClientSession, name: str, url: str) -> Sample:
    try:
        async with session.get(f"{url}/metrics") as answer:
            answer.raise_for_status()
            at, exposition = time.monotonic(), await answer.text()
        async with session.get(f"{url}/ready") as answer:
            ready: dict[str, Any] = await answer.json()
        async with session.get(f"{url}/health") as answer:
            health = await answer.json()
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return Sample(name, url, time.monotonic(), "unreachable", {})
    values, who = read(exposition)
    if name in PROCESSES and (said := wrong_service(name, health)):
        return Sample(name, url, at, said, {})
    state = "ready" if ready.get("ready") else "waiting for " + ", ".join(ready.get("missing", ["?"]))
    return Sample(who.get("worker", name), url, at, state, values, who.get("service", ""))


def read(exposition: str) -> tuple[dict[str, float], dict[str, str]]:
    """Samples of Prometheus' text format, added up by name, as far as their values are known; and the labels that name
    the worker."""
    totals: dict[str, float] = {}
    who: dict[str, str] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if not math.isnan(sample.value):
                totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
            if sample.name == "orderbus_worker_info":
                who = sample.labels
    return totals, who


def row_of(before: Sample, now: Sample) -> Row:
    if not now.values:
        return Row(now.name, now.service, now.state)
    seconds = max(now.at - before.at, 0.001)

    def gained(name: str) -> float:
        """How much a counter grew. That of a restarted worker starts at 0."""
        was, is_now = before.values.get(name, 0.0), now.values.get(name, 0.0)
        return is_now - was if is_now >= was else is_now

    def rate(name: str) -> float:
        return round(gained(name) / seconds, 1) if before.values else 0.0

    def mean(name: str, factor: float = 1.0) -> float | None:
        count = gained(f"{name}_count")
        return round(gained(f"{name}_sum") * factor / count, 2) if count and before.values else None

    def gauge(name: str) -> float | None:
        return now.values.get(name)

    return Row(
        worker=now.name,
        service=now.service,
        state=now.state,
        handled=rate("orderbus_handled_total"),
        duplicates=rate("orderbus_duplicates_total"),
        relayed=rate("orderbus_relayed_total"),
        lag=gauge("orderbus_lag"),
        lag_seconds=gauge("orderbus_lag_seconds"),
        batch=mean("orderbus_batch_size"),
        transaction_ms=mean("orderbus_transaction_seconds", 1000),
        outbox=gauge("orderbus_outbox_rows"),
        outbox_age_seconds=gauge("orderbus_outbox_age_seconds"),
        operations=gauge("orderbus_operations_open"),
        operations_late=gauge("orderbus_operations_late"),
        operations_in_doubt=gauge("orderbus_operations_in_doubt"),
        destinations_paused=gauge("orderbus_destinations_paused"),
        parked=gauge("orderbus_parked"),
        undeliverable=gauge("orderbus_undeliverable"),
        memory_bytes=gauge("process_resident_memory_bytes"),
    )


SHARED = (
    *("outbox", "outbox_age_seconds", "operations", "operations_late", "operations_in_doubt"),
    *("destinations_paused", "parked", "undeliverable"),
)
"""About the service's tables: every worker of a service reports the same."""
ADDED = ("handled", "duplicates", "relayed", "lag", "memory_bytes")


def services_of(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """The workers of each service together."""
    services: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.handled is None:
            continue
        into = services.setdefault(row.service, {"workers": 0.0})
        into["workers"] += 1
        for name in ADDED:
            into[name] = round(into.get(name, 0.0) + (getattr(row, name) or 0.0), 1)
        for name in SHARED:
            into[name] = max(into.get(name, 0.0), getattr(row, name) or 0.0)
    return services


COLUMNS = (
    ("msg/s", "handled", "{:.0f}"),
    ("dup/s", "duplicates", "{:.0f}"),
    ("sent/s", "relayed", "{:.0f}"),
    ("lag", "lag", "{:.0f}"),
    ("lag s", "lag_seconds", "{:.0f}"),
    ("batch", "batch", "{:.1f}"),
    ("tx ms", "transaction_ms", "{:.1f}"),
    ("outbox", "outbox", "{:.0f}"),
    ("age s", "outbox_age_seconds", "{:.1f}"),
    ("open", "operations", "{:.0f}"),
    ("late", "operations_late", "{:.0f}"),
    ("in doubt", "operations_in_doubt", "{:.0f}"),
    ("paused", "destinations_paused", "{:.0f}"),
    ("parked", "parked", "{:.0f}"),
    ("undeliv.", "undeliverable", "{:.0f}"),
)
ALARMING = {
    "lag_seconds": 60.0,
    "outbox_age_seconds": 10.0,
    "operations_late": 0.0,
    "operations_in_doubt": 0.0,
    "destinations_paused": 0.0,
    "parked": 0.0,
    "undeliverable": 0.0,
}
"""Red above these values."""


LEAST_IMPORTANT = ("batch", "dup/s", "tx ms", "MB", "age s", "sent/s", "open", "lag s", "outbox", "msg/s")
"""What a narrow terminal leaves out, the first ones first; before them, what is empty or 0 everywhere and alarming
otherwise."""


def table(rows: Sequence[Row], width: int | None) -> tuple[Table, list[str]]:
    """For a terminal of this width, or a file; and what it leaves out."""
    lines = [_line(row) for row in rows]
    titles = list(lines[0]) if lines else []
    widths = [max(map(cell_len, (title, *(line[title][0] for line in lines)))) for title in titles]
    least = [min(wide, NARROWEST.get(title, wide)) for title, wide in zip(titles, widths, strict=True)]
    empty = [title for title, name, _ in COLUMNS if name in ALARMING and not any(getattr(row, name) for row in rows)]
    kept = console.fitting(titles, least, width, (*empty, *LEAST_IMPORTANT)) if width else [*range(len(titles))]
    room = [widths[index] for index in kept]
    if width:
        room = console.shared_out([least[index] for index in kept], room, width)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for index, wide in zip(kept, room, strict=True):
        shown.add_column(titles[index], justify="left" if index < 2 else "right", width=wide, overflow="fold")
    for line in lines:
        shown.add_row(*(Text(*line[titles[index]]) for index in kept))
    return shown, [title for index, title in enumerate(titles) if index not in kept]


NARROWEST = {"worker": 16, "state": 12, "sent/s": 5, "in doubt": 5, "age s": 4, "lag s": 4, "tx ms": 4}
"""To so many characters a name or heading may be wrapped."""


def _line(row: Row) -> dict[str, tuple[str, str]]:
    """By column: text and style."""
    cells = {title: _cell(row, name, form) for title, name, form in COLUMNS}
    memory = "" if row.memory_bytes is None else f"{row.memory_bytes / 1e6:.0f}"
    state = (row.state, "green" if row.state == "ready" else "red bold")
    return {"worker": (row.worker, ""), "state": state, **cells, "MB": (memory, "")}


def _cell(row: Row, name: str, form: str) -> tuple[str, str]:
    value: float | None = getattr(row, name)
    if value is None:
        return "", ""
    alarming = name in ALARMING and value > ALARMING[name]
    return form.format(value), "red bold" if alarming else "" if value else "dim"
