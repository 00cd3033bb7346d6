"""The Stripe sandbox as the real SDK sees it: paying, declining, authenticating, capturing, refunding."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from .stripe_sandbox_rig import Sandbox, receiving, sandbox, sdk


@pytest.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with receiving() as receiver, sandbox(tmp_path_factory.mktemp("stripe"), receiver) as running:
        yield running


async def declined(shop: Sandbox, card: str, **more: Any) -> stripe.CardError:
    with pytest.raises(stripe.CardError) as caught:
        await shop.pay(card, **more)
    return caught.value


async def test_a_card_pays_and_its_brand_last_four_and_expiry_are_told(shop: Sandbox) -> None:
    expand = ["latest_charge.balance_transaction"]
    intent = await shop.pay(statement_descriptor_suffix="BIKES", capture_method="automatic", expand=expand)

    assert (intent.status, intent.amount_received, intent.metadata.to_dict()) == ("succeeded", 1000, {"order": "ORD-1"})
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert charge.payment_method_details is not None
    card = charge.payment_method_details.card
    assert card is not None
    assert (card.brand, card.last4, card.exp_month) == ("visa", "4242", 12)
    assert charge.calculated_statement_descriptor == "SANDBOX* BIKES"
    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    assert (charge.balance_transaction.amount, charge.balance_transaction.fee) == (1000, 59)
    assert intent.last_response is not None
    assert (intent.last_response.request_id or "").startswith("req_")


async def test_asynchronous_capture_answers_before_the_money_moves(shop: Sandbox) -> None:
    intent = await shop.pay(expand=["latest_charge.balance_transaction"])

    assert (intent.status, intent.capture_method) == ("succeeded", "automatic_async")
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert intent.latest_charge.balance_transaction is None


@pytest.mark.parametrize(
    ("data", "last4"),
    [
        ({"token": "tok_visa"}, "4242"),
        ({"token": "tok_mastercard"}, "4444"),
        ({"number": "4012 8888 8888 1881", "exp_month": "7", "exp_year": "2040", "cvc": "123"}, "1881"),
    ],
)
async def test_tokens_and_numbers_pay_too(shop: Sandbox, data: dict[str, str], last4: str) -> None:
    intent = await shop.pay("", payment_method_data={"type": "card", "card": data}, expand=["payment_method"])

    assert isinstance(intent.payment_method, stripe.PaymentMethod)
    assert intent.payment_method.card is not None
    assert intent.payment_method.card.last4 == last4


async def test_a_token_of_a_card_can_be_used_once(shop: Sandbox) -> None:
    token = await shop.client.v1.tokens.create_async(
        {"card": {"number": "5555555555554444", "exp_month": "1", "exp_year": "2039"}}
    )
    data = {"type": "card", "card": {"token": token.id}}

    assert (await shop.pay("", payment_method_data=data)).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.pay("", payment_method_data=data)
    assert caught.value.code == "token_already_used"


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
        ("pm_card_radarBlock", "card_declined", "fraudulent"),
    ],
)
async def test_a_declined_card_says_why(shop: Sandbox, card: str, code: str, decline_code: str | None) -> None:
    error = await declined(shop, card)

    assert (error.http_status, error.code) == (402, code)
    assert error.error is not None
    assert error.error.decline_code == decline_code
    intent = error.error.payment_intent
    assert intent is not None
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_payment_error is not None
    assert (intent.last_payment_error.code, intent.latest_charge) == (code, error.error.charge)


async def test_after_a_decline_another_card_pays_the_same_intent(shop: Sandbox) -> None:
    error = await declined(shop, "pm_card_chargeDeclined")
    assert error.error is not None
    assert error.error.payment_intent is not None
    identifier = error.error.payment_intent.id

    intent = await shop.client.v1.payment_intents.confirm_async(
        identifier, {"payment_method": "pm_card_mastercard", "return_url": "https://shop.example"}
    )

    assert (intent.status, intent.last_payment_error) == ("succeeded", None)
    charges = await shop.client.v1.charges.list_async({"payment_intent": identifier})
    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]


@pytest.mark.parametrize(("button", "outcome"), [("complete", "succeeded"), ("fail", "requires_payment_method")])
async def test_three_d_secure_sends_the_customer_to_the_bank_and_back(shop: Sandbox, button: str, outcome: str) -> None:
    intent = await shop.pay("pm_card_threeDSecure2Required")
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    page = intent.next_action.redirect_to_url.url
    assert page is not None

    async with shop.http.get(page) as shown:
        assert "$10.00" in await shown.text()
    async with shop.http.post(f"{page}/{button}", allow_redirects=False) as left:
        assert left.status == 303
        back = left.headers["Location"]

    assert back.startswith(f"https://shop.example/back?payment_intent={intent.id}")
    after = await shop.client.v1.payment_intents.retrieve_async(intent.id)
    assert after.status == outcome
    event = "payment_intent.succeeded" if button == "complete" else "payment_intent.payment_failed"
    await shop.receiver.until(
        lambda: any(told.type == event and told.data.object["id"] == intent.id for told in shop.receiver.events)
    )


async def test_an_unauthorised_caller_cannot_open_the_banks_page(shop: Sandbox) -> None:
    intent = await shop.pay("pm_card_threeDSecure2Required")

    async with shop.http.post(f"{shop.url}/3d_secure/{intent.id}/wrong/complete") as refused:
        assert refused.status == 404


async def test_off_session_a_card_that_wants_authentication_is_declined(shop: Sandbox) -> None:
    error = await declined(shop, "pm_card_authenticationRequired", off_session=True)

    assert error.code == "authentication_required"


async def test_manual_capture_takes_part_and_gives_the_rest_back(shop: Sandbox) -> None:
    intent = await shop.pay(capture_method="manual")
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 1000, 0)

    captured = await shop.client.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 600})

    assert (captured.status, captured.amount_capturable, captured.amount_received) == ("succeeded", 0, 600)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.client.v1.payment_intents.capture_async(intent.id)
    assert caught.value.code == "payment_intent_unexpected_state"


async def test_a_cancelled_authorisation_moves_no_money(shop: Sandbox) -> None:
    intent = await shop.pay(capture_method="manual", metadata={"order": "ORD-VERIFY"})

    gone = await shop.client.v1.payment_intents.cancel_async(intent.id, {"cancellation_reason": "abandoned"})

    assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")
    charge = await shop.client.v1.charges.retrieve_async(str(intent.latest_charge))
    assert (charge.captured, charge.refunded, charge.amount_refunded) == (False, False, 0)
    books = await shop.control("GET", "books?order=ORD-VERIFY")
    assert books["totals"] == {"usd": {"captured": 0, "refunded": 0, "balance": 0}}


async def test_refunds_never_exceed_what_was_captured(shop: Sandbox) -> None:
    intent = await shop.pay()
    refunds = shop.client.v1.refunds

    part = await refunds.create_async({"payment_intent": intent.id, "amount": 400, "reason": "requested_by_customer"})
    assert (part.status, part.amount, part.charge) == ("succeeded", 400, intent.latest_charge)
    with pytest.raises(stripe.InvalidRequestError, match=r"\(\$6\.01\) is greater than .* \(\$6\.00\)"):
        await refunds.create_async({"payment_intent": intent.id, "amount": 601})
    rest = await refunds.create_async({"charge": str(intent.latest_charge), "metadata": {"refund": "r-2"}})
    assert (rest.amount, rest.metadata and rest.metadata.to_dict()) == (600, {"refund": "r-2"})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await refunds.create_async({"payment_intent": intent.id})
    assert caught.value.code == "charge_already_refunded"

    listed = await refunds.list_async({"payment_intent": intent.id})
    assert [refund.id for refund in listed.data] == [rest.id, part.id]
    charge = await shop.client.v1.charges.retrieve_async(str(intent.latest_charge), {"expand": ["refunds"]})
    assert (charge.refunded, charge.amount_refunded) == (True, 1000)


async def test_every_movement_of_money_is_a_balance_transaction(shop: Sandbox) -> None:
    intent = await shop.pay(currency="gbp", amount=700)
    refund = await shop.client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 300})

    movements = await shop.client.v1.balance_transactions.list_async({"currency": "gbp"})

    assert [(it.type, it.amount, it.source) for it in movements.data] == [
        ("refund", -300, refund.id),
        ("charge", 700, intent.latest_charge),
    ]


async def test_a_card_kept_by_a_setup_intent_pays_later_without_its_owner(shop: Sandbox) -> None:
    customer = await shop.client.v1.customers.create_async({"email": "ada@example.com", "name": "Ada"})
    setup = await shop.client.v1.setup_intents.create_async(
        {
            "customer": customer.id,
            "payment_method": "pm_card_authenticationRequiredOnSetup",
            "confirm": True,
            "return_url": "https://shop.example/back",
        }
    )
    assert setup.next_action is not None
    assert setup.next_action.redirect_to_url is not None
    async with shop.http.post(f"{setup.next_action.redirect_to_url.url}/complete", allow_redirects=False) as left:
        assert "redirect_status=succeeded" in left.headers["Location"]

    intent = await shop.pay(str(setup.payment_method), customer=customer.id, off_session=True)

    assert intent.status == "succeeded"
    assert (await shop.client.v1.setup_intents.retrieve_async(setup.id)).status == "succeeded"


async def test_metadata_is_merged_and_an_empty_value_unsets(shop: Sandbox) -> None:
    intent = await shop.pay(metadata={"order": "ORD-2", "store": "a"})

    after = await shop.client.v1.payment_intents.update_async(intent.id, {"metadata": {"store": "", "note": "n"}})

    assert after.metadata.to_dict() == {"order": "ORD-2", "note": "n"}
    found = await shop.client.v1.payment_intents.search_async({"query": "metadata['order']:'ORD-2'"})
    assert [it.id for it in found.data] == [intent.id]


async def test_lists_are_newest_first_and_go_on_page_by_page(shop: Sandbox) -> None:
    customer = await shop.client.v1.customers.create_async({"name": "Pages"})
    made = [(await shop.pay(customer=customer.id)).id for _ in range(5)]

    first = await shop.client.v1.payment_intents.list_async({"customer": customer.id, "limit": 2})
    assert ([it.id for it in first.data], first.has_more) == ([made[4], made[3]], True)
    seen = [it.id async for it in first.auto_paging_iter()]
    assert seen == made[::-1]
    newest = first.data[0].created
    none = await shop.client.v1.payment_intents.list_async({"customer": customer.id, "created": {"gt": newest}})
    assert none.data == []


@pytest.mark.parametrize(
    ("wrong", "param", "code"),
    [
        ({"amount": "many"}, "amount", "parameter_invalid_integer"),
        ({"amount": 10}, "amount", "amount_too_small"),
        ({"amount": 10**9}, "amount", "amount_too_large"),
        ({"currency": "xxx"}, "currency", None),
        ({"payment_method": "pm_missing"}, "payment_method", "resource_missing"),
        ({"colour": "red"}, "colour", "parameter_unknown"),
        ({"metadata": {"k": "x" * 501}}, "metadata[k]", None),
        ({"statement_descriptor": "SHOP"}, "statement_descriptor", None),
        ({"expand": ["nothing"]}, "expand", None),
        ({"payment_method_types": ["card"]}, "payment_method_types", "payment_method_types_no_longer_supported"),
    ],
)
async def test_a_wrong_request_names_its_parameter(
    shop: Sandbox, wrong: dict[str, Any], param: str, code: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.pay(**wrong)

    assert (caught.value.param, caught.value.code) == (param, code)


async def test_a_redirecting_method_needs_somewhere_to_return_to(shop: Sandbox) -> None:
    params: Any = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}

    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.client.v1.payment_intents.create_async(params)

    assert caught.value.param == "return_url"
    params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
    assert (await shop.client.v1.payment_intents.create_async(params)).status == "succeeded"


async def test_a_wrong_key_and_an_unknown_address_are_refused_as_stripe_does(shop: Sandbox) -> None:
    async with sdk(shop.url, key="sk_live_x") as other:
        with pytest.raises(stripe.AuthenticationError):
            await other.v1.payment_intents.retrieve_async("pi_x")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.client.v1.payment_intents.retrieve_async("pi_x")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        await shop.client.v1.products.list_async()


async def test_the_control_api_is_closed_to_unauthorised_callers(shop: Sandbox) -> None:
    async with shop.http.get(f"{shop.url}/_control/books") as refused:
        assert (refused.status, refused.content_type) == (401, "application/problem+json")


async def test_an_authorisation_lasts_seven_days(tmp_path: Path) -> None:
    async with receiving() as receiver, sandbox(tmp_path, receiver) as shop:
        intent = await shop.pay(capture_method="manual")

        assert (await shop.control("POST", "clock", advance_seconds=6 * 86_400))["expired"] == 0
        assert (await shop.control("POST", "clock", advance_seconds=2 * 86_400))["expired"] == 1

        after = await shop.client.v1.payment_intents.retrieve_async(intent.id)
        assert (after.status, after.cancellation_reason) == ("canceled", "expired")
        await receiver.until(lambda: "payment_intent.canceled" in receiver.types)


async def test_money_without_a_request_can_be_injected(shop: Sandbox) -> None:
    injected = await shop.control("POST", "charges", amount=4321, currency="eur", metadata={"order": "ORD-GHOST"})

    books = await shop.control("GET", "books?order=ORD-GHOST")

    assert [(it["id"], it["captured"]) for it in books["payment_intents"]] == [(injected["id"], 4321)]
