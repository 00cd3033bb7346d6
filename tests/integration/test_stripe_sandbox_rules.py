"""The sandbox's money rules, without HTTP: whatever is asked in whatever order, the books stay true."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as some

from deploy.sandboxes.stripe import intents, refunds
from deploy.sandboxes.stripe.books import Books, Transaction
from deploy.sandboxes.stripe.errors import CardDeclined, StripeError
from deploy.sandboxes.stripe.form import Form, decode
from deploy.sandboxes.stripe.objects import BalanceTransaction, Charge, PaymentIntent, Refund

CARDS = [
    *("pm_card_visa", "pm_card_refundFail", "pm_card_pendingRefund"),
    *("pm_card_chargeDeclined", "pm_card_threeDSecure2Required"),
]
amounts = some.integers(min_value=-5, max_value=1500)
steps = some.one_of(
    some.tuples(some.just("confirm"), some.sampled_from(CARDS)),
    some.tuples(some.just("authenticate"), some.booleans()),
    some.tuples(some.just("capture"), amounts),
    some.tuples(some.just("refund"), amounts),
    some.tuples(some.sampled_from(["cancel", "expire", "refund everything", "wait"]), some.none()),
)


def ask(books: Books, what: str, argument: object, now: int) -> None:
    """One request; a refusal changes nothing, a decline is kept."""
    tx = Transaction(books, now)
    intent = next(books.all(PaymentIntent))
    try:
        match what:
            case "confirm":
                intents.confirm(tx, intent.id, Form({"payment_method": argument, "return_url": "https://shop.example"}))
            case "authenticate" if intent.status == "requires_action":
                intents.authenticate(tx, intent, passed=bool(argument))
            case "capture":
                intents.capture(tx, intent.id, Form({"amount_to_capture": str(argument)}))
            case "refund":
                refunds.create(tx, Form({"payment_intent": intent.id, "amount": str(argument)}))
            case "refund everything":
                refunds.create(tx, Form({"payment_intent": intent.id}))
            case "wait":
                for identifier in sorted(books.unsettled):
                    refunds.go_on(tx, tx.find(Refund, identifier), now + 10.0)
            case "cancel":
                intents.cancel(tx, intent.id, Form({}))
            case "expire" if intent.status == "requires_capture":
                intents.expire(tx, intent)
    except CardDeclined:
        pass
    except StripeError:
        return
    for record in tx.puts.values():
        books.apply(record)


@settings(max_examples=200, deadline=None)
@given(manual=some.booleans(), plan=some.lists(steps, max_size=12))
def test_refunded_never_exceeds_captured_nor_captured_what_was_authorised(
    *, manual: bool, plan: list[tuple[str, object]]
) -> None:
    books = Books()
    tx = Transaction(books, 0)
    capture = "manual" if manual else "automatic"
    tx.put(intents.create(tx, Form({"amount": "1000", "currency": "usd", "capture_method": capture})))
    for record in tx.puts.values():
        books.apply(record)

    for now, (what, argument) in enumerate(plan):
        ask(books, what, argument, now)
        (intent,) = books.all(PaymentIntent)
        charges = list(books.all(Charge))
        captured = sum(charge.amount_captured for charge in charges)
        refunded = sum(refund.amount for refund in books.all(Refund) if refund.status == "succeeded")
        refunded += sum(refund.amount for refund in books.all(Refund) if refund.status == "pending")
        assert refunded == sum(charge.amount_refunded for charge in charges)
        assert 0 <= refunded <= captured <= intent.amount
        assert captured == intent.amount_received
        assert sum(charge.status == "succeeded" for charge in charges) <= 1
        movements = list(books.all(BalanceTransaction))
        assert sum(movement.amount for movement in movements) == captured - refunded
        assert books.balance.get("usd", 0) == captured - refunded - sum(movement.fee for movement in movements)


@given(some.text(alphabet="ab[]=&%0é\0 ", max_size=60))
def test_any_form_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(StripeError):
        form = Form(decode(text))
        for name in form:
            with contextlib.suppress(StripeError):
                form.integer(name)
            with contextlib.suppress(StripeError):
                form.list_of(name)


def test_nested_parameters_are_read_as_stripe_reads_them() -> None:
    read = decode("amount=5&metadata[order]=a%26b&expand[]=x&expand[]=y&card[checks][cvc]=1&empty=")

    assert read == {
        "amount": "5",
        "metadata": {"order": "a&b"},
        "expand": {"0": "x", "1": "y"},
        "card": {"checks": {"cvc": "1"}},
        "empty": "",
    }
