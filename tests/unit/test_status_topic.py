"""docs/status-topic.md says how to find what waits for staff in the status topics: row by row, as a tool reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from services.fulfillment.domain.operations import GrantAccess, RevokeAccess
from services.notifications.domain.email import REPEATED_AFTER
from services.notifications.domain.operations import PostWebhook, SendEmail
from shared.contracts.checkout import OrderCancelled
from shared.contracts.delivery_work import DeliveryNoted
from shared.contracts.envelope import encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.notifications import PauseWebhook
from shared.contracts.payments import RefundPayment
from shared.contracts.storefront import CheckoutAsked
from shared.core import Message
from shared.core.scenario import Scenario
from tests.unit.checkout.examples import paid_order as paid_checkout
from tests.unit.checkout.test_payment_failure import failed
from tests.unit.fulfillment.examples import PAID as PAID_DELIVERY
from tests.unit.fulfillment.examples import paid as paid_delivery
from tests.unit.fulfillment.test_by_hand import to_start
from tests.unit.notifications.examples import PAID as PAID_NOTIFIED
from tests.unit.notifications.examples import STORE, paid_order, placed_order, webhook
from tests.unit.notifications.examples import OrderScenario as OrderOfMails
from tests.unit.payments.examples import PaymentScenario, requested
from tests.unit.payments.test_settlement import unresolved, unresolved_refund

ROOT = Path(__file__).parents[2]
Record = Mapping[str, Any]
AT = "2026-03-03T15:00:00Z"
_LISTED = re.compile(r"`(\w+)` of `(\w+)` ((?:`\w+`(?:, )?)+)(?: \(or `(\w+)` `(\w+)`\))?")
_BOTH = re.compile(r"`(\w+)` `(\w+)` with a `(\w+)`")
_FIELD = re.compile(r"`(\w+)`")
_NAMED = re.compile(r'Attention\(\s*f?"([^"]+)"')
_FORMATTED = {
    "unresolved {what}": ("unresolved payment", "unresolved refund"),
    "{row.state} webhooks": ("exhausted webhooks", "paused webhooks"),
}
"""Names that are put together, and what they come to."""
WAITING: Mapping[str, Record | list[Record]] = {
    "customer asks": {"asked": {"wants": "cancellation", "text": "Ordered twice.", "at": AT}},
    "failed payment": {"status": "failed", "deadline": AT},
    "held order": {"held": "Check the address."},
    "unresolved payment": {"unresolved": True, "attempts": [{"status": "unresolved"}]},
    "unresolved refund": {"unresolved": True, "refunds": [{"status": "unresolved"}]},
    "refund owed": {"owed": 500},
    "refund by hand": {"owed": 500, "refunds": [{"status": "pending"}]},
    "failed delivery": {"executions": [{"status": "failed", "code": "rejected", "text": "HTTP 422"}]},
    "manual task": {"executions": [{"status": "waiting_task"}]},
    "not configured": [
        {"executions": [{"status": "waiting_setup"}]},
        {"executions": [{"status": "waiting_outside", "code": "unknown_server"}]},
    ],
    "access not revoked": {"executions": [{"status": "revocation_failed"}]},
    "order to start": {"to_start": True},
    "lost emails": {"emails": [{"state": "failed"}]},
    "unknown emails": {"emails": [{"state": "unknown"}]},
    "exhausted webhooks": {"webhooks": [{"state": "exhausted"}]},
    "paused webhooks": {"webhooks": [{"state": "paused"}]},
}
"""What is put into the contract's example, of which nothing waits, for an entry to be there."""
QUIET: Mapping[str, Record] = {
    "orders.status.v1": {},
    "payments.status.v1": {},
    "deliveries.status.v1": {"executions": [{"status": "delivered", "code": None, "text": ""}]},
    "messages.status.v1": {"emails": [{"state": "sent"}], "webhooks": [{"state": "delivered"}]},
}


def rows() -> Iterator[tuple[list[str], str, str]]:
    """Entries, topic and rule of each row of the table."""
    text = (ROOT / "docs/status-topic.md").read_text()
    table = text.split("| entry | topic | field |\n|---|---|---|\n")[1].split("\n\n")[0]
    for line in table.splitlines():
        entries, topic, rule = (cell.strip() for cell in line.strip("|").split("|"))
        names = [name.strip() for name in entries.split(",")]
        yield [full for name in names for full in _apart(name)], topic.strip("`"), rule


def _apart(name: str) -> list[str]:
    """`exhausted or paused webhooks` are two."""
    first, _, rest = name.partition(" or ")
    return [f"{first} {rest.split()[-1]}", rest] if rest else [name]


ROWS = list(rows())
ENTRIES = [(entry, topic, rule) for entries, topic, rule in ROWS for entry in entries]


def reading(rule: str) -> Callable[[Record], bool]:
    """What a tool would ask of a record that follows the rule. Fields that a record leaves out are not there."""
    if found := _LISTED.match(rule):
        among, field, quoted, other, value = found.groups()
        values = _FIELD.findall(quoted)
        return lambda record: any(
            one.get(field) in values or (other is not None and one.get(other) == value) for one in record.get(among, ())
        )
    if found := _BOTH.match(rule):
        field, value, also = found.groups()
        return lambda record: record.get(field) == value and bool(record.get(also))
    found = _FIELD.match(rule)
    assert found, rule
    return lambda record: bool(record.get(found[1]))


def example(topic: str) -> Message:
    (found,) = [one for one in EXAMPLES.values() if one.topic.name == topic]
    return found


def published(topic: str, changes: Record) -> Record:
    """The example with these changes, as it would be on the topic. Each of a list changes the first one there."""
    body = json.loads(encode(example(topic)))
    for name, value in changes.items():
        body[name] = [body[name][0] | one for one in value] if isinstance(value, list) else value
    record: Record = json.loads(encode(type(example(topic)).model_validate_json(json.dumps(body))))
    return record


def test_there_is_a_record_for_each_entry() -> None:
    assert sorted(entry for entry, *_ in ENTRIES) == sorted(WAITING)


@pytest.mark.parametrize(("entry", "topic", "rule"), ENTRIES, ids=[entry for entry, *_ in ENTRIES])
def test_a_row_finds_what_waits_and_nothing_else(entry: str, topic: str, rule: str) -> None:
    waits, changes = reading(rule), WAITING[entry]
    for one in changes if isinstance(changes, list) else [changes]:
        assert waits(published(topic, one)), f"{rule} does not find {one}"
    assert not waits(published(topic, QUIET[topic]))


@pytest.mark.parametrize(("entry", "topic", "rule"), ENTRIES, ids=[entry for entry, *_ in ENTRIES])
def test_all_that_a_row_names_is_in_the_contract(entry: str, topic: str, rule: str) -> None:
    kind = type(example(topic))
    schema = json.dumps(kind.model_json_schema())
    for name in _FIELD.findall(rule):
        assert re.search(rf"\b{name}\b", schema) or name == "unknown_server", f"{name} is not in {kind.type}"


def test_orderbus_attention_lists_what_the_rows_name() -> None:
    texts = [path.read_text() for path in ROOT.glob("services/*/attention.py")]
    names = {name for text in texts for name in _NAMED.findall(text)}
    listed = {full for name in names for full in _FORMATTED.get(name, (name,))}
    assert {entry for entry, *_ in ENTRIES} <= listed


def lost(outcome: SendEmail.Failed | SendEmail.Unresolved) -> OrderOfMails:
    order = paid_order()
    arrive = order.answer(order.emails[1], SendEmail.Done())
    for wait in REPEATED_AFTER if isinstance(outcome, SendEmail.Unresolved) else ():
        arrive.answer(order.emails[0], outcome, after=["no answer"]).let_time_pass(wait)
    return arrive.answer(order.emails[0], outcome, after=["no answer"])


def exhausted() -> OrderOfMails:
    order = paid_order(webhook())
    order.answer(order.posts()[0], PostWebhook.Unresolved("HTTP 503"))
    return order


def paused() -> OrderOfMails:
    order = placed_order(webhook("crm", ["order.received", "order.completed"]))
    return order.hear(PauseWebhook(endpoint="crm", reason="maintenance"), STORE.id).hear(PAID_NOTIFIED)


STATES: Mapping[str, Callable[[], Scenario[Any]]] = {
    "customer asks": lambda: paid_checkout().hear(CheckoutAsked(wants="cancel", text="Ordered twice.")),
    "failed payment": failed,
    "held order": lambda: paid_checkout().hear(DeliveryNoted(action="held", text="The address looks odd.")),
    "unresolved payment": unresolved,
    "unresolved refund": unresolved_refund,
    "refund owed": lambda: PaymentScenario(requested()).pay().hear(RefundPayment()),
    "failed delivery": lambda: paid_delivery("course").answer(GrantAccess, GrantAccess.Failed("rejected", "HTTP 422")),
    "access not revoked": lambda: (
        paid_delivery("course")
        .answer(GrantAccess, GrantAccess.Done())
        .hear(OrderCancelled())
        .answer(RevokeAccess, RevokeAccess.Failed("not_found", "404: check the URL"))
    ),
    "order to start": lambda: to_start().hear(PAID_DELIVERY),
    "lost emails": lambda: lost(SendEmail.Failed("smtp_550", "No such mailbox.")),
    "unknown emails": lambda: lost(SendEmail.Unresolved("the answer was lost")),
    "exhausted webhooks": exhausted,
    "paused webhooks": paused,
}
"""As the cores come to it."""


@pytest.mark.parametrize(
    ("entry", "topic", "rule"),
    [row for row in ENTRIES if row[0] in STATES],
    ids=[e for e, *_ in ENTRIES if e in STATES],
)
def test_a_row_finds_what_the_cores_tell(entry: str, topic: str, rule: str) -> None:
    records = STATES[entry]().all.of(type(example(topic)))
    assert reading(rule)(json.loads(encode(records[-1])))
