"""HTTP actions: a call that delivers, filled in with the order's fields, and one that revokes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from services.fulfillment.domain.delivery import ItemStatus
from services.fulfillment.domain.kinds.http_action import HTTP_ACTION, CallHttpAction, RevokeHttpAction
from shared.contracts.checkout import OrderCancelled
from shared.contracts.envelope import encode
from shared.contracts.fulfillment import (
    ConfigureProduct,
    ItemDelivered,
    ItemFailed,
    ItemRetried,
    ItemRevocationFailed,
    ItemRevoked,
    RetryDelivery,
)
from shared.contracts.http_action import HttpAction
from shared.contracts.http_request import HttpRequest
from shared.contracts.problems import problems_of
from shared.contracts.values import Instructions
from tests.unit.fulfillment.examples import PAID, Shop, line, placed, refund
from tests.unit.fulfillment.test_settlement import published, settle

URL = "https://school.example/courses/{{item.sku}}/grants?member={{customer.email}}"
GIVEN: dict[str, Any] = {
    "kind": "http",
    "url": URL,
    "headers": {"X-Order": "{{order.number}}", "Authorization": {"secret": "school", "prefix": "Bearer "}},
    "body": {"external_id": "{{customer.id}}", "units": 2, "tags": ["{{item.sku}}", None]},
    "revoke": {"method": "DELETE", "url": URL},
    "enter": "https://school.example/enter",
}


def action(**changes: Any) -> HttpAction:
    return HttpAction.model_validate_json(HttpAction.model_validate(GIVEN | changes).model_dump_json())


def shop(configured: HttpAction | None = None, **fields: str) -> Shop:
    """A paid order of a product with the action."""
    shop = Shop()
    shop.configure("physics", configured or action())
    bought = line("1", "physics").model_copy(update={"custom_fields": fields})
    return shop.given(placed(bought), PAID)


def corrected(shop: Shop, configured: HttpAction) -> Shop:
    shop.configure("physics", configured)
    return shop.hear(RetryDelivery(latest=True))


FILLED = HttpRequest(
    "https://school.example/courses/physics/grants?member=ada%40example.org",
    (("X-Order", "ORD-ABCDEFGHJK"),),
    '{"external_id":"c-1","units":2,"tags":["physics",null]}',
)
DONE, REVOKED = CallHttpAction.Done(), RevokeHttpAction.Done()


def test_an_orders_fields_are_filled_in_and_the_customer_is_told_where_to_go() -> None:
    bought = shop()
    assert bought.requested == [CallHttpAction("acme", "o-1", "1", action(), FILLED, 1)]
    assert bought.operation(CallHttpAction).destination() == (
        "school.example/courses/{{item.sku}}/grants of acme by school"
    )

    bought.answer(CallHttpAction, DONE)

    instructions = Instructions(kind="course", link="https://school.example/enter")
    assert bought.published == [ItemDelivered(item="1", instructions=instructions, under_way=0)]


def test_an_action_without_a_page_has_a_note() -> None:
    bought = shop(action(enter=None, note="You are on the list.")).answer(CallHttpAction, DONE)

    (delivered,) = bought.last.of(ItemDelivered)
    assert delivered.instructions == Instructions(kind="manual", note="You are on the list.")


def test_a_refund_revokes_by_the_second_call() -> None:
    bought = shop().answer(CallHttpAction, DONE)

    assert bought.hear(refund("1")).published == []
    (revocation,) = bought.last.of(RevokeHttpAction)
    assert (revocation.call.method, revocation.request) == ("DELETE", HttpRequest(FILLED.url))
    assert bought.answer(RevokeHttpAction, REVOKED).published == [ItemRevoked(item="1")]


def test_an_action_without_a_second_call_is_marked_as_revoked_and_says_so() -> None:
    bought = shop(action(revoke=None)).answer(CallHttpAction, DONE)

    assert bought.hear(refund("1")).published == [ItemRevoked(item="1")]

    assert bought.last.of(RevokeHttpAction) == []
    assert "Nothing was called to revoke it" in bought.told()[-1].executions[0].text


def test_a_grant_in_progress_is_revoked_once_it_is_done() -> None:
    bought = shop()
    assert bought.hear(OrderCancelled()).published == []
    assert bought.answer(CallHttpAction, DONE).published == []
    assert bought.answer(RevokeHttpAction, REVOKED).published == [ItemRevoked(item="1")]


def test_a_grant_in_progress_that_cannot_be_revoked_ends_as_revoked_once() -> None:
    bought = shop(action(revoke=None)).given(OrderCancelled())
    assert bought.answer(CallHttpAction, DONE).published == [ItemRevoked(item="1")]


def test_what_fails_says_what_to_fix_and_is_retried() -> None:
    bought = shop()
    text = "school.example answered 422. Find the reason there."
    assert published(bought.answer(CallHttpAction, CallHttpAction.Failed("rejected", text))) == [ItemFailed]
    assert bought.told()[-1].executions[0].text == text

    assert published(bought.hear(RetryDelivery())) == [ItemRetried]
    assert published(bought.answer(CallHttpAction, DONE)) == [ItemDelivered]


def test_an_unknown_outcome_is_settled_or_revoked_to_be_safe() -> None:
    bought = shop().answer(CallHttpAction, CallHttpAction.Unresolved("time-out"))
    assert bought.item().in_doubt
    assert ItemDelivered in published(bought.hear(settle("delivered")))

    bought = shop().answer(CallHttpAction, CallHttpAction.Unresolved("time-out"))
    assert bought.hear(refund("1")).last.of(RevokeHttpAction)


def test_a_revocation_that_fails_is_told_and_retried() -> None:
    bought = shop().answer(CallHttpAction, DONE).given(refund("1"))

    assert published(bought.answer(RevokeHttpAction, RevokeHttpAction.Failed("gave_up", "500"))) == [
        ItemRevocationFailed
    ]
    bought.hear(RetryDelivery(items=("1",)))
    assert bought.answer(RevokeHttpAction, REVOKED).published == [ItemRevoked(item="1")]


@pytest.mark.parametrize("where", ["body", "revoke"])
def test_an_order_that_lacks_a_field_fails_before_anything_is_granted(where: str) -> None:
    body = {"player": "{{custom.player}}"}
    changes = {"body": body} if where == "body" else {"revoke": {"url": "https://school.example/r", "body": body}}

    bought = shop(action(**changes))

    assert bought.last.of(CallHttpAction) == []
    (failed,) = bought.all.of(ItemFailed)
    assert failed.code == "field_missing" and "custom field player" in failed.text
    assert shop(action(**changes), player="Notch").last.of(CallHttpAction)


def test_a_field_of_dots_does_not_call_another_path() -> None:
    path = action(url="https://school.example/members/{{custom.name}}/grant")
    for name in (".", ".."):
        bought = shop(path, name=name)
        assert bought.last.of(CallHttpAction) == [] and bought.item().code == "unusable_field"
    assert shop(path, name="...").last.of(CallHttpAction)


def test_fields_that_make_the_body_too_long_fail() -> None:
    bought = shop(action(body=["{{custom.text}}"] * 40), text="x" * 2000)
    assert (bought.item().status, bought.item().code) == (ItemStatus.FAILED, "unusable_field")


def test_a_corrected_action_that_the_same_call_revokes_is_not_revoked_under_the_customers_feet() -> None:
    """A wrong header, say: to revoke the former call would be to revoke the corrected one."""
    bought = corrected(shop(), action(headers={}))
    first, second = (one for _, one in bought.open if isinstance(one, CallHttpAction))

    assert published(bought.answer(second, DONE)) == [ItemDelivered]
    assert bought.answer(first, DONE).last.of(RevokeHttpAction) == []
    assert bought.item().status is ItemStatus.DELIVERED


def test_what_a_former_action_granted_elsewhere_is_revoked_there_and_remembered_if_that_fails() -> None:
    elsewhere = action(revoke={"method": "DELETE", "url": "https://school.example/v2/{{item.sku}}"})
    bought = corrected(shop(), elsewhere)
    first, second = (one for _, one in bought.open if isinstance(one, CallHttpAction))
    assert published(bought.answer(second, DONE)) == [ItemDelivered]

    bought.answer(first, DONE)
    assert bought.operation(RevokeHttpAction).action == action()
    bought.answer(RevokeHttpAction, RevokeHttpAction.Failed("gave_up", "500"))

    (failed,) = bought.last.of(ItemRevocationFailed)
    assert failed.text == "At the former URL school.example/courses/{{item.sku}}/grants: 500"
    assert (bought.item().status, bought.item().former) == (ItemStatus.DELIVERED, (action(),))
    assert bought.state.not_revoked() == 1
    bought.hear(RetryDelivery())
    assert bought.answer(RevokeHttpAction, REVOKED).item().former == ()


def test_no_secret_is_in_a_message() -> None:
    bought = shop().answer(CallHttpAction, CallHttpAction.Failed("rejected", "No."))

    assert b"Bearer" not in b"".join(encode(record) for record in bought.told())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"url": "https://{{custom.host}}.example/x"}, "path and its query only"),
        ({"url": "https://school.example:{{custom.port}}/x"}, "path and its query only"),
        ({"url": "{{custom.url}}"}, "complete http"),
        ({"url": "https://school.example/x#{{item.sku}}"}, "path and its query only"),
        ({"url": "https://school.example/{{nothing}}"}, "unknown placeholders"),
        ({"url": "https://u:p@school.example/x"}, "credentials"),
        ({"url": "http://169.254.169.254/x"}, "never called"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "leave it out"),
        ({"headers": {"idempotency-key": "1"}}, "leave it out"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "visible ASCII"),
        ({"headers": {"X-A": "a", "x-a": "b"}}, "twice"),
        ({"headers": {"X A": "a"}}, "pattern"),
        ({"headers": {"X-A": {"secret": "s", "prefix": "\r\nX-B: "}}}, "pattern"),
        ({"body": {"{{item.sku}}": 1}}, "name of a field"),
        ({"body": ["{{nothing}}"]}, "unknown placeholders"),
        ({"body": ["x" * 1900] * 5}, "bytes"),
        ({"body": [[[[[[[[[[[[1]]]]]]]]]]]]}, "deep"),
        ({"method": "GET"}, "no body"),
        ({"method": "HEAD"}, "GET"),
        ({"statuses": [302]}, "never means"),
        ({"statuses": [401]}, "never means"),
        ({"expected": {"pointer": "ok", "value": True}}, "JSON Pointer"),
        ({"revoke": {"url": "https://{{item.sku}}/x"}}, "path and its query only"),
    ],
)
def test_what_cannot_be_called_is_refused_when_it_is_configured(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ConfigureProduct.model_validate({"action": GIVEN | changes}, strict=False)


def test_a_destination_is_that_of_the_call_that_is_made() -> None:
    grant = shop().operation(CallHttpAction)
    elsewhere = action(revoke={"url": "https://other.example/x?a={{item.sku}}"})

    assert replace(grant, action=elsewhere).destination() == (
        "school.example/courses/{{item.sku}}/grants of acme by school"
    )
    assert replace(grant, store="other").destination() != grant.destination(), "one store holds up no other"
    assert RevokeHttpAction("acme", "o-1", "1", elsewhere, FILLED).destination() == "other.example/x of acme"


def test_a_call_that_a_retry_has_replaced_is_not_made_and_decides_nothing() -> None:
    bought = shop()
    first = bought.operation(CallHttpAction)
    bought.hear(settle("not_delivered")).hear(RetryDelivery())
    assert HTTP_ACTION.is_replaced(bought.item(), first)
    assert [call.number for _, call in bought.open if isinstance(call, CallHttpAction)] == [1, 2]

    bought.answer(first, CallHttpAction.Failed("not_needed", "Not called."))
    assert (bought.item().status, bought.item().in_doubt) == (ItemStatus.IN_PROGRESS, True)
    assert not HTTP_ACTION.is_replaced(bought.item(), bought.operation(CallHttpAction))

    assert bought.answer(CallHttpAction, DONE).item().status is ItemStatus.DELIVERED


def test_a_revocation_that_a_retry_has_replaced_is_not_made_and_decides_nothing() -> None:
    bought = shop().answer(CallHttpAction, DONE).hear(refund("1"))
    first = bought.operation(RevokeHttpAction)
    bought.hear(settle("not_revoked")).hear(RetryDelivery(items=("1",)))
    assert HTTP_ACTION.is_replaced(bought.item(), first)

    bought.answer(first, RevokeHttpAction.Failed("not_needed", "Not called."))
    assert bought.item().status is ItemStatus.REVOKING
    assert bought.answer(RevokeHttpAction, REVOKED).published == [ItemRevoked(item="1")]


def test_all_that_is_wrong_with_a_url_is_told_at_once_and_fields_are_called_as_staff_wrote_them() -> None:
    wrong = {"url": "https://u:p@169.254.1.1/{/{{custom.a}}", "headers": {"X-A": "é"}}
    with pytest.raises(ValidationError) as refused:
        ConfigureProduct.model_validate({"action": GIVEN | wrong}, strict=False)
    problems = problems_of(refused.value)
    (of_url,) = [problem.text for problem in problems if problem.field.endswith(".url")]
    assert "single braces" in of_url and "credentials" in of_url and "never called" in of_url
    assert "action.http.headers.X-A" in [problem.field for problem in problems]
