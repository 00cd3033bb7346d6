"""Schemathesis over every route of every service: whatever comes, the answer is no internal error, comes in time and is
what the service's OpenAPI document declares, and the worker is well afterwards.

Half a minute for each service, two at a time; ORDERBUS_LONG=1: five. ORDERBUS_SEED=N repeats a run's requests.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.registry import SERVICES
from tests.faults.table import LONG, TABLE
from tests.fuzz import hooks
from tests.fuzz.conftest import Ground
from tests.fuzz.document import fuzzed

SECONDS = 300 if LONG else 30
UNSIGNED_SHARE = 6
"""The part of the time in which public routes are called without a token."""
IN_TIME = 25
"""Seconds: a request waits 20 for its commit."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "no_internal_refusal",
)
SHOWN = 8_000
"""Characters of what was found: with more, a test report loses them."""
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("pair", (SERVICES[::2], SERVICES[1::2]), ids="+".join)
async def test_no_request_leads_to_an_internal_error(ground: Ground, pair: Sequence[str], tmp_path: Path) -> None:
    await asyncio.gather(*(fuzz_service(ground, service, tmp_path) for service in pair))
    for service in pair:
        await is_well(ground, service)


async def fuzz_service(ground: Ground, service: str, tmp_path: Path) -> None:
    whole = fuzzed(service, ground.known)
    public = [path for path, item in whole["paths"].items() if any(each["security"] == [] for each in item.values())]
    document = tmp_path / f"{service}.json"
    document.write_text(json.dumps(whole))
    unsigned = SECONDS // UNSIGNED_SHARE
    only_public = [option for path in public for option in ("--include-path", path)]
    token = ground.system.stack.secrets.api_token
    await fuzz(ground, service, document, SECONDS - unsigned, "--header", f"Authorization: Bearer {token}")
    await fuzz(ground, service, document, unsigned, *only_public)


async def fuzz(ground: Ground, service: str, document: Path, seconds: int, *options: str) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(document)]
    command += ["--url", ground.system.edges.places[service].url, "--checks", ",".join(CHECKS)]
    command += ["--max-time", str(seconds), "--request-timeout", str(IN_TIME), "--seed", str(TABLE.seed)]
    command += ["--workers", "1", "--continue-on-failure", "--no-color", "--generation-database", "none"]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": str(Path(hooks.__file__)),
        hooks.SECRET: ground.system.stack.secrets.stripe_webhook_secret,
        "PYTHONPATH": str(ROOT),
    }
    child = await asyncio.create_subprocess_exec(
        *(*command, *options),
        cwd=document.parent,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(2 * seconds + 60):
            said, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    text = said.decode("utf-8", "replace")
    found = max(text.find(" FAILURES ="), text.find(" ERRORS ="), 0)
    assert child.returncode == 0, f"{service}:\n{text[found : found + SHOWN]}"


async def is_well(ground: Ground, service: str) -> None:
    """Nothing is parked anywhere by what came over HTTP, and all workers are ready."""
    edges = ground.system.edges
    async with asyncio.timeout(60):
        while await edges.ready(service):
            await asyncio.sleep(0.5)
    for name in SERVICES:
        assert (await edges.get(name, "/parked"))["parked"] == [], name
        assert (await edges.get(name, "/undeliverable"))["undeliverable"] == [], name
        assert (await edges.get(name, "/timers/late"))["timers"] == [], name
