"""Path 8: a submission that is wrong is refused with everything that is wrong with it; the order stays as it was."""

from __future__ import annotations

import json

from shared.contracts.envelope import encode
from shared.contracts.storefront import CheckoutSubmitted, SubmittedItem
from tests.e2e.conversation import Customer, World


def everything_wrong(customer: Customer) -> CheckoutSubmitted:
    """No address for a parcel, an unknown SKU, zero units, a wrong sum, no token."""
    right = customer.checkout("print", "atlas")
    items = (right.items[0], SubmittedItem(sku="unicorn", quantity=0, unit_price=100))
    wrong = {"items": items, "shipping": None, "payment": type(right.payment)()}
    return right.model_copy(update=wrong)


async def test_every_problem_comes_back_at_once_and_the_right_one_is_taken_after(world: World) -> None:
    customer = world.customer("Edsger Dijkstra")
    order = await customer.opens()
    await order.becomes("created")

    await order.submits(everything_wrong(customer))
    refusal = await order.is_refused()

    codes = {problem["code"] for problem in refusal["problems"]}
    assert codes == {"address_missing", "unknown_sku", "quantity_not_positive", "wrong_sum", "payment_missing"}
    assert refusal["command"] == "checkout.submitted"
    assert order.status == "created"
    assert await world.money_taken(order) == (0, 0, 0)

    await order.submits(customer.checkout("atlas"))
    await order.becomes("completed")


async def test_a_message_with_fields_of_the_wrong_shape_is_refused_by_name(world: World) -> None:
    customer = world.customer()
    order = await customer.opens()
    await order.becomes("created")
    body = json.loads(encode(customer.checkout("atlas"))) | {"currency": "EURO", "purchased": -1, "total": "12.50"}
    body["gift"] = True

    await world.shop.storefront.publish_body(CheckoutSubmitted, json.dumps(body).encode(), order.id)
    refusal = await order.is_refused()

    fields = {problem["field"] for problem in refusal["problems"]}
    assert fields == {"currency", "purchased", "total", "gift"}
    assert order.status == "created"


async def test_the_same_order_cannot_be_bought_twice(world: World) -> None:
    customer = world.customer()
    order = await customer.buys("tides")
    done = await order.becomes("completed")

    await order.submits(customer.checkout("atlas"))
    refusal = await order.is_refused()

    assert refusal["code"] == "already_submitted"
    assert await world.money_taken(order) == (done["purchased"], 0, 1)
