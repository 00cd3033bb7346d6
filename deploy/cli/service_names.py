"""The services that a person names."""

from __future__ import annotations

from deploy.cli.errors import UsageError
from services.registry import SERVICES


def known(service: str) -> str:
    """The name as it is. Raises UsageError when there is no such service."""
    if service not in SERVICES:
        raise UsageError(f"There is no service {service}; there are {', '.join(SERVICES)}.")
    return service


def chosen(service: str) -> tuple[str, ...]:
    """That service, or all of them where none is named."""
    return (known(service),) if service else tuple(SERVICES)
