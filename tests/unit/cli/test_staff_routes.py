"""What HTTP offers staff, the command line has, too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.cli.commands import COMMANDS, Group, single
from services.registry import PROCESSES

DOCUMENTS = Path(__file__).parents[3] / "docs/openapi"
OF_EVERY_SERVICE: Mapping[str, str] = {
    "GET /attention": "attention",
    "GET /destinations": "waiting",
    "GET /orders/{key}/explain": "order",
    "POST /destinations/{name}/resume": "resume",
    "GET /operations": "waiting",
    "GET /parked": "parked list",
    "GET /parked/{key}": "parked show",
    "POST /parked/{key}/retry": "parked retry",
    "POST /parked/{key}/skip": "parked skip",
    "GET /timers/late": "waiting",
    "GET /undeliverable": "undeliverable list",
    "GET /undeliverable/{id}": "undeliverable show",
    "POST /undeliverable/{id}/drop": "undeliverable drop",
    "POST /undeliverable/{id}/retry": "undeliverable retry",
}
OF_ORDERS: Mapping[str, str] = {
    "GET /abandoned": "abandoned",
    "GET /orders": "orders",
    "GET /orders/{order}": "order",
    "GET /orders/{key}/payment": "order",
    "GET /orders/{key}/deliveries": "order",
    "GET /orders/{key}/notifications": "order",
    "GET /orders/{key}/downloads": "delivery downloads",
    "GET /owed": "payments owed",
    "POST /orders/{key}/accept": "accept",
    "POST /orders/{key}/answer": "answer",
    "POST /orders/{key}/attach": "delivery attach",
    "PUT /orders/{key}/items/{item}/file": "delivery attach",
    "POST /orders/{key}/cancel": "cancel",
    "POST /orders/{key}/complete": "complete",
    "POST /orders/{key}/decline": "decline",
    "POST /orders/{key}/grant-again": "delivery grant-again",
    "POST /orders/{key}/hold": "delivery hold",
    "POST /orders/{key}/mails/resend": "resend",
    "POST /orders/{key}/mails/settle": "settle mail",
    "POST /orders/{key}/mark-delivered": "delivery mark-delivered",
    "POST /orders/{key}/messages": "hand-in",
    "POST /orders/{key}/notes": "note",
    "POST /orders/{key}/parcel-delivered": "delivery parcel-delivered",
    "POST /orders/{key}/provide-code": "codes provide",
    "POST /orders/{key}/record-payment": "record-payment",
    "POST /orders/{key}/refund": "refund",
    "POST /orders/{key}/refund/preview": "refund",
    "POST /orders/{key}/release": "delivery release",
    "POST /orders/{key}/renew": "delivery renew",
    "POST /orders/{key}/reopen": "reopen",
    "POST /orders/{key}/resend": "delivery resend",
    "POST /orders/{key}/retry": "retry",
    "POST /orders/{key}/retry/preview": "retry",
    "POST /orders/{key}/return": "delivery return",
    "POST /orders/{key}/revoke": "delivery revoke",
    "POST /orders/{key}/ship": "ship",
    "POST /orders/{key}/start": "delivery start",
    "POST /orders/{key}/webhooks/replay": "replay",
    "payments POST /orders/{key}/settle": "settle payment",
    "fulfillment POST /orders/{key}/settle": "settle item",
}
OF_STORES: Mapping[str, str] = {
    "GET /stores": "stores list",
    "GET /stores/{store}/settings": "stores show",
    "GET /stores/{store}/history": "stores history",
    "PATCH /stores/{store}": "stores set",
    "GET /stores/{store}/skus": "products list",
    "PUT /stores/{store}/skus/{sku}": "products set",
    "GET /stores/{store}/carriers": "carriers list",
    "PUT /stores/{store}/carriers": "carriers set",
    "PUT /stores/{store}/discord/{connection}": "discord configure",
    "POST /stores/{store}/discord/{connection}/test": "discord test",
    "GET /stores/{store}/files": "files list",
    "PUT /stores/{store}/files/{file}": "files put",
    "DELETE /stores/{store}/files/{file}": "files remove",
    "PUT /stores/{store}/pools/{pool}": "codes pool",
    "POST /stores/{store}/pools/{pool}/codes": "codes import",
    "GET /stores/{store}/secrets": "secrets list",
    "PUT /stores/{store}/secrets/{name}": "secrets set",
    "DELETE /stores/{store}/secrets/{name}": "secrets remove",
    "GET /stores/{store}/servers": "servers list",
    "GET /stores/{store}/servers/{server}": "servers list",
    "PUT /stores/{store}/servers/{server}": "servers set",
    "POST /stores/{store}/servers/{server}/test": "servers test",
    "GET /stores/{store}/stock": "stock list",
    "GET /stores/{store}/stock/{sku}": "stock list",
    "POST /stores/{store}/stock/{sku}": "stock receive",
    "PUT /stores/{store}/stock/{sku}": "stock set",
    "POST /stores/{store}/stock/{sku}/adjust": "stock adjust",
    "GET /stores/{store}/stock/{sku}/history": "stock history",
    "GET /stores/{store}/lost": "lost",
    "POST /stores/{store}/lost/mails/resend": "resend",
    "POST /stores/{store}/lost/webhooks/replay": "replay",
    "GET /stores/{store}/webhooks": "webhooks list",
    "POST /stores/{store}/webhooks": "webhooks add",
    "DELETE /stores/{store}/webhooks/{endpoint}": "webhooks remove",
    "POST /stores/{store}/webhooks/{endpoint}/pause": "webhooks pause",
    "POST /stores/{store}/webhooks/{endpoint}/resume": "resume-webhook",
    "GET /monitor/live": "monitor",
    "GET /monitor/alerts": "monitor",
    "GET /feeds/{recipient}": "feed",
    "POST /feeds/{recipient}/read": "feed",
    "POST /feeds/{recipient}/archive": "feed",
}
HAVE = {**OF_EVERY_SERVICE, **OF_ORDERS, **OF_STORES}
"""Routes, with the service where several have the same one, and the command that asks it."""
DOCUMENT = "takes or shows a document with actions that can be nested: PUT it with curl, as docs/first-store.md shows"
PROGRAM = "for programs"
HAVE_NONE: Mapping[str, str] = {
    "GET /ledger": f"{PROGRAM} that keep the books",
    "GET /payments": f"{PROGRAM}; people find a payment by its order",
    "GET /monitor/orders-per-minute": f"{PROGRAM} that draw it",
    "GET /monitor/live/stream": f"{PROGRAM} with a page that stays open",
    "GET /feeds/{recipient}/stream": f"{PROGRAM} with a page that stays open",
    "POST /orders/{key}/erase": "`customers erase` erases a customer's orders, after what payments knows of them",
    "POST /feeds/{recipient}/token": f"{PROGRAM}: a shop's back end asks for it when its customer has signed in",
    "POST /orders/{key}/downloads/renew": f"{PROGRAM}: the shop's page of an order; staff have `delivery renew`",
    "GET /stores/{store}": "`stores show` has all of it by `/settings`",
    "PUT /stores/{store}": "`stores set` creates a store, too",
    "GET /stores/{store}/skus/{sku}": "`products list` shows all of it",
    "GET /stores/{store}/pools/{pool}": "`attention` lists pools that run low, `codes import` says how many are free",
    "GET /stores/{store}/discord/{connection}": "`discord test` says what it is, and whether it works",
    "GET /stores/{store}/products/{product}": DOCUMENT,
    "PUT /stores/{store}/products/{product}": DOCUMENT,
    "GET /stores/{store}/products/{sku}": DOCUMENT,
    "PUT /stores/{store}/products/{sku}": DOCUMENT,
    "GET /stores/{store}/products/{sku}/history": DOCUMENT,
    "GET /stores/{store}/offers/{offer}": DOCUMENT,
    "PUT /stores/{store}/offers/{offer}": DOCUMENT,
    "GET /stores/{store}/offers/{offer}/history": DOCUMENT,
    "GET /stores/{store}/extras": DOCUMENT,
    "PUT /stores/{store}/extras": DOCUMENT,
    "GET /stores/{store}/extras/history": DOCUMENT,
}
"""Why there is no command."""


OF_THE_CONSOLE = "/api/v1/"
"""What pages and programs of staff use."""


def staff_routes() -> set[str]:
    found = set()
    for service in PROCESSES:
        document = json.loads((DOCUMENTS / f"{service}.json").read_text(encoding="utf-8"))
        for path, operations in document["paths"].items():
            if path.startswith(OF_THE_CONSOLE):
                continue
            for method, operation in operations.items():
                if "x-permission" in operation:
                    route = f"{method.upper()} {path}"
                    found.add(f"{service} {route}" if f"{service} {route}" in HAVE else route)
    return found


def commands() -> set[str]:
    return {
        f"{entry.name} {command.name}" if isinstance(entry, Group) else command.name
        for section in COMMANDS
        for entry in section.commands
        for command in single([entry])
    }


def test_each_route_for_staff_has_a_command_or_a_reason() -> None:
    assert staff_routes() == {*HAVE, *HAVE_NONE}
    assert not {*HAVE} & {*HAVE_NONE}


@pytest.mark.parametrize("command", sorted({*HAVE.values()}))
def test_the_command_is_there(command: str) -> None:
    assert command in commands()
