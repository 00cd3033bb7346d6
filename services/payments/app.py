"""Payments, put together: what it consumes, what it emits, and who performs its operations."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.domain import payments
from services.payments.domain.operations import CancelCharge, ChargeCard, FindCharge, FindRefund, RefundCharge
from services.payments.gateways.providers import Providers
from services.payments.gateways.stripe import StripeGateway
from services.payments.gauges import GAUGES
from services.payments.http import routes
from services.payments.storage import storage
from shared.contracts.checkout import ORDERS
from shared.contracts.payments import COMMANDS, EMITS, PaymentsRefused
from shared.settings import PREFIX, Settings, WrongSettings
from shared.shell.operations.rate_limit import RateLimiter
from shared.shell.postgres.reservations import PostgresReservations
from shared.shell.service import Service


def payments_service(settings: Settings, engine: AsyncEngine, now: Callable[[], float] = time.time) -> Service:
    """Raises WrongSettings when Stripe's key or webhook secret is missing. `now` gives Unix seconds."""
    _require(settings)
    limiter = RateLimiter(PostgresReservations(engine), settings.stripe.requests_per_second)
    stripe = StripeGateway(settings.stripe, limiter=limiter, now=now)
    providers = Providers({"stripe": stripe})
    return Service(
        name="payments",
        cores=[payments],
        consumes=[COMMANDS, ORDERS],
        emits=EMITS,
        refusal=PaymentsRefused,
        storage=storage,
        gateways={
            ChargeCard: providers,
            CancelCharge: providers,
            RefundCharge: providers,
            FindCharge: providers,
            FindRefund: providers,
        },
        gauges=GAUGES,
        routes=routes(settings.stripe),
        resources=[stripe.close],
    )


def _require(settings: Settings) -> None:
    wanted = {"API_KEY": settings.stripe.api_key, "WEBHOOK_SECRET": settings.stripe.webhook_secret}
    missing = [f"{PREFIX}STRIPE__{name}" for name, secret in wanted.items() if not secret.get_secret_value()]
    if missing:
        lines = (f"{name}: is missing (take it from Stripe's dashboard, or run `orderbus up`)" for name in missing)
        raise WrongSettings("\n".join(lines))
