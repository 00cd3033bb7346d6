"""A store's webhook endpoints."""

from __future__ import annotations

from services.notifications.domain.endpoint import OtherStores
from shared.contracts.examples import EXAMPLES
from shared.contracts.notifications import PauseWebhook, RemoveWebhook, ResumeWebhook
from shared.contracts.store_status import StoreStatusRecord
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


TOLD = EXAMPLES[StoreStatusRecord]


def other_stores_are_known() -> OrderScenario:
    scenario = OrderScenario()
    scenario.answers[OtherStores(STORE.id)] = True
    return scenario


def test_a_store_that_does_not_exist_gets_no_endpoint() -> None:
    refused = other_stores_are_known().refuses(webhook("crm"), STORE.id)
    assert (refused.code, refused.text) == ("unknown_store", f"There is no store {STORE.id}: define it first.")


def test_until_any_store_is_told_of_all_are_taken_for_stores() -> None:
    """By an older build of checkout, which tells of none."""
    assert OrderScenario(webhook("crm")).endpoints.find("crm")


def test_a_store_that_is_told_of_gets_endpoints_and_stays_known() -> None:
    store = other_stores_are_known().hear(TOLD, STORE.id)
    once = store.endpoints
    assert store.hear(TOLD, STORE.id).endpoints is once
    store.hear(webhook("crm"), STORE.id).hear(PauseWebhook(endpoint="crm"), STORE.id)
    store.hear(webhook("crm", ["order.received"]), STORE.id).hear(RemoveWebhook(endpoint="crm"), STORE.id)
    assert (store.endpoints.known, store.endpoints.endpoints) == (True, ())
    assert store.hear(webhook("crm"), STORE.id).endpoints.find("crm")


def test_a_store_with_endpoints_gets_more_although_it_was_not_told_of() -> None:
    store = OrderScenario(webhook("crm"))
    store.answers[OtherStores(STORE.id)] = True
    assert store.hear(webhook("erp"), STORE.id).endpoints.find("erp")
