"""What each service declares, for code that does not run it: contracts, check, simulation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from services.registry import SERVICES, factory_of, settings_of
from shared.settings import example_settings
from shared.shell.postgres.engine import new_engine
from shared.shell.service import Service


@cache
def declared() -> Mapping[str, Service]:
    """Every service as its `app.py` wires it, with example settings. Its gateways are never called."""
    return {name: _declared(name) for name in SERVICES}


def _declared(name: str) -> Service:
    settings = example_settings(settings_of(name))
    return factory_of(name)(settings, new_engine(settings.service(name).database_url.get_secret_value()))
