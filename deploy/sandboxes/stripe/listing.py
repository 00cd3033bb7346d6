"""Lists, searches and `expand[]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from deploy.sandboxes.stripe.books import Shelf, Transaction
from deploy.sandboxes.stripe.errors import invalid, missing
from deploy.sandboxes.stripe.form import Form
from deploy.sandboxes.stripe.objects import (
    BalanceTransaction,
    Charge,
    Customer,
    PaymentIntent,
    PaymentMethod,
    Record,
    Refund,
    SetupIntent,
    Tree,
)
from deploy.sandboxes.stripe.rendering import render

MOST = 100
PAGING = ("limit", "starting_after", "ending_before", "created", "expand")
EXPANDABLE: dict[str, tuple[type[Any], ...]] = {
    "latest_charge": (Charge,),
    "charge": (Charge,),
    "payment_intent": (PaymentIntent,),
    "payment_method": (PaymentMethod,),
    "customer": (Customer,),
    "balance_transaction": (BalanceTransaction,),
    "failure_balance_transaction": (BalanceTransaction,),
    "source": (Charge, Refund),
}


def limit_of(form: Form) -> int:
    limit = form.integer("limit", least=1) or 10
    if limit > MOST:
        raise invalid(f"This value must be less than or equal to {MOST}.", "limit", "parameter_invalid_integer")
    return limit


def page_of(shelf: Shelf, form: Form, keep: Callable[[Any], bool]) -> tuple[list[Any], bool]:
    """One page, newest first, and whether there are more."""
    limit = limit_of(form)
    lowest, highest = _span(shelf, form)
    if after := form.text("starting_after"):
        highest = min(highest, _position(shelf, after, "starting_after"))
    if before := form.text("ending_before"):
        lowest = max(lowest, _position(shelf, before, "ending_before") + 1)
        rising = (shelf.by_id[identifier] for identifier in islice(shelf.ids, lowest, highest))
        found = list(islice(filter(keep, rising), limit + 1))
        return found[:limit][::-1], len(found) > limit
    found = list(islice(filter(keep, shelf.newest_first(lowest, highest)), limit + 1))
    return found[:limit], len(found) > limit


def _position(shelf: Shelf, identifier: str, param: str) -> int:
    if identifier not in shelf.position:
        raise missing("object", identifier, param)
    return shelf.position[identifier]


def _span(shelf: Shelf, form: Form) -> tuple[int, int]:
    """The positions that `created` admits: an exact time, or gt, gte, lt, lte."""
    lowest, highest = 0, len(shelf.ids)
    if "created" not in form:
        return lowest, highest
    if isinstance(form.values["created"], str):
        exact = form.integer("created") or 0
        return shelf.first_since(exact), shelf.first_since(exact + 1)
    bounds = form.inside("created")
    if bounds is None:
        return lowest, highest
    bounds.only(("gt", "gte", "lt", "lte"))
    for name in bounds:
        at = bounds.integer(name) or 0
        place = shelf.first_since(at + 1 if name in ("gt", "lte") else at)
        if name.startswith("g"):
            lowest = max(lowest, place)
        else:
            highest = min(highest, place)
    return lowest, highest


def as_list(url: str, data: Iterable[Any], *, more: bool) -> Tree:
    return {"object": "list", "data": list(data), "has_more": more, "url": url}


_CLAUSE = re.compile(r"\s*(?:metadata\[(['\"])(?P<key>[^'\"]+)\1\]|(?P<field>\w+)):(['\"])(?P<value>[^'\"]*)\4\s*")


def search_of(query: str) -> Callable[[Any], bool]:
    """Stripe's search language as far as `metadata['order']:'x' AND status:'succeeded'`."""
    wanted: list[tuple[str | None, str | None, str]] = []
    for clause in re.split(r"\s+AND\s+", query):
        match = _CLAUSE.fullmatch(clause)
        if match is None or match["field"] not in (None, "status", "currency", "customer"):
            raise invalid(f"The Stripe sandbox cannot read the search clause: {clause[:80]}", "query")
        wanted.append((match["key"], match["field"], match["value"]))

    def keep(record: Any) -> bool:
        return all(
            (record.metadata.get(key) if key else getattr(record, field or "", None)) == value
            for key, field, value in wanted
        )

    return keep


def expand(tx: Transaction, tree: Tree, paths: Iterable[str]) -> Tree:
    """Replaces ids by the objects they name, along each dotted path."""
    for path in paths:
        _expand(tx, tree, path.split("."), path)
    return tree


def _expand(tx: Transaction, tree: Tree, steps: list[str], path: str) -> None:
    step, *rest = steps
    if step == "data" and tree.get("object") == "list":
        for item in tree["data"]:
            _expand(tx, item, rest, path)
        return
    if step == "refunds" and tree.get("object") == "charge":
        charge = tx.find(Charge, tree["id"])
        refunds = [render(tx.find(Refund, identifier)) for identifier in reversed(charge.refunds)]
        tree["refunds"] = as_list(f"/v1/charges/{charge.id}/refunds", refunds, more=False)
        return
    if step not in EXPANDABLE or step not in tree:
        raise invalid(f"This property cannot be expanded ({path}).", "expand")
    if isinstance(tree[step], str):
        tree[step] = render(_named(tx, tree[step], EXPANDABLE[step]))
    if rest and tree[step] is not None:
        _expand(tx, tree[step], rest, path)


def _named(tx: Transaction, identifier: str, kinds: tuple[type[Any], ...]) -> Record:
    for kind in kinds:
        record: Record | None = tx.get(kind, identifier)
        if record is not None:
            return record
    raise missing("object", identifier)


LISTED: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    "payment_intents": (PaymentIntent, ("customer",)),
    "charges": (Charge, ("payment_intent", "customer")),
    "refunds": (Refund, ("payment_intent", "charge")),
    "balance_transactions": (BalanceTransaction, ("type", "source", "currency")),
    "customers": (Customer, ("email",)),
    "payment_methods": (PaymentMethod, ("type", "customer")),
    "setup_intents": (SetupIntent, ("customer", "payment_method")),
}
_FIELD = {"payment_intent": "intent"}


def list_of(tx: Transaction, collection: str, form: Form) -> Tree:
    """One page of a collection, filtered by the parameters that Stripe knows for it."""
    kind, filters = LISTED[collection]
    form.only((*filters, *PAGING))
    wanted = {_FIELD.get(name, name): form.required(name) for name in filters if name in form and name != "type"}
    if kind is BalanceTransaction and "type" in form:
        wanted["type"] = form.required("type")

    def keep(record: Any) -> bool:
        return all(getattr(record, name) == value for name, value in wanted.items())

    records, more = page_of(_narrowed(tx, kind, wanted), form, keep)
    return as_list(f"/v1/{collection}", map(render, records), more=more)


def _narrowed(tx: Transaction, kind: type[Any], wanted: dict[str, str]) -> Shelf:
    """The few records of one payment, or the whole shelf: asking for one payment's charges must not walk them all."""
    shelf = tx.books.shelves[kind]
    intent, charge = wanted.get("intent"), wanted.get("charge")
    if kind not in (Charge, Refund) or not (intent or charge):
        return shelf
    charges = [charge] if charge else tx.books.charges_of.get(intent or "", [])
    identifiers: Iterable[str] = charges
    if kind is Refund:
        known = (tx.get(Charge, identifier) for identifier in charges)
        identifiers = [refund for found in known if found is not None for refund in found.refunds]
    narrow = Shelf()
    for identifier in identifiers:
        narrow.put(shelf.by_id[identifier])
    return narrow
