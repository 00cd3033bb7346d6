"""A store's webhook endpoints."""

from __future__ import annotations

from shared.contracts.notifications import PauseWebhook, RemoveWebhook, ResumeWebhook
from tests.unit.notifications.examples import STORE, OrderScenario, webhook


def test_endpoints_are_replaced_removed_and_limited() -> None:
    store = OrderScenario(webhook("crm"), webhook("crm", ["order.received"]))
    assert [endpoint.events for endpoint in store.endpoints.endpoints] == [("order.received",)]

    store.hear(RemoveWebhook(endpoint="crm"), STORE.id)
    assert store.refuses(RemoveWebhook(endpoint="crm"), STORE.id).code == "unknown_endpoint"

    for number in range(50):
        store.hear(webhook(f"e{number}"), STORE.id)
    assert store.refuses(webhook("one-more"), STORE.id).code == "too_many_endpoints"


def test_pausing_twice_changes_nothing_and_an_unknown_endpoint_is_refused() -> None:
    store = OrderScenario(webhook("crm")).hear(PauseWebhook(endpoint="crm"), STORE.id)
    once = store.endpoints

    assert store.hear(PauseWebhook(endpoint="crm"), STORE.id).endpoints is once
    assert store.refuses(ResumeWebhook(endpoint="other"), STORE.id).code == "unknown_endpoint"
    assert OrderScenario().refuses(ResumeWebhook(endpoint="crm"), STORE.id).code == "unknown_endpoint"
