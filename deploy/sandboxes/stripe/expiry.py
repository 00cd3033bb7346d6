"""What happens by itself as time passes: authorisations end, refunds succeed or are returned by the bank."""

from __future__ import annotations

from deploy.sandboxes.stripe import intents, refunds
from deploy.sandboxes.stripe.accounts import Account
from deploy.sandboxes.stripe.objects import Charge, PaymentIntent, Refund


def expire_authorisations(account: Account) -> int:
    """Cancels what was authorised seven days ago and never captured; returns how many."""
    tx = account.transaction()
    for identifier in sorted(account.store.books.authorised):
        intent = tx.find(PaymentIntent, identifier)
        charge = tx.find(Charge, intent.latest_charge or "")
        if charge.capture_before is not None and charge.capture_before <= tx.now:
            intents.expire(tx, intent)
    expired = sum(isinstance(record, PaymentIntent) for record in tx.puts.values())
    account.commit(tx)
    return expired


def settle_refunds(account: Account) -> int:
    """Changes the status of refunds whose time has come; returns of how many."""
    if not account.store.books.unsettled:
        return 0
    tx = account.transaction()
    for identifier in sorted(account.store.books.unsettled):
        refunds.go_on(tx, tx.find(Refund, identifier), tx.exact)
    settled = sum(isinstance(record, Refund) for record in tx.puts.values())
    account.commit(tx)
    return settled
