"""What tests and the demo do to the sandbox: faults, clock, webhooks held back, books to compare with."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import web

from deploy.sandboxes.stripe import intents, refunds
from deploy.sandboxes.stripe.api import Api
from deploy.sandboxes.stripe.books import Books
from deploy.sandboxes.stripe.cards import AT_ONCE
from deploy.sandboxes.stripe.errors import StripeError
from deploy.sandboxes.stripe.faults import BadFaultError, Faults
from deploy.sandboxes.stripe.form import Form
from deploy.sandboxes.stripe.later import expire_authorisations, settle_refunds
from deploy.sandboxes.stripe.objects import Charge, PaymentIntent, Refund, Tree
from deploy.sandboxes.stripe.store import Store
from deploy.sandboxes.stripe.webhooks import Webhooks

Json = dict[str, Any]
CHARGE_DEFAULTS = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa"}


class Control:
    """Everything under /_control, behind a bearer token. Errors are problem+json."""

    def __init__(self, api: Api, store: Store, webhooks: Webhooks, faults: Faults, token: str) -> None:
        self._api = api
        self._store = store
        self._webhooks = webhooks
        self._faults = faults
        self._token = token

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/_control/faults", self._guarded(self._add_fault)),
            web.get("/_control/faults", self._guarded(self._list_faults)),
            web.delete("/_control/faults", self._guarded(self._remove_faults)),
            web.delete("/_control/faults/{id}", self._guarded(self._remove_faults)),
            web.post("/_control/webhooks/hold", self._guarded(self._hold)),
            web.post("/_control/webhooks/release", self._guarded(self._release)),
            web.get("/_control/webhooks", self._guarded(self._webhook_state)),
            web.post("/_control/clock", self._guarded(self._advance)),
            web.get("/_control/clock", self._guarded(self._now)),
            web.post("/_control/charges", self._guarded(self._add_charge)),
            web.post("/_control/refunds", self._guarded(self._add_refund)),
            web.post("/_control/refunds/{id}", self._guarded(self._change_refund)),
            web.get("/_control/books", self._guarded(self._books)),
        ]

    def _guarded(self, act: Callable[[web.Request, Json], object]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def serve(request: web.Request) -> web.Response:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return _problem(401, "Unauthorized", "Send the control token: Authorization: Bearer <token>.")
            try:
                body = orjson.loads(await request.read() or b"{}")
                if not isinstance(body, dict):
                    raise BadFaultError("the body must be a JSON object")
                return web.json_response(body=orjson.dumps(act(request, body)))
            except (ValueError, TypeError) as wrong:
                return _problem(400, "Bad Request", str(wrong))
            except StripeError as wrong:
                return _problem(wrong.status, "Refused by the sandbox's rules", str(wrong))

        return serve

    def _add_fault(self, request: web.Request, body: Json) -> object:
        return asdict(self._faults.add(body))

    def _list_faults(self, request: web.Request, body: Json) -> object:
        return {"faults": self._faults.as_json()}

    def _remove_faults(self, request: web.Request, body: Json) -> object:
        self._faults.remove(request.match_info.get("id"))
        return {"faults": self._faults.as_json()}

    def _hold(self, request: web.Request, body: Json) -> object:
        self._webhooks.hold()
        return {"held": True}

    def _release(self, request: web.Request, body: Json) -> object:
        order = body.get("order", "kept")
        if order not in ("kept", "reversed", "shuffled"):
            raise BadFaultError("order must be kept, reversed or shuffled")
        return {"released": self._webhooks.release(order)}

    def _webhook_state(self, request: web.Request, body: Json) -> object:
        return {"undelivered": len(self._store.undelivered), "attempts": self._webhooks.attempts}

    def _now(self, request: web.Request, body: Json) -> object:
        return {"now": self._store.clock.now(), "ahead_seconds": self._store.clock.offset}

    def _advance(self, request: web.Request, body: Json) -> object:
        seconds = body.get("advance_seconds")
        if not isinstance(seconds, int) or seconds < 0:
            raise BadFaultError("advance_seconds must be a whole number, 0 or more: the clock never goes back")
        self._store.advance(seconds)
        expired, settled = expire_authorisations(self._api, self._store), settle_refunds(self._api, self._store)
        return {"now": self._store.clock.now(), "expired": expired, "settled": settled}

    def _add_charge(self, request: web.Request, body: Json) -> object:
        """A charge that orderbus did not make: what a check has to find."""
        fields: Json = {**CHARGE_DEFAULTS, **body}
        metadata = {str(key): str(value) for key, value in fields.pop("metadata", {}).items()}
        form = Form({**{key: str(value) for key, value in fields.items()}, "metadata": metadata})
        form.values |= {"confirm": "true", "off_session": "true"}
        tx = self._api.transaction()
        intent = intents.create(tx, form)
        self._api.commit(tx)
        return {"id": intent.id, "charge": intent.latest_charge, "status": intent.status}

    def _add_refund(self, request: web.Request, body: Json) -> object:
        """A refund of the dashboard: `payment_intent` or `charge`, `amount`, `reason`. It does not say whose it is."""
        form = Form({key: str(value) for key, value in body.items()})
        tx = self._api.transaction()
        about = tx.get(PaymentIntent, form.text("payment_intent") or "") or tx.get(Charge, form.text("charge") or "")
        tx.course = self._faults.for_refund(lambda: about.metadata if about else {})
        refund = refunds.create(tx, form)
        self._api.commit(tx)
        return _refund_entry(refund)

    def _change_refund(self, request: web.Request, body: Json) -> object:
        """A refund succeeds or is returned by the bank now: `{"status": "failed", "failure_reason": …}`."""
        tx = self._api.transaction()
        refund = tx.find(Refund, request.match_info["id"])
        match body:
            case {"status": "succeeded"}:
                refund = refunds.succeed(tx, refund)
            case {"status": "failed"}:
                refund = refunds.bounce(tx, refund, str(body.get("failure_reason", AT_ONCE.reason)))
            case _:
                raise BadFaultError("status must be succeeded or failed")
        self._api.commit(tx)
        return _refund_entry(refund)

    def _books(self, request: web.Request, body: Json) -> object:
        """Every payment intent; `?key=value` narrows by metadata."""
        wanted = dict(request.query).items()
        books = self._store.books
        entries = [_entry(books, it) for it in books.all(PaymentIntent) if wanted <= it.metadata.items()]
        return {"payment_intents": entries, "totals": _totals(entries)}


def _entry(books: Books, it: PaymentIntent) -> Tree:
    charges = [charge for charge in map(books.shelves[Charge].by_id.get, books.charges_of.get(it.id, ())) if charge]
    refunds = [refund for charge in charges for refund in books.refunds_of(charge)]
    return {
        "id": it.id,
        "metadata": it.metadata,
        "status": it.status,
        "currency": it.currency,
        "amount": it.amount,
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
