"""What tests and the demo do to the sandbox: faults, clock, webhooks held back, books to compare with."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from inspect import isawaitable
from typing import Any

import orjson
from aiohttp import web

from deploy.sandboxes.stripe import intents, refunds
from deploy.sandboxes.stripe.accounts import DEFAULT, Account, Accounts, AccountSettings
from deploy.sandboxes.stripe.books import Books
from deploy.sandboxes.stripe.cards import AT_ONCE
from deploy.sandboxes.stripe.errors import StripeError
from deploy.sandboxes.stripe.expiry import expire_authorisations, settle_refunds
from deploy.sandboxes.stripe.faults import BadFaultError
from deploy.sandboxes.stripe.form import Form
from deploy.sandboxes.stripe.objects import Charge, PaymentIntent, PaymentMethod, Refund, Tree
from deploy.sandboxes.stripe.restriction import restriction_in

Json = dict[str, Any]
Act = Callable[[Account, web.Request, Json], object]
CHARGE_DEFAULTS = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa"}


class Control:
    """Everything under /_control, behind a bearer token, for the default account; for another one under
    /_control/accounts/{account}. Errors are problem+json."""

    def __init__(self, accounts: Accounts, token: str) -> None:
        self._accounts = accounts
        self._token = token

    def routes(self) -> list[web.RouteDef]:
        shared = (
            ("POST", "faults", _add_fault),
            ("GET", "faults", _list_faults),
            ("DELETE", "faults", _remove_faults),
            ("DELETE", "faults/{id}", _remove_faults),
            ("POST", "account", _restrict),
            ("POST", "webhooks/hold", _hold),
            ("POST", "webhooks/release", _release),
            ("GET", "webhooks", _webhook_state),
            ("POST", "clock", _advance),
            ("GET", "clock", _now),
            ("POST", "charges", _add_charge),
            ("POST", "refunds", _add_refund),
            ("POST", "refunds/{id}", _change_refund),
            ("GET", "books", _books),
        )
        return [
            web.get("/_control/accounts", self._guarded(self._list_accounts)),
            web.post("/_control/accounts", self._guarded(self._add_account)),
            *(
                web.route(method, f"{prefix}/{path}", self._guarded(act))
                for prefix in ("/_control", "/_control/accounts/{account}")
                for method, path, act in shared
            ),
        ]

    def _guarded(self, act: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def serve(request: web.Request) -> web.Response:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return _problem(401, "Unauthorized", "Send the control token: Authorization: Bearer <token>.")
            account = self._accounts.named(request.match_info.get("account", DEFAULT))
            if account is None:
                return _problem(404, "Not Found", "There is no such account: POST /_control/accounts adds one.")
            try:
                body = orjson.loads(await request.read() or b"{}")
                if not isinstance(body, dict):
                    raise BadFaultError("the body must be a JSON object")
                answer = act(account, request, body)
                return web.json_response(body=orjson.dumps(await answer if isawaitable(answer) else answer))
            except (ValueError, TypeError) as wrong:
                return _problem(400, "Bad Request", str(wrong))
            except StripeError as wrong:
                return _problem(wrong.status, "Refused by the sandbox's rules", str(wrong))

        return serve

    def _list_accounts(self, account: Account, request: web.Request, body: Json) -> object:
        return {"accounts": [{"name": one.name, "id": one.id} for one in self._accounts]}

    async def _add_account(self, account: Account, request: web.Request, body: Json) -> object:
        name = str(body.pop("name", ""))
        added = await self._accounts.add(name, AccountSettings(**{key: str(value) for key, value in body.items()}))
        return {"name": added.name, "id": added.id}


def _add_fault(account: Account, request: web.Request, body: Json) -> object:
    return asdict(account.faults.add(body))


def _list_faults(account: Account, request: web.Request, body: Json) -> object:
    return {"faults": account.faults.as_json()}


def _remove_faults(account: Account, request: web.Request, body: Json) -> object:
    account.faults.remove(request.match_info.get("id"))
    return {"faults": account.faults.as_json()}


def _restrict(account: Account, request: web.Request, body: Json) -> object:
    """Stripe pauses the account, or lets it make charges again."""
    account.charges_refused = restriction_in(body)
    return {"charges_enabled": account.charges_refused is None}


def _hold(account: Account, request: web.Request, body: Json) -> object:
    account.webhooks.hold()
    return {"held": True}


def _release(account: Account, request: web.Request, body: Json) -> object:
    order = body.get("order", "kept")
    if order not in ("kept", "reversed", "shuffled"):
        raise BadFaultError("order must be kept, reversed or shuffled")
    return {"released": account.webhooks.release(order)}


def _webhook_state(account: Account, request: web.Request, body: Json) -> object:
    return {"undelivered": len(account.store.undelivered), "attempts": account.webhooks.attempts}


def _now(account: Account, request: web.Request, body: Json) -> object:
    return {"now": account.store.clock.now(), "ahead_seconds": account.store.clock.offset}


def _advance(account: Account, request: web.Request, body: Json) -> object:
    seconds = body.get("advance_seconds")
    if not isinstance(seconds, int) or seconds < 0:
        raise BadFaultError("advance_seconds must be a whole number, 0 or more: the clock never goes back")
    account.store.advance(seconds)
    expired, settled = expire_authorisations(account), settle_refunds(account)
    return {"now": account.store.clock.now(), "expired": expired, "settled": settled}


def _add_charge(account: Account, request: web.Request, body: Json) -> object:
    """A charge that orderbus did not make: what a check has to find."""
    fields: Json = {**CHARGE_DEFAULTS, **body}
    metadata = {str(key): str(value) for key, value in fields.pop("metadata", {}).items()}
    form = Form({**{key: str(value) for key, value in fields.items()}, "metadata": metadata})
    form.values |= {"confirm": "true", "off_session": "true"}
    tx = account.transaction()
    intent = intents.create(tx, form)
    account.commit(tx)
    return {"id": intent.id, "charge": intent.latest_charge, "status": intent.status}


def _add_refund(account: Account, request: web.Request, body: Json) -> object:
    """A refund of the dashboard: `payment_intent` or `charge`, `amount`, `reason`. It does not say whose it is."""
    form = Form({key: str(value) for key, value in body.items()})
    tx = account.transaction()
    about = tx.get(PaymentIntent, form.text("payment_intent") or "") or tx.get(Charge, form.text("charge") or "")
    tx.course = account.faults.for_refund(lambda: about.metadata if about else {})
    refund = refunds.create(tx, form)
    account.commit(tx)
    return _refund_entry(refund)


def _change_refund(account: Account, request: web.Request, body: Json) -> object:
    """A refund succeeds or is returned by the bank now: `{"status": "failed", "failure_reason": …}`."""
    tx = account.transaction()
    refund = tx.find(Refund, request.match_info["id"])
    match body:
        case {"status": "succeeded"}:
            refund = refunds.succeed(tx, refund)
        case {"status": "failed"}:
            refund = refunds.bounce(tx, refund, str(body.get("failure_reason", AT_ONCE.reason)))
        case _:
            raise BadFaultError("status must be succeeded or failed")
    account.commit(tx)
    return _refund_entry(refund)


def _books(account: Account, request: web.Request, body: Json) -> object:
    """Every payment intent; `?key=value` narrows by metadata."""
    wanted = dict(request.query).items()
    books = account.store.books
    entries = [_entry(books, it) for it in books.all(PaymentIntent) if wanted <= it.metadata.items()]
    return {"payment_intents": entries, "totals": _totals(entries)}


def _entry(books: Books, it: PaymentIntent) -> Tree:
    charges = [charge for charge in map(books.shelves[Charge].by_id.get, books.charges_of.get(it.id, ())) if charge]
    refunds = [refund for charge in charges for refund in books.refunds_of(charge)]
    method = books.shelves[PaymentMethod].by_id.get(it.payment_method or "")
    return {
        "id": it.id,
        "metadata": it.metadata,
        "status": it.status,
        "currency": it.currency,
        "amount": it.amount,
        "card_kept": bool(method and method.customer),
        "authorised": it.amount_capturable,
        "captured": sum(charge.amount_captured for charge in charges),
        "refunded": sum(refund.amount for refund in refunds if refund.status == "succeeded"),
        "pending": sum(refund.amount for refund in refunds if refund.status == "pending"),
        "effects": {
            "charges": sum(charge.captured for charge in charges),
            "authorisations": sum(charge.status == "succeeded" for charge in charges),
            "declines": sum(charge.status == "failed" for charge in charges),
            "refunds": len(refunds),
        },
        "refunds": [_refund_entry(refund) for refund in refunds],
    }


def _refund_entry(refund: Refund) -> Tree:
    return {"id": refund.id, "amount": refund.amount, "status": refund.status, "metadata": refund.metadata}


def _totals(entries: list[Tree]) -> Tree:
    totals: dict[str, dict[str, int]] = {}
    for entry in entries:
        total = totals.setdefault(entry["currency"], {"captured": 0, "refunded": 0, "balance": 0})
        total["captured"] += entry["captured"]
        total["refunded"] += entry["refunded"]
        total["balance"] += entry["captured"] - entry["refunded"]
    return totals


def _problem(status: int, title: str, detail: str) -> web.Response:
    body = orjson.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
    return web.Response(status=status, body=body, content_type="application/problem+json")
