"""Why a payment was declined, as the customer reads it: a closed list.

All else that the provider or an operator says is for staff. Gateways name a reason; only this table tells customers
why.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.core.fast_enums import StrEnum
from shared.languages import marked


class DeclineReason(StrEnum):
    """What a customer can act on."""

    CARD_DECLINED = "card_declined"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    EXPIRED_CARD = "expired_card"
    INCORRECT_DETAILS = "incorrect_details"
    LIMIT_EXCEEDED = "limit_exceeded"
    NOT_SUPPORTED = "not_supported"
    NOT_CONFIRMED = "not_confirmed"
    TRY_AGAIN = "try_again"
    METHOD_UNUSABLE = "payment_method_unusable"
    NOT_CHARGEABLE = "not_chargeable"
    NOT_CHARGED = "not_charged"


CUSTOMER_TEXTS: Mapping[DeclineReason, str] = {
    DeclineReason.CARD_DECLINED: marked("Your card was declined. Use another card, or ask your bank."),
    DeclineReason.INSUFFICIENT_FUNDS: marked("Your card has insufficient funds."),
    DeclineReason.EXPIRED_CARD: marked("Your card has expired."),
    DeclineReason.INCORRECT_DETAILS: marked("The card's details are not correct. Check them and try again."),
    DeclineReason.LIMIT_EXCEEDED: marked("Your card's limit was exceeded. Use another card, or ask your bank."),
    DeclineReason.NOT_SUPPORTED: marked("Your card does not support this purchase. Use another card."),
    DeclineReason.NOT_CONFIRMED: marked(
        "The payment was not confirmed with your bank. Try again, or use another card."
    ),
    DeclineReason.TRY_AGAIN: marked("Your bank could not process the payment. Try again in a few minutes."),
    DeclineReason.METHOD_UNUSABLE: marked("This payment method cannot be used. Choose another one."),
    DeclineReason.NOT_CHARGEABLE: marked("This order cannot be paid in this way. Contact the store."),
    DeclineReason.NOT_CHARGED: marked("The payment did not go through, and nothing was charged. Try again."),
}


def customer_text(reason: DeclineReason) -> str:
    return CUSTOMER_TEXTS[reason]
