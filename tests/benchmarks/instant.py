"""Runs a real service whose outside answers at once: `python -m tests.benchmarks.instant payments --port 8081`.

Everything is the service's own but the gateways to other systems. `BENCHMARK_STAGES` names a folder for a profile by
stage, written when the worker ends.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.settings import load_process_settings
from services.fulfillment.domain.operations import GrantAccess, SignDownload, TakeCode
from services.notifications.domain.operations import PostWebhook, SendEmail
from services.payments.domain.operations import ChargeCard, ChargeResult
from services.registry import factory_of
from shared.core import NotDone, Operation, Outcome
from shared.settings import Settings
from shared.shell.observability.telemetry import configure_logging
from shared.shell.ports.gateway import Gateway
from shared.shell.service import Service
from shared.shell.worker import run_worker
from tests.benchmarks.stages import sampled
from tests.benchmarks.usual_way import outside

STAGES = "BENCHMARK_STAGES"


def charged(operation: ChargeCard, key: str) -> Outcome:
    return ChargeCard.Done(ChargeResult(f"pi_{key}", "succeeded", operation.amount, card=outside.CARD))


def signed(operation: SignDownload, key: str) -> Outcome:
    return SignDownload.Done(outside.link(operation.order, operation.item))


def code_taken(operation: TakeCode, key: str) -> Outcome:
    return TakeCode.Done((outside.code(operation.order, operation.item),))


ANSWERS: Mapping[type[Operation], Callable[[Any, str], Outcome]] = {
    ChargeCard: charged,
    SignDownload: signed,
    TakeCode: code_taken,
    GrantAccess: lambda operation, key: GrantAccess.Done(),
    SendEmail: lambda operation, key: SendEmail.Done(),
    PostWebhook: lambda operation, key: PostWebhook.Done(204),
}
"""What the outside says to each operation of a happy life."""


class Instant:
    """A gateway in this process."""

    async def perform(self, operation: Any, key: str) -> Outcome:
        await outside.answer()
        return ANSWERS[type(operation)](operation, key)

    async def find(self, operation: Any, key: str) -> NotDone:
        return NotDone()


def with_instant_gateways(service: Service) -> Service:
    instant: dict[type[Operation], Gateway] = {kind: Instant() for kind in service.gateways if kind in ANSWERS}
    return replace(service, gateways={**service.gateways, **instant})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("service")
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    settings = load_process_settings(given.service)
    configure_logging(settings.telemetry, given.service, f"{given.service}-{given.worker}")

    def factory(settings: Settings, engine: AsyncEngine) -> Service:
        outside.listen()
        return with_instant_gateways(factory_of(given.service)(settings, engine))

    with ExitStack() as cleanup:
        if folder := os.environ.get(STAGES):
            cleanup.enter_context(sampled(Path(folder) / f"{given.service}-{given.worker}.json"))
        uvloop.run(run_worker(given.service, factory, settings, given.worker, given.port))


if __name__ == "__main__":
    main()
