"""Every payment provider behind one port: an operation says which one it is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from shared.core import NoOutcome, NotDone, Outcome
from shared.shell.ports.gateway import Gateway


class ForProvider(Protocol):
    """An operation at a provider. What each provider can do is stated in `domain.providers`."""

    @property
    def provider(self) -> str: ...


class Providers:
    """Hands an operation to its provider's gateway."""

    def __init__(self, by_name: Mapping[str, Gateway]) -> None:
        self._by_name = by_name

    async def perform(self, operation: ForProvider, key: str) -> Outcome | NoOutcome:
        return await self._by_name[operation.provider].perform(operation, key)

    async def find(self, operation: ForProvider, key: str) -> Outcome | NotDone | NoOutcome:
        return await self._by_name[operation.provider].find(operation, key)
