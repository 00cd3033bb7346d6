"""Checkout's settings."""

from __future__ import annotations

from shared.settings import ServiceSettings, Settings


class CheckoutSettings(Settings):
    checkout: ServiceSettings
