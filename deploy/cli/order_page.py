"""One order on the terminal: head, items, payments, emails and webhooks, timeline."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from deploy.cli import console
from deploy.cli.console import clock, counted, day_and_clock, details, money
from deploy.cli.obligations import what_next
from deploy.cli.order_details import by_hand, details_of, written
from deploy.cli.order_waits import RELEASED, STARTED, release, start

Body = Mapping[str, Any]
MADE_AT_PROVIDER = "made_at_provider"
"""The reason of a refund that was made in the provider's dashboard."""
CAPTURED = ("paid", "partially_refunded", "refunded", "disputed", "charged_back")
"""Statuses of a payment of which something was captured."""
WIDE, NARROW = 120, 70
"""Columns of a terminal: from the first on the timeline says each entry's type, too, and from the second who did it."""


def show_order(order: Body) -> None:
    """`order` as `whole_order` made it."""
    for line in lines(order, console.terminal_width() or WIDE):
        console.show(line, margin_of(line))


def margin_of(line: str) -> int:
    """Of the lines into which a narrow terminal puts one: where its text begins, after its name or time."""
    found = re.match(r"  [a-z ]{9} (?=\S)|(Emails|Webhooks|Feed) +|  [\d:.]{12}  ", line)
    return found.end() if found else len(line) - len(line.lstrip()) + 4


def lines(order: Body, width: int = WIDE) -> list[str]:
    """`width`: narrow ones leave out what the text says again."""
    return [
        *_head(order),
        "",
        *_items(order),
        *_payments(order),
        *_notifications(order),
        "",
        *written(order),
        "Timeline",
        *_timeline(order, width),
    ]


def _timeline(order: Body, width: int) -> list[str]:
    if order["timeline"] is None:
        return [f"  missing: {order['timeline_missing']}"]
    return [_entry(entry, width) for entry in order["timeline"]] or ["  Staff has read nothing of the order yet."]


def _entry(entry: Body, width: int) -> str:
    what = f" {entry['what']:<24}" if width >= WIDE else ""
    actor = f"{entry['actor']:<18}" if width >= WIDE else f"{entry['actor']:<8}" if width >= NARROW else ""
    return (
        f"  {clock(entry['at'])}  {actor}{what} {entry['text']}"
        if actor
        else f"  {clock(entry['at'])}  {entry['text']}"
    )


def _head(order: Body) -> list[str]:
    customer = order.get("customer") or {}
    currency = order["currency"]
    also = order.get("status_word") or order.get("display_status")
    shown = f"{order['status']}, shown as {also}" if also else order["status"]
    head = [
        f"{order['number']}  {shown}  (payment {order['payment_status']}, delivery {order['fulfilment_status']})",
        f"  id        {order['key']}, store {order['store']}, created {day_and_clock(order['created_at'])}",
    ]
    if customer:
        head.append(f"  customer  {customer['name']} <{customer['email']}>")
        head.append(
            f"  amounts   total {money(order['total'], currency)} (tax {money(order['tax'], currency)}), "
            f"{'paid' if order['payment_status'] in CAPTURED else 'to pay'} {money(order['purchased'], currency)}"
            + (f", refunded {money(order['refunded'], currency)}" if order["refunded"] else "")
        )
    head += [*by_hand(order), *details_of(order)]
    if (order.get("deliveries") or {}).get("held"):
        why = f" ({order['held']})" if order.get("held") else ""
        head.append(f"  held      {RELEASED}: {release(order['number'])}{why}")
    if (order.get("deliveries") or {}).get("to_start"):
        head.append(f"  waits     {STARTED}: {start(order['number'])}")
    if order.get("message"):
        head.append(f"  message   {order['message']}")
    if order.get("pay_url"):
        head.append(f"  pay at    {order['pay_url']}")
    return head


def _items(order: Body) -> list[str]:
    if not order["items"]:
        return ["No items yet."]
    executions: dict[str, list[Body]] = {}
    for execution in (order.get("deliveries") or {}).get("items", ()):
        executions.setdefault(execution["id"].partition("/")[0], []).append(execution)
    found = ["Items"]
    room = min(40, max(len(f"{item['quantity']} × {item['product']}") for item in order["items"]))
    for item in order["items"]:
        price = money(item["line_total"], order["currency"])
        own = executions.pop(item["item"], [])
        how = _instructions(own[0]) if len(own) == 1 else ""
        trouble = item.get("trouble") or ""
        what = f"{item['quantity']} × {item['product']}"
        found.append(f"  {item['item']}  {what:<{room}} {price:>14}  {item['delivery']:<10}  {trouble or how}".rstrip())
        only = [*_waiting(own[0]), *_by_hand(own[0])] if len(own) == 1 else []
        found += only or [line for one in own if len(own) > 1 for line in _execution(one)]
    extras = [line for of in executions.values() for one in of for line in _execution(one)]
    return [*found, "With the order", *extras] if extras else found


def _execution(execution: Body) -> list[str]:
    """Of several actions for an item, or of what the offer or every order brings."""
    kind = (execution.get("action") or {}).get("kind", "not configured")
    how = execution.get("text") or _instructions(execution)
    what = f"{kind}: {execution['product']}" if execution["id"].partition("/")[0] in ("offer", "order") else kind
    return [
        f"     {execution['id']:<12} {what:<44} {execution['status']:<16}{how}".rstrip(),
        *_waiting(execution),
        *_by_hand(execution),
    ]


def _by_hand(execution: Body) -> list[str]:
    """Its parcels, what staff gave in addition, and what came back."""
    found = []
    for parcel in execution.get("parcels", ()):
        arrived = f", arrived {day_and_clock(parcel['delivered_at'])}" if parcel.get("delivered_at") else ""
        former = ", before it was granted again" if parcel.get("former") else ""
        what = f"{parcel['quantity']} × {details(parcel, 'carrier', 'tracking', 'link')}"
        found.append(f"    parcel {parcel['id']}: {what}, sent {day_and_clock(parcel['sent_at'])}{arrived}{former}")
    found += [f"    attached: {details(given, 'link', 'note')}" for given in execution.get("attached", ())]
    found += [f"    attached: {details(file, 'name', 'file', 'note')}" for file in execution.get("files", ())]
    if execution.get("withdrawn"):
        found.append("    revoked by staff, not refunded: orderbus delivery grant-again")
    return [*found, f"    returned: {execution['returned']}"] if execution.get("returned") else found


def _instructions(execution: Body) -> str:
    return details(execution.get("instructions") or {}, "code", "carrier", "tracking", "note", "link")


def _payments(order: Body) -> list[str]:
    payment = order.get("payment")
    if not payment:
        return []
    currency = payment["currency"]
    found = ["", "Payments", *(_attempt(attempt, currency) for attempt in payment["attempts"])]
    for stray in payment.get("stray_charges", ()):
        found.append(
            f"  {clock(stray['at'])}  stray      {'not ours':<14} {money(stray['amount'], stray['currency']):>14}  "
            f"{stray['reference']}  not made by orderbus: pays nothing, is not refunded by it"
        )
    found += [_refund(refund, currency) for refund in payment["refunds"]]
    found += [_owed(part, currency, order["number"]) for part in payment.get("obligations", ())]
    for call in payment.get("waiting", ()):
        found += [f"  {call['kind']}:", *waiting] if (waiting := _waiting({"waiting": call})) else []
    return found


def _attempt(attempt: Body, currency: str) -> str:
    card = attempt.get("card") or {}
    name = f"{card['brand']} ending {card['last4']}" if card else ""
    extra = attempt.get("extra_of")
    fee = f"  fee {money(taken['amount'], taken['currency'])}" if (taken := attempt.get("fee")) else ""
    why = f"charged again for attempt {extra}: all of it is refunded" if extra else attempt["text"]
    return (
        f"  {clock(attempt['at'])}  attempt {attempt['attempt']}  {attempt['status']:<14} "
        f"{money(attempt['amount'], currency):>14}  {name}  {attempt['reference']}  {why}{fee}"
    ).rstrip()


def _refund(refund: Body, currency: str) -> str:
    status = refund["status"]
    if refund.get("recorded"):
        what = f"recorded: {refund['note']}"
    elif refund["reason"] == MADE_AT_PROVIDER:
        what = "made at the provider, not by orderbus"
    else:
        what = refund["reason"]
    text = refund["text"]
    if text and refund.get("tries", 1) > 1 and status == "pending":
        text = f"tried {counted(refund['tries'], 'time')}, last refused: {text}"
    return (
        f"  {clock(refund['at'])}  refund     {status:<14} {money(refund['amount'], currency):>14}  "
        f"{what}  {refund['reference']}  {text}{_choices(refund)}"
    ).rstrip()


def _choices(refund: Body) -> str:
    """What it leaves as it is, of the items that it makes wholly refunded."""
    said = ""
    for choice, only, nothing in (
        ("remove_access", "removes access to item", "leaves access"),
        ("restock", "puts back item", "puts nothing back in stock"),
    ):
        items = refund.get(choice)
        if items is not None:
            said += f"  ({only} {', '.join(items)} only)" if items else f"  ({nothing})"
    return f"{said}  (removes the offer's access)" if refund.get("remove_offer_access") else said


def _owed(part: Body, currency: str, number: str) -> str:
    amount = money(part["amount"], currency)
    following = what_next(part, number)
    return f"  owed since {day_and_clock(part['since'])}: {amount} of attempt {part['attempt']}, {following}"


def _notifications(order: Body) -> list[str]:
    notifications = order.get("notifications")
    if not notifications:
        return []
    mails = [f"{mail['template']} to {mail['audience']} ({mail['state']})" for mail in notifications["mails"]]
    hooks = [f"{hook['event']} ({hook['state']})" for hook in notifications["webhooks"]]
    found = ["", f"Emails    {', '.join(mails) or 'none'}", f"Webhooks  {', '.join(hooks) or 'none'}"]
    for one in (*notifications["mails"], *notifications["webhooks"]):
        name = one["template"] if "template" in one else f"{one['event']} to {one['endpoint']}"
        if one["state"] in ("failed", "unknown", "exhausted", "paused"):
            after = counted(one["attempts"], "attempt")
            found.append(f"  {name}: {one['state']} {clock(one['at'])} after {after}: {one['text']}")
            found.append(f"    {one['message']}")
        found += [f"  {name}:", *waiting] if (waiting := _waiting(one)) else []
    feed = notifications["feeds"].get("customer")
    return [*found, f"Feed      {feed}"] if feed else found


def _waiting(one: Body) -> list[str]:
    """Since when a call has waited, why, and when it is tried next; nothing for one that had no trouble yet."""
    call = one.get("waiting")
    if not call or not (call["error"] or call.get("paused")):
        return []
    following = f"next attempt {day_and_clock(call['next_try'])}" if call.get("next_try") else "in progress"
    if call.get("paused"):
        following = f"paused: {call['paused']}"
    why = "" if call["error"] == call.get("paused") else f": {call['error']}"
    return [
        f"    waiting since {day_and_clock(call['since'])}, {counted(call['attempts'], 'attempt')}, {following}{why}"
    ]
