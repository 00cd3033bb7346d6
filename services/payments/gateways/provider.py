"""What a payment provider is: one object, which has everything of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol

from aiohttp import web

from services.payments.domain.operations import ProviderOperation
from services.payments.gateways.pay_form import PayForm
from shared.core import NoOutcome, NotDone, Outcome
from shared.errors import ReportedError
from shared.shell.ports.gateway import Gateway
from shared.shell.ports.http_api import HttpApi
from shared.shell.ports.reservations import Reservations

OrderOf = Callable[[str], Awaitable[str]]
"""The order with an attempt of this reference of the provider's; empty if there is none."""


class ProviderError(ReportedError):
    """The provider cannot be read. The text says what to check."""


@dataclass(frozen=True, slots=True)
class ProviderMovement:
    """Money that moved, as one side has it: captures positive, refunds negative. Minor units."""

    reference: str
    """The provider's id."""
    amount: int
    currency: str
    order: str = ""
    attempt: str = ""
    """Of a capture: our attempt; empty where orderbus did not request it."""
    refund: str = ""
    """Of a refund: our refund; empty where orderbus did not request it."""
    charge: str = ""
    """Of a refund: the provider's id of the charge."""


class ProviderGateway(Gateway, Protocol):
    """Performs and finds the operations of `domain/operations.py`."""

    async def close(self) -> None: ...


class Provider(ABC):
    """A payment provider, made from its own section of payments' settings. To be used, it is listed in
    `payments/providers.py`."""

    name: ClassVar[str]
    """As payments store it, and its section of the settings. Calls to the provider are paused under this name."""
    title: ClassVar[str]
    """As staff read it."""

    @abstractmethod
    def __init__(self, settings: Any) -> None: ...

    @abstractmethod
    def gateway(self, reservations: Reservations, now: Callable[[], float]) -> ProviderGateway:
        """`reservations`: of calls, by all workers together. `now` gives Unix seconds."""

    @abstractmethod
    def add_callbacks(self, application: web.Application, api: HttpApi, order_of: OrderOf) -> None:
        """Add the routes of its callbacks, which submit `ChargeReported` and `RefundReported`."""

    def pay_form(self) -> PayForm | None:
        """How customers choose a card of it on the pay page. None: they cannot."""
        return None

    @abstractmethod
    def movements(self, since: datetime | None = None) -> AsyncIterator[ProviderMovement]:
        """What moved by its own records, also what orderbus did not request; `since`: what began no earlier. Raises
        ProviderError."""

    @abstractmethod
    def movements_of(self, references: Iterable[str]) -> AsyncIterator[ProviderMovement]:
        """Some of these, by its ids; those that it does not know are left out. Raises ProviderError."""

    @abstractmethod
    async def probe(self) -> str:
        """Its version and that our key is accepted, for `orderbus doctor`. Raises ProviderError."""


class GatewayByProvider:
    """Hands an operation to its provider's gateway."""

    def __init__(self, gateways: Mapping[str, Gateway]) -> None:
        self._gateways = gateways

    async def perform(self, operation: ProviderOperation, key: str) -> Outcome | NoOutcome:
        return await self._gateways[operation.provider].perform(operation, key)

    async def find(self, operation: ProviderOperation, key: str) -> Outcome | NotDone | NoOutcome:
        return await self._gateways[operation.provider].find(operation, key)
