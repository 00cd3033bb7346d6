"""Stripe, as a provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus

import aiohttp
from aiohttp import web

from services.payments.gateways.pay_form import PayForm
from services.payments.gateways.provider import OrderOf, Provider, ProviderError, ProviderMovement
from services.payments.gateways.stripe.api import INTENTS, StripeApi
from services.payments.gateways.stripe.callbacks import CALLBACK, CALLBACK_PATH, callbacks
from services.payments.gateways.stripe.errors import BASE_SETTING
from services.payments.gateways.stripe.gateway import StripeGateway
from services.payments.gateways.stripe.pay_form import pay_form
from services.payments.gateways.stripe.records import stripe_movement, stripe_movements
from services.payments.gateways.stripe.sdk import stripe
from services.payments.gateways.stripe.settings import StripeSettings
from shared.contracts.envelope import read_key
from shared.shell.http.access import add_public
from shared.shell.http.problems import ProblemResponse
from shared.shell.operations.rate_limit import RateLimiter
from shared.shell.ports.http_api import HttpApi
from shared.shell.ports.reservations import Reservations


class Stripe(Provider):
    name = "stripe"
    title = "Stripe"

    def __init__(self, settings: StripeSettings) -> None:
        self.settings = settings

    def gateway(self, reservations: Reservations, now: Callable[[], float]) -> StripeGateway:
        limiter = RateLimiter(reservations, self.settings.requests_per_second)
        return StripeGateway(self.settings, limiter=limiter, now=now)

    def add_callbacks(self, application: web.Application, api: HttpApi, order_of: OrderOf) -> None:
        take = callbacks(self.settings, api, order_of, self._order_of_charge)
        add_public(application, "POST", CALLBACK_PATH, take, CALLBACK)

    def pay_form(self) -> PayForm | None:
        return pay_form(self.settings)

    async def _order_of_charge(self, reference: str) -> str:
        """As the charge's metadata say. Raises ProblemResponse where they cannot be read: Stripe sends it again."""
        try:
            async with self._reading() as stripe_api:
                intent = await stripe_api.intent(reference)
        except ProviderError as trouble:
            missing = isinstance(trouble.__cause__, stripe.InvalidRequestError)
            if missing:
                return ""
            raise ProblemResponse(
                HTTPStatus.SERVICE_UNAVAILABLE, "Stripe cannot be read.", "busy", retry_after=5
            ) from None
        order, wrong = read_key(str((intent.get("metadata") or {}).get("order", "")).encode())
        return "" if wrong else order

    async def movements(self, since: datetime | None = None) -> AsyncIterator[ProviderMovement]:
        async with self._reading() as stripe_api:
            async for movement in stripe_movements(stripe_api, since):
                yield movement

    async def movements_of(self, references: Iterable[str]) -> AsyncIterator[ProviderMovement]:
        async with self._reading() as stripe_api:
            for reference in references:
                if movement := await stripe_movement(stripe_api, reference):
                    yield movement

    async def probe(self) -> str:
        async with self._reading() as stripe_api:
            await stripe_api.call("get", INTENTS, {"limit": 1})
        sandbox = " (sandbox)" if "127.0.0.1" in self.settings.api_base else ""
        return f"SDK {stripe.VERSION}, key accepted at {self.settings.api_base}{sandbox}"

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[StripeApi]:
        stripe_api, address = StripeApi(self.settings), self.settings.api_base
        try:
            yield stripe_api
        except stripe.AuthenticationError:
            raise ProviderError(f"{address} refuses the key in ORDERBUS_STRIPE__API_KEY") from None
        except stripe.StripeError as error:
            status = f", HTTP {error.http_status}" if error.http_status else ""
            raise ProviderError(f"{BASE_SETTING}: {address} cannot be read ({type(error).__name__}{status})") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProviderError(f"{BASE_SETTING}: {address} cannot be reached ({type(error).__name__})") from error
        finally:
            await stripe_api.close()
