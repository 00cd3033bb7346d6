"""`orderbus doctor`: what is here, what is reachable, in which version, and what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import typer

from deploy.cli import console, probes
from deploy.cli.errors import Failure
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.target import settings_of
from deploy.settings import not_read
from services.payments.providers import PROVIDERS
from services.registry import READERS, SERVICES
from shared.errors import ReportedError

REQUIREMENTS: Mapping[str, Callable[[], Awaitable[str]]]
try:
    from deploy.devstack.requirements import REQUIREMENTS
except ModuleNotFoundError:  # the production image has no embedded stack
    REQUIREMENTS = {}


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    text: str
    """The version or state, or what is missing and what to do about it."""
    needed: bool = True
    """For running orderbus as it is set up; False for what only the embedded stack needs."""


@on_event_loop
async def doctor(data: Data = None, as_json: AsJson = False) -> None:
    """Show what is reachable, its version, and what is missing.

    Exit code 1 if anything required is missing.
    """
    findings = await examined(data)
    well = all(one.ok or not one.needed for one in findings)
    if as_json:
        console.show_json({"ok": well, "findings": [asdict(one) for one in findings]})
    else:
        for one in findings:
            state = "ok" if one.ok else "PROBLEM" if one.needed else "missing"
            console.show(f"{state:<9}{one.what:<24}{one.text}", 33)
    if not well:
        raise typer.Exit(Failure.exit_code)


async def examined(data: Path | None) -> list[Finding]:
    here = [
        await _found("Python", probes.python),
        *[await _found(name, probe, needed=False) for name, probe in REQUIREMENTS.items()],
    ]
    try:
        settings = settings_of(data)
    except ReportedError as wrong:
        return [*here, Finding("settings", ok=False, text=str(wrong))]
    collector = settings.telemetry.otlp_endpoint
    reachable = await asyncio.gather(
        _found("Kafka", partial(probes.kafka, settings)),
        *(_found(f"database {name}", partial(probes.database, settings, name)) for name in SERVICES),
        *(_found(f"service {name}", partial(probes.service, settings, name)) for name in SERVICES),
        *(_found(name, partial(probes.reader, settings, name)) for name in READERS),
        *(_found(provider.title, partial(probes.payment_provider, provider)) for provider in PROVIDERS),
        _found("SMTP", probes.smtp),
        *([_found("traces", partial(probes.traces, collector))] if collector else []),
    )
    names = not_read()
    text = f"Kafka {settings.kafka.bootstrap_servers}" + (
        f"; no settings of this build: {', '.join(names)}" if names else ""
    )
    return [*here, Finding("settings", ok=True, text=text), *reachable]


async def _found(what: str, probe: Callable[[], Awaitable[str]], *, needed: bool = True) -> Finding:
    try:
        async with asyncio.timeout(probes.TIMEOUT):
            return Finding(what, ok=True, text=await probe(), needed=needed)
    except TimeoutError:
        return Finding(what, ok=False, text=f"does not answer within {probes.TIMEOUT:.0f} s", needed=needed)
    except Exception as trouble:  # whatever a probe meets is what it reports
        text = str(trouble) or type(trouble).__name__
        return Finding(what, ok=False, text=text.splitlines()[0], needed=needed)
