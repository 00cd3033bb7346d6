"""The store's rules by which an order is held for verification when it is placed."""

from __future__ import annotations

from collections.abc import Iterator

from services.checkout.domain.store import Store
from services.checkout.domain.timeline import money
from shared.contracts.storefront import CheckoutSubmitted
from shared.contracts.text import domain_name


def hold_reason(store: Store, checkout: CheckoutSubmitted) -> str | None:
    """For staff; None: no rule holds it. Names no address."""
    return "; ".join(_reasons(store, checkout)) or None


def _reasons(store: Store, checkout: CheckoutSubmitted) -> Iterator[str]:
    most = (store.hold_total_above or {}).get(checkout.currency)
    if most is not None and checkout.purchased > most:
        yield f"{money(checkout.purchased, checkout.currency)} is above {money(most, checkout.currency)}"
    billed = checkout.billing.country if checkout.billing else checkout.country
    shipped = checkout.shipping.country if checkout.shipping else None
    if store.hold_other_country and billed and shipped and billed != shipped:
        yield f"billed in {billed}, shipped to {shipped}"
    own = domain_name(checkout.customer.email.rpartition("@")[2])
    above = (domain for domain in store.hold_email_domains if f".{own}".endswith(f".{domain_name(domain)}"))
    if domain := next(above, None):
        yield f"an email address at {domain}"
