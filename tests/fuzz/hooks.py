"""What Schemathesis runs before each request: most events for Stripe's callback are signed as Stripe signs them, and
what is no text in a path is quoted (it quotes texts only: a list with `#` in it would be another route's path)."""

from __future__ import annotations

import hmac
import json
import os
import time
from typing import Any
from urllib.parse import quote

import schemathesis

from services.payments.gateways.stripe.callbacks import CALLBACK_PATH

SECRET = "ORDERBUS_TEST_STRIPE_SECRET"
"""The environment variable with what events are signed with."""


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    case.path_parameters = {
        name: value if isinstance(value, str) else quote(str(value), safe="")
        for name, value in case.path_parameters.items()
    }
    secret = os.environ.get(SECRET)
    if not (secret and case.path == CALLBACK_PATH and case.method == "POST" and isinstance(case.body, dict)):
        return
    body, now = json.dumps(case.body).encode(), int(time.time())
    if len(body) % 4:
        signature = hmac.new(secret.encode(), f"{now}.".encode() + body, "sha256").hexdigest()
        case.body = body
        case.headers["Stripe-Signature"] = f"t={now},v1={signature}"


@schemathesis.check
def no_internal_refusal(
    context: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """A core that raises refuses the command: that is a bug, too, but no status of 500."""
    if response.headers.get("content-type", [""])[0].startswith("application/problem+json"):
        assert response.json()["code"] != "internal", "the core raised"
