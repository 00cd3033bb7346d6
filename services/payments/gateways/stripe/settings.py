"""Stripe's section of payments' settings."""

from __future__ import annotations

from pydantic import Field
from pydantic.config import JsonDict

from shared.setting_types import HttpUrl, Token
from shared.settings import Section

DASHBOARD: JsonDict = {"remedy": "see Stripe's dashboard"}


class StripeSettings(Section):
    api_key: Token = Field(min_length=1, examples=["sk_test_example"], json_schema_extra=DASHBOARD)
    """`sk_test_…` or `sk_live_…`."""
    api_base: HttpUrl = "https://api.stripe.com"
    """The URL of Stripe, or of the sandbox ([deploy/sandboxes](../deploy/sandboxes/README.md))."""
    webhook_secret: Token = Field(min_length=1, examples=["whsec_example"], json_schema_extra=DASHBOARD)
    """`whsec_…` of the webhook endpoint."""
    publishable_key: str = Field(default="", pattern=r"^(pk_(test|live)_[A-Za-z0-9]{1,250})?$")
    """`pk_test_…` or `pk_live_…`, of the same mode as `API_KEY`: the pay page takes cards with it, by Stripe's Payment
    Element. Without it, and with the sandbox as `API_BASE`, it offers test cards."""
    script_url: HttpUrl = "https://js.stripe.com/v3/"
    """The URL of Stripe's script, which the pay page loads."""
    tolerance: int = Field(default=300, ge=1)
    """Seconds for which a webhook's signature is valid."""
    requests_per_second: float = Field(default=25, gt=0)
    """The maximum rate per endpoint of Stripe's API, for all workers together. Stripe's documented limit is 25 in test
    mode and 100 in live mode."""
    timeout: float = Field(default=20, gt=0)
    """Seconds per request."""
