"""Stripe's endpoints: a request is authenticated, maybe struck by a fault, run once per idempotency key, answered."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from deploy.sandboxes.stripe import intents, methods, refunds, setups
from deploy.sandboxes.stripe.accounts import Account, Accounts
from deploy.sandboxes.stripe.books import Event, Transaction
from deploy.sandboxes.stripe.errors import (
    CardDeclined,
    StripeError,
    broken,
    forbidden,
    invalid,
    key_expired,
    missing,
    rate_limited,
    unknown_route,
)
from deploy.sandboxes.stripe.faults import Fault
from deploy.sandboxes.stripe.form import Form, decode
from deploy.sandboxes.stripe.idempotency import fingerprint_of
from deploy.sandboxes.stripe.listing import LISTED, PAGING, as_list, expand, limit_of, list_of, page_of, search_of
from deploy.sandboxes.stripe.objects import (
    KINDS,
    BalanceTransaction,
    Charge,
    Customer,
    PaymentIntent,
    PaymentMethod,
    Record,
    Refund,
    SetupIntent,
    Token,
    Tree,
)
from deploy.sandboxes.stripe.rendering import API_VERSION, render
from deploy.sandboxes.stripe.restriction import account_tree
from deploy.sandboxes.stripe.store import Claim, Reply, Store

PathParameters = Mapping[str, str]
Outcome = Record | Tree
Rule = Callable[[Transaction, Form, PathParameters], Outcome]
RuleOf = Callable[[Account], Rule]
LOG = logging.getLogger("stripe_sandbox")
REFUNDS = "/v1/refunds"
Handler = Callable[[web.Request], Awaitable[web.Response]]


class ConnectionCutError(Exception):
    """A fault: the client gets no answer."""


class Api:
    """Everything under /v1, in the account of the request's key."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def routes(self) -> list[web.RouteDef]:
        writing = [web.post(path, self._endpoint(_always(rule))) for path, rule in WRITING.items()]
        reading = [web.get(path, self._endpoint(rule), allow_head=False) for path, rule in _reading().items()]
        unknown = web.route("*", "/v1/{rest:.*}", self._endpoint(None))
        return [*writing, *reading, unknown]

    def _endpoint(self, rule: RuleOf | None) -> Handler:
        async def serve(request: web.Request) -> web.Response:
            request_id = "req_" + secrets.token_hex(7)
            headers = {
                "Request-Id": request_id,
                "Stripe-Version": request.headers.get("Stripe-Version", API_VERSION),
                "Content-Type": "application/json",
            }
            key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
            if key:
                headers["Idempotency-Key"] = key
            try:
                answer = await self._answer(request, rule, request_id, key, headers)
            except StripeError as error:
                headers.update(error.headers)
                answer = Reply(error.status, error.body(request_id), request_id)
            except OSError as error:
                LOG.error("the journal cannot be written: %s", error)
                answer = Reply(500, broken(saved=False).body(request_id), request_id)
            except ConnectionCutError:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=500)
            if answer.status >= 500 and "Stripe-Should-Retry" not in headers:
                headers["Stripe-Should-Retry"] = "false"
            return web.Response(status=answer.status, body=answer.body, headers=headers)

        return serve

    async def _answer(
        self, request: web.Request, rule_of: RuleOf | None, request_id: str, key: str | None, headers: dict[str, str]
    ) -> Reply:
        account = self._accounts.of_key(_given_key(request))
        if rule_of is None:
            raise unknown_route(request.method, request.path)
        params = await _params(request)
        path, form, store = request.path, Form(params), account.store
        claim = Claim(key, fingerprint_of(params), path) if key else None
        struck: list[Fault] = []
        if account.faults.active:
            metadata = partial(_metadata, account, params, request.match_info)
            struck = account.faults.for_request(request.method, path, metadata)
        _refuse_key(struck, request, account)
        kept = store.keys.begin(claim.key, claim.fingerprint, path, store.clock.now()) if claim else None
        tx = account.transaction(f"{request.scheme}://{request.host}", request_id, key)
        try:
            await _strike_before(struck)
            if kept is None:
                if (request.method, path) == ("POST", REFUNDS):
                    tx.course = account.faults.for_refund(partial(_metadata, account, params, request.match_info))
                act = partial(rule_of(account), tx, form, request.match_info)
                answer = _run(account, tx, act, form, claim, struck)
            else:
                answer = store.kept_answer(kept)
                headers |= {"Idempotent-Replayed": "true", "Original-Request": answer.request_id}
        finally:
            if claim is not None and kept is None:
                store.keys.end(claim.key)
        await asyncio.sleep(sum(fault.milliseconds for fault in struck if fault.kind == "answer_delay") / 1000)
        if any(fault.kind == "close_after" for fault in struck):
            raise ConnectionCutError
        return answer


def _run(
    account: Account,
    tx: Transaction,
    act: Callable[[], Outcome],
    form: Form,
    claim: Claim | None,
    struck: list[Fault],
) -> Reply:
    """The effect, its events and its answer go into the journal in one write, or none of them does."""
    request_id = tx.request_id or ""
    try:
        if any(fault.kind == "error" for fault in struck):
            raise broken(saved=True)
        answer = Reply(200, _body(tx, act(), form), request_id)
    except StripeError as error:
        if not error.saved:
            raise
        answer = Reply(error.status, error.body(request_id), request_id)
        if not isinstance(error, CardDeclined):
            tx = account.transaction()
    if any(fault.kind == "error_after" for fault in struck):
        answer = Reply(500, broken(saved=True).body(request_id), request_id)
    account.commit(tx, claim, answer)
    return answer


def _metadata(account: Account, params: dict[str, object], names: PathParameters) -> dict[str, str]:
    """The metadata that a fault is matched with: the request's own, on top of that of the intent it is about."""
    tx = account.transaction()
    identifier = names.get("id") or str(params.get("payment_intent") or params.get("charge") or "")
    about: Any = tx.get(PaymentIntent, identifier) or tx.get(Charge, identifier) or tx.get(Refund, identifier)
    own = params.get("metadata")
    inherited = dict(about.metadata) if about is not None else {}
    return inherited | ({key: str(value) for key, value in own.items()} if isinstance(own, dict) else {})


def _always(rule: Rule) -> RuleOf:
    return lambda account: rule


def _reading() -> dict[str, RuleOf]:
    single = {f"/v1/{path}/{{id}}": _retrieve(kind) for path, kind in RETRIEVED.items()}
    lists = {f"/v1/{collection}": _list(collection) for collection in LISTED}
    rules = {"/v1/payment_intents/search": _search, **single, **lists, "/v1/balance": _balance}
    return {path: _always(rule) for path, rule in rules.items()} | {
        "/v1/account": lambda account: partial(_account, account),
        "/v1/events": lambda account: partial(_events, account.store),
        "/v1/events/{id}": lambda account: partial(_event, account.store),
    }


def _account(account: Account, tx: Transaction, form: Form, names: PathParameters) -> Tree:
    form.only(("expand",))
    return account_tree(account.id, tx.now, account.charges_refused)


def _event_tree(store: Store, event: Event) -> Tree:
    tree: Tree = orjson.loads(store.event_text(event))
    tree["pending_webhooks"] = int(event.id in store.undelivered)
    return tree


def _event(store: Store, tx: Transaction, form: Form, names: PathParameters) -> Tree:
    event = tx.books.shelves[Event].by_id.get(names["id"])
    if event is None:
        raise missing("event", names["id"])
    return _event_tree(store, event)


def _events(store: Store, tx: Transaction, form: Form, names: PathParameters) -> Tree:
    form.only((*PAGING, "type", "types"))
    types = form.list_of("types") or ((form.required("type"),) if "type" in form else ())
    events, more = page_of(tx.books.shelves[Event], form, lambda it: not types or it.type in types)
    return as_list("/v1/events", (_event_tree(store, event) for event in events), more=more)


def _refuse_key(struck: list[Fault], request: web.Request, account: Account) -> None:
    """A key that expired or lost a permission: answered before anything else is looked at, and never kept."""
    key = _given_key(request)
    if any(fault.kind == "expired_key" for fault in struck):
        raise key_expired(key)
    if any(fault.kind == "forbidden" for fault in struck):
        raise forbidden(key, request.path, account.id)


async def _strike_before(struck: list[Fault]) -> None:
    for fault in struck:
        match fault.kind:
            case "delay":
                await asyncio.sleep(fault.milliseconds / 1000)
            case "close_before":
                raise ConnectionCutError
            case "rate_limit":
                raise rate_limited(fault.retry_after)
            case "error" if not fault.saved:
                raise broken(saved=False)


async def _params(request: web.Request) -> dict[str, object]:
    try:
        if request.method != "POST":
            return decode(request.rel_url.raw_query_string)
        return decode((await request.read()).decode())
    except ValueError:
        raise invalid("Invalid request: the parameters are not valid form data in UTF-8.") from None


def _given_key(request: web.Request) -> str:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return _basic_user(given) if scheme == "Basic" else given


def _basic_user(encoded: str) -> str:
    """`curl -u sk_test_...:` sends the key as the user of Basic authentication."""
    try:
        return base64.b64decode(encoded).decode().partition(":")[0]
    except ValueError:
        return ""


def _body(tx: Transaction, outcome: Outcome, form: Form) -> bytes:
    if isinstance(outcome, dict):
        return orjson.dumps(expand(tx, outcome, form.list_of("expand")))
    if "expand" not in form:
        return tx.text(outcome)
    tree = expand(tx, render(outcome), form.list_of("expand"))
    if isinstance(outcome, PaymentIntent):
        _leave_out_later_movement(tx, outcome, tree)
    return orjson.dumps(tree)


def _leave_out_later_movement(tx: Transaction, intent: PaymentIntent, tree: Tree) -> None:
    """Asynchronous capture, Stripe's default, enters the movement of money a little later than it answers:
    https://docs.stripe.com/payments/payment-intents/asynchronous-capture."""
    charge = tree["latest_charge"]
    if isinstance(charge, dict) and intent.capture_method == "automatic_async" and charge["created"] >= tx.now:
        charge["balance_transaction"] = None


def _retrieve(kind: type[Any]) -> Rule:
    def rule(tx: Transaction, form: Form, names: PathParameters) -> Record:
        form.only(("expand", "client_secret"))
        if kind is PaymentMethod:
            return methods.of_id(tx, names["id"])
        record: Record = tx.find(kind, names["id"])
        return record

    return rule


def _list(collection: str) -> Rule:
    return lambda tx, form, names: list_of(tx, collection, form)


def _search(tx: Transaction, form: Form, names: PathParameters) -> Tree:
    form.only(("query", "limit", "page", "expand"))
    keep = search_of(form.required("query"))
    found, more = page_of(tx.books.shelves[PaymentIntent], Form({"limit": str(limit_of(form))}), keep)
    url = "/v1/payment_intents/search"
    return {"object": "search_result", "data": [render(it) for it in found], "has_more": more, "url": url}


def _balance(tx: Transaction, form: Form, names: PathParameters) -> Tree:
    form.only(("expand",))
    available = [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in sorted(tx.books.balance.items())
    ]
    return {"object": "balance", "available": available, "livemode": False, "pending": []}


RETRIEVED: dict[str, type[Any]] = {
    "payment_intents": PaymentIntent,
    "charges": Charge,
    "refunds": Refund,
    "balance_transactions": BalanceTransaction,
    "customers": Customer,
    "payment_methods": PaymentMethod,
    "setup_intents": SetupIntent,
    "tokens": Token,
}
assert set(RETRIEVED.values()) == set(KINDS.values())

WRITING: dict[str, Rule] = {
    "/v1/payment_intents": lambda tx, form, names: intents.create(tx, form),
    "/v1/payment_intents/{id}": lambda tx, form, names: intents.update(tx, names["id"], form),
    "/v1/payment_intents/{id}/confirm": lambda tx, form, names: intents.confirm(tx, names["id"], form),
    "/v1/payment_intents/{id}/capture": lambda tx, form, names: intents.capture(tx, names["id"], form),
    "/v1/payment_intents/{id}/cancel": lambda tx, form, names: intents.cancel(tx, names["id"], form),
    REFUNDS: lambda tx, form, names: refunds.create(tx, form),
    "/v1/refunds/{id}": lambda tx, form, names: refunds.update(tx, names["id"], form),
    "/v1/setup_intents": lambda tx, form, names: setups.create(tx, form),
    "/v1/setup_intents/{id}/confirm": lambda tx, form, names: setups.confirm(tx, names["id"], form),
    "/v1/setup_intents/{id}/cancel": lambda tx, form, names: setups.cancel(tx, names["id"], form),
    "/v1/payment_methods": lambda tx, form, names: methods.create_payment_method(tx, form),
    "/v1/payment_methods/{id}/attach": lambda tx, form, names: methods.attach(tx, names["id"], form),
    "/v1/payment_methods/{id}/detach": lambda tx, form, names: methods.detach(tx, names["id"], form),
    "/v1/tokens": lambda tx, form, names: methods.create_token(tx, form),
    "/v1/customers": lambda tx, form, names: methods.create_customer(tx, form),
    "/v1/customers/{id}": lambda tx, form, names: methods.update_customer(tx, names["id"], form),
}
