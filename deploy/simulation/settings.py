"""The services as production composes them, with the outside world exchanged."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.worker import SERVICES, factory_of
from shared.core import Operation
from shared.settings import FulfillmentSettings, KafkaSettings, ServiceSettings, Settings, StripeSettings
from shared.shell.service import Gateway, Service

_NOWHERE = "postgresql+asyncpg://nobody@nowhere.invalid/nothing"


def _settings() -> Settings:
    own = ServiceSettings(database_url=_NOWHERE)
    secret = SecretStr("whsec_simulated")
    return Settings(
        kafka=KafkaSettings(bootstrap_servers="nowhere:9092"),
        api_token=SecretStr("simulated-token-1"),
        checkout=own,
        payments=own,
        fulfillment=FulfillmentSettings(database_url=_NOWHERE, link_secret=SecretStr("simulated-secret-1")),
        notifications=own,
        stripe=StripeSettings(api_key=SecretStr("sk_test_simulated"), webhook_secret=secret),
    )


@cache
def declared() -> dict[str, Service]:
    """Every service as its `app.py` says; made once, its gateways are never called."""
    engine = create_async_engine(_NOWHERE)
    return {name: factory_of(name)(_settings(), engine) for name in SERVICES}


def with_outside(service: Service, outside: dict[type[Operation], Gateway]) -> Service:
    """The same service in front of simulated systems."""
    missing = [kind.__qualname__ for kind in service.gateways if kind not in outside]
    if missing:
        raise LookupError(f"the simulation has no outside for {', '.join(missing)} of {service.name}")
    gateways = {kind: outside[kind] for kind in service.gateways}
    return replace(service, gateways=gateways, routes=None, resources=())
