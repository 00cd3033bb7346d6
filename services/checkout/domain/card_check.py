"""The verification of a card before the order is accepted: as the store wants it, and how it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.contracts.providers import CHARGES, DEFAULT, limit_problems
from shared.core import Problem
from shared.core.fast_enums import StrEnum

NONE, STAFF, RULE, SUBMISSION, APPROVAL, AMOUNT = "none", "staff", "rule", "submission", "approval", "amount"
"""Values of `orders.approval`, `orders.capture` and `orders.verification` (which can be `setup`, too)."""
USUAL_AMOUNTS: Mapping[str, int] = {"USD": 100}


class CardCheck(StrEnum):
    """How the verification of the card stands, as far as checkout knows."""

    NONE = "none"
    IN_PROGRESS = "in_progress"
    ACTION_REQUIRED = "action_required"
    """The customer is asked to confirm (3-D Secure)."""
    VERIFIED = "verified"
    DECLINED = "declined"


def verification_amount(amounts: Mapping[str, int] | None, currency: str) -> int:
    """What is authorised, in minor units: as the store says, or 1.00 USD, which is twice the least that can be charged;
    so in other currencies."""
    chosen = (amounts or {}).get(currency) or USUAL_AMOUNTS.get(currency)
    limits = CHARGES[DEFAULT].get(currency)
    return chosen or (2 * limits.least if limits else 0)


def approval_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """What contradicts what, by the names of the settings."""
    approval, capture, verification = (values[f"orders.{name}"] for name in ("approval", "capture", "verification"))
    if (approval == NONE) != (capture == SUBMISSION):
        text = f"orders.capture is {capture}, but orders.approval is {approval}: "
        text += (
            "no order would be accepted." if approval == NONE else "an order would be charged before it is accepted."
        )
        yield Problem(field="orders.capture", code="contradiction", text=text)
    yield from _rule_problems(approval, values["orders.accept_up_to"], values.get("payment.currencies", ()))
    if verification == NONE:
        return
    if approval == NONE:
        text = f"orders.verification is {verification}, but orders.approval is none: such a card is charged at once."
        yield Problem(field="orders.verification", code="contradiction", text=text)
    if DEFAULT not in values["payment.providers"]:
        text = f"orders.verification is {verification}, but payment.providers does not have {DEFAULT}."
        yield Problem(field="orders.verification", code="contradiction", text=text)


def _rule_problems(
    approval: str, accept_up_to: Mapping[str, int] | None, currencies: Sequence[str]
) -> Iterator[Problem]:
    field = "orders.accept_up_to"
    if approval == RULE and not accept_up_to:
        text = "orders.approval is rule, but orders.accept_up_to is not set: no order would be accepted by it."
        yield Problem(field="orders.approval", code="contradiction", text=text)
    if accept_up_to and approval != RULE:
        text = f"orders.accept_up_to is set, but orders.approval is {approval}: no order is accepted by rule."
        yield Problem(field=field, code="contradiction", text=text)
    for currency in accept_up_to or {}:
        if currency not in currencies:
            text = f"{field} has {currency}, which payment.currencies does not have."
            yield Problem(field=f"{field}.{currency}", code="contradiction", text=text)


def accepted_by_rule(
    approval: str, accept_up_to: Mapping[str, int] | None, currency: str, purchased: int, held: str | None
) -> bool:
    """Staff look at what is held for verification."""
    return approval == RULE and not held and purchased <= (accept_up_to or {}).get(currency, -1)


def amount_problems(amounts: Mapping[str, int] | None, currencies: Sequence[str]) -> Iterator[Problem]:
    for currency, amount in (amounts or {}).items():
        field = f"orders.verification_amount.{currency}"
        if currency not in currencies:
            text = f"orders.verification_amount has {currency}, which payment.currencies does not have."
            yield Problem(field=field, code="contradiction", text=text)
        elif currency in CHARGES[DEFAULT]:
            yield from limit_problems(DEFAULT, field, amount, currency)
