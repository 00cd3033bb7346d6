"""The services as production composes them, with the outside world exchanged."""

from __future__ import annotations

from dataclasses import replace

from shared.core import Operation
from shared.shell.ports.gateway import Gateway
from shared.shell.service import Service


def with_outside(service: Service, outside: dict[type[Operation], Gateway]) -> Service:
    """The same service in front of simulated systems."""
    missing = [kind.__qualname__ for kind in service.gateways if kind not in outside]
    if missing:
        raise LookupError(f"the simulation has no outside for {', '.join(missing)} of {service.name}")
    gateways = {kind: outside[kind] for kind in service.gateways}
    return replace(service, gateways=gateways, routes=None, resources=())
