"""What bulk actions send, where they are offered, and what an owner's answer says."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from services.staff.domain.bulk import (
    ACTIONS,
    BulkChoice,
    body_of,
    command_of,
    key_of,
    offered_for,
    permissions_of,
    unknown_options,
)
from services.staff.jobs.owner import DONE, CommandOutcome, OwnerAway, outcome_of
from shared.contracts.values import OrderStatus
from shared.core import Refused
from tests.http_edges import application_of

S = OrderStatus


@pytest.mark.parametrize(
    ("status", "offered", "not_offered"),
    [
        (S.PENDING_PAYMENT, {"cancel"}, {"refund", "complete", "return", "fulfil"}),
        (S.PROCESSING, {"cancel", "complete", "refund", "fulfil", "release", "start", "retry_deliveries"}, set()),
        (S.COMPLETED, {"refund", "return", "retry_deliveries"}, {"cancel", "complete", "fulfil", "release"}),
        (S.FAILED, {"cancel", "complete", "refund", "retry_deliveries"}, set()),
        (S.CANCELLED, {"resend_emails", "replay_webhooks"}, {"cancel", "refund", "complete"}),
    ],
)
def test_a_tab_offers_what_may_apply_to_its_orders(
    status: OrderStatus, offered: set[str], not_offered: set[str]
) -> None:
    found = set(offered_for(status))
    assert found >= offered and not found & not_offered
    assert set(offered_for(None)) == set(ACTIONS)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_a_route_of_its_owner(action: str) -> None:
    chosen = ACTIONS[action]
    routes = {
        (route.method, route.resource.canonical)
        for route in application_of(chosen.service).router.routes()
        if route.resource is not None
    }
    assert ("POST", f"/orders/{{key}}{chosen.path}") in routes


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_sends_a_command_that_its_owner_reads(action: str) -> None:
    options = dict.fromkeys(ACTIONS[action].options, True)
    command = command_of(BulkChoice(action, "Closing the shop.", options))
    assert command.type == ACTIONS[action].command.type
    written = json.loads(command.model_dump_json(exclude_defaults=True))
    field = ACTIONS[action].reason
    assert not field or written[field] == "Closing the shop."


def test_a_reason_is_asked_for_where_the_owner_asks_for_it() -> None:
    with pytest.raises(ValidationError):
        command_of(BulkChoice("release"))
    assert body_of(BulkChoice("cancel"), []) == {}


def test_a_return_names_what_was_delivered() -> None:
    choice = BulkChoice("return", "Recalled.", {"refund": True})
    assert body_of(choice, ["1", "3"]) == {
        "refund": True,
        "reason": "Recalled.",
        "items": [{"item": "1"}, {"item": "3"}],
    }
    assert isinstance(body_of(choice, []), Refused)
    assert permissions_of(command_of(choice)) == ("delivery.return", "payment.refund")
    assert unknown_options(BulkChoice("cancel", "", {"refund": True})) == ["refund"]


def test_a_key_is_of_one_order_of_one_job() -> None:
    assert len({key_of(job, order) for job in ("a", "b") for order in ("1", "2")}) == 4


def problem(code: str, title: str = "No.", **more: object) -> bytes:
    return json.dumps({"code": code, "title": title, **more}).encode()


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (202, b"{}", DONE),
        (
            409,
            problem("not_paid", "This order is not paid yet."),
            CommandOutcome("refused", "not_paid", "This order is not paid yet."),
        ),
        (
            404,
            problem("not_found", "There is no such order."),
            CommandOutcome("refused", "not_found", "There is no such order."),
        ),
        (
            409,
            problem("unknown_item", "Wrong.", problems=[{"field": "items.0", "text": "no such item"}]),
            CommandOutcome("refused", "unknown_item", "Wrong. items.0: no such item"),
        ),
        (409, problem("outcome_forgotten", "Used."), CommandOutcome("unknown", "outcome_forgotten", "Used.")),
    ],
)
def test_an_owners_answer(status: int, body: bytes, outcome: CommandOutcome) -> None:
    assert outcome_of("checkout", status, body) == outcome


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((503, problem("busy")), (429, problem("too_many_requests")), (500, problem("internal"))),
        *((401, problem("unauthorized")), (409, problem("newer")), (409, problem("parked"))),
        *((502, b"<html>"), (409, b"[]"), (200, b"{}"), (404, b"")),
    ],
)
def test_an_answer_that_says_nothing_of_the_command(status: int, body: bytes) -> None:
    with pytest.raises(OwnerAway, match="checkout answers"):
        outcome_of("checkout", status, body)
