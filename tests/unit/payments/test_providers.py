"""Every provider is complete, and registered in one place."""

from __future__ import annotations

from aiohttp import web

from services.payments.domain.capabilities import CAPABILITIES, DEFAULT
from services.payments.domain.operations import ProviderOperation
from services.payments.gateways.provider import GatewayByProvider
from services.payments.providers import PROVIDERS, providers_of
from services.payments.settings import PaymentsSettings
from shared.contracts.providers import METHODS
from shared.core import NotDone, Outcome
from shared.settings import example_settings
from tests.unit.payments.examples import PaymentScenario, requested
from tests.unit.payments.test_webhook import Api


class Toy:
    def __init__(self, name: str) -> None:
        self.name = name

    async def perform(self, operation: ProviderOperation, key: str) -> Outcome:
        return operation.Failed(self.name, key)

    async def find(self, operation: ProviderOperation, key: str) -> NotDone:
        return NotDone()


def test_every_provider_has_its_capabilities() -> None:
    assert [provider.name for provider in PROVIDERS] == [name for name, can in CAPABILITIES.items() if can.charges]
    assert CAPABILITIES.keys() == METHODS.keys()
    assert DEFAULT in CAPABILITIES


async def no_order(reference: str) -> str:
    return ""


def test_every_provider_takes_callbacks_under_its_name() -> None:
    for provider in providers_of(example_settings(PaymentsSettings)):
        application = web.Application()
        provider.add_callbacks(application, Api(), no_order)
        paths = [resource.canonical for resource in application.router.resources()]
        assert paths and all(path.startswith(f"/{provider.name}/") for path in paths)


async def test_an_operation_goes_to_its_payments_provider() -> None:
    charge, gateways = PaymentScenario(requested()).charge(), {name: Toy(name) for name in ("other", "stripe")}
    assert await GatewayByProvider(gateways).perform(charge, "key") == charge.Failed("stripe", "key")
