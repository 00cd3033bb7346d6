"""Stripe's SDK."""

from shared.optional_packages import without

with without("requests", "httpx"):  # it would load them, 16 MB, and calls by aiohttp here
    import stripe

__all__ = ["stripe"]
