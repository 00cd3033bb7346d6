"""Whether Stripe lets an account make charges, and what a charge is refused with if not.

The message, its code and its type are those that Stripe is known for (https://docs.stripe.com/error-codes,
`testmode_charges_only`). It does not document the HTTP status; another refusal for an account's standing changed from
400 to 402 (https://github.com/stripe/stripe-node/pull/737). Only confirming a payment is refused: to create, read,
cancel or refund one works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.sandboxes.stripe.errors import StripeError
from deploy.sandboxes.stripe.objects import Tree


@dataclass(frozen=True, slots=True)
class ChargesRefused:
    """`saved`: an idempotency key repeats the refusal, as Stripe says of every request that it began to execute."""

    status: int = 402
    code: str | None = "testmode_charges_only"
    message: str = (
        "Your account cannot currently make live charges. If you are a customer trying to make a purchase, please "
        "contact the owner of this site. Your transaction has not been processed."
    )
    saved: bool = True

    @property
    def error(self) -> StripeError:
        return StripeError(self.status, self.message, code=self.code, saved=self.saved)


def restriction_in(body: Mapping[str, object]) -> ChargesRefused | None:
    """`{"charges_enabled": false, …}` with the fields of the refusal. Raises ValueError."""
    fields = dict(body)
    enabled = fields.pop("charges_enabled", None)
    kinds = {"status": int, "code": str | None, "message": str, "saved": bool}
    if not isinstance(enabled, bool) or (enabled and fields):
        raise ValueError("charges_enabled must be true, or false with status, code, message and saved")
    for name, value in fields.items():
        if name not in kinds or not isinstance(value, kinds[name]):
            raise ValueError(f"{name} is unknown, or of another type")
    return None if enabled else ChargesRefused(**fields)  # type: ignore[arg-type]


def account_tree(identifier: str, created: int, refused: ChargesRefused | None) -> Tree:
    """As `GET /v1/account` answers."""
    enabled = refused is None
    state = "active" if enabled else "inactive"
    requirements: Tree = {
        "alternatives": [],
        "current_deadline": None,
        "currently_due": [],
        "disabled_reason": None if enabled else "under_review",
        "errors": [],
        "eventually_due": [],
        "past_due": [],
        "pending_verification": [],
    }
    return {
        "id": identifier,
        "object": "account",
        "business_type": "company",
        "capabilities": {"card_payments": state, "transfers": "active"},
        "charges_enabled": enabled,
        "country": "US",
        "created": created,
        "default_currency": "usd",
        "details_submitted": True,
        "email": "owner@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "requirements": requirements,
        "type": "standard",
    }
