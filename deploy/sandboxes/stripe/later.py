"""What happens by itself as time passes: authorisations end, refunds succeed or are returned by the bank."""

from __future__ import annotations

from deploy.sandboxes.stripe import intents, refunds
from deploy.sandboxes.stripe.api import Api
from deploy.sandboxes.stripe.objects import Charge, PaymentIntent, Refund
from deploy.sandboxes.stripe.store import Store


def expire_authorisations(api: Api, store: Store) -> int:
    """Cancels what was authorised seven days ago and never captured; returns how many."""
    tx = api.transaction()
    for identifier in sorted(store.books.authorised):
        intent = tx.find(PaymentIntent, identifier)
        charge = tx.find(Charge, intent.latest_charge or "")
        if charge.capture_before is not None and charge.capture_before <= tx.now:
            intents.expire(tx, intent)
    expired = sum(isinstance(record, PaymentIntent) for record in tx.puts.values())
    api.commit(tx)
    return expired


def settle_refunds(api: Api, store: Store) -> int:
    """Changes the status of refunds whose time has come; returns of how many."""
    if not store.books.unsettled:
        return 0
    tx = api.transaction()
    for identifier in sorted(store.books.unsettled):
        refunds.go_on(tx, tx.find(Refund, identifier), tx.exact)
    settled = sum(isinstance(record, Refund) for record in tx.puts.values())
    api.commit(tx)
    return settled
