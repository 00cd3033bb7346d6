"""What a refund does besides moving money: access and stock are choices of their own, with a default each."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.payments.domain.payment import Payment
from services.payments.domain.preview import FlagChoice, ItemsChoice, RefundPreview, preview
from services.payments.domain.refund_choices import choice_problems
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import PaymentRefunded, RefundLine, RefundPayment
from shared.core import Command, Event
from shared.core.fast_dataclasses import replace
from shared.core.scenario import START
from tests.unit.payments.examples import PaymentScenario, item, reported, requested


def paid() -> PaymentScenario:
    return PaymentScenario(requested()).pay()


def of(item: str, amount: int | None = None, **choices: Any) -> RefundPayment:
    return RefundPayment(items=(RefundLine(item=item, amount=amount),), **choices)


def told(payment: PaymentScenario) -> tuple[Any, Any]:
    """Whose access is removed, and whose units go back."""
    (event,) = payment.last.of(PaymentRefunded)
    return event.remove_access, event.restock


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (RefundPayment(), (("1", "2"), ("1", "2"))),
        (RefundPayment(amount=700), ((), ())),
        (of("2"), (("2",), ("2",))),
        (of("2", 500), ((), ())),
        (RefundPayment(remove_access=()), ((), ("1", "2"))),
        (RefundPayment(restock=()), (("1", "2"), ())),
        (RefundPayment(remove_access=("2",), restock=("1",)), (("2",), ("1",))),
        (of("2", remove_access=(), restock=(), refund_payment=False, note="Cash."), ((), ())),
    ],
)
def test_each_choice_has_its_default_and_its_preview(command: RefundPayment, expected: tuple[Any, Any]) -> None:
    payment = paid()
    said = preview(payment.state, command, payment.at)
    assert isinstance(said, RefundPreview)
    assert (said.remove_access.chosen, said.restock.chosen) == expected
    payment.hear(command)
    if command.refund_payment:
        payment.make_refund()
    assert told(payment) == expected


def test_a_preview_says_what_the_default_is() -> None:
    said = preview(paid().state, of("2", remove_access=()), START)
    assert isinstance(said, RefundPreview)
    assert said.remove_access == ItemsChoice(default=("2",), chosen=())
    assert said.restock == ItemsChoice(default=("2",), chosen=("2",))


def test_what_is_not_wholly_refunded_can_be_no_choice() -> None:
    refused = paid().refuses(of("2", 500, remove_access=("2",), restock=("9", "2")))
    assert [(it.field, it.code) for it in refused.problems] == [
        ("remove_access.0", "not_wholly_refunded"),
        ("restock.0", "not_wholly_refunded"),
        ("restock.1", "not_wholly_refunded"),
    ]
    assert refused.text.startswith("Item 2 does not become wholly refunded by this, so its access stays as it is.")


@pytest.mark.parametrize(
    ("command", "default", "removed"),
    [
        (RefundPayment(), True, True),
        (RefundPayment(remove_access=()), True, False),
        (RefundPayment(remove_access=("1", "2")), True, False),
        (RefundPayment(remove_access=(), remove_offer_access=True), True, True),
        (RefundPayment(restock=()), True, True),
        (RefundPayment(amount=700), False, False),
        (RefundPayment(amount=700, remove_offer_access=True), False, True),
        (of("2"), False, False),
        (of("2", remove_offer_access=True), False, True),
    ],
)
def test_what_comes_with_the_order_goes_with_all_of_it_or_by_choice(
    command: RefundPayment, default: bool, removed: bool
) -> None:
    payment = paid()
    said = preview(payment.state, command, payment.at)
    assert isinstance(said, RefundPreview)
    assert said.remove_offer_access == FlagChoice(default, removed)
    (event,) = payment.hear(command).make_refund().last.of(PaymentRefunded)
    assert event.remove_offer_access is removed


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("keeps", [True, False])
def test_of_all_refunds_of_an_order_the_one_that_was_requested_last_decides_about_its_offer(
    first: int, keeps: bool
) -> None:
    """In whatever order the provider makes them."""
    keep, default = of("2", remove_access=(), restock=()), of("1")
    payment = paid().hear(default if keeps else keep).hear(keep if keeps else default)
    for call in [payment.refunds_open()[first], payment.refunds_open()[1 - first]]:
        payment.make_refund(call)
    assert [event.remove_offer_access for event in payment.all.of(PaymentRefunded)] == [False, not keeps]


def test_a_refund_of_a_second_charge_removes_no_access() -> None:
    payment = PaymentScenario(requested()).decline().hear(requested(2)).pay().hear(reported("succeeded")).fail_refund()
    refused = payment.refuses(RefundPayment(reason="whim", attempt=1, remove_offer_access=True))
    assert [it.code for it in refused.problems] == ["unknown_reason", "not_available"]
    shown = preview(payment.state, RefundPayment(attempt=1), payment.at)
    assert isinstance(shown, RefundPreview)
    assert shown.remove_offer_access is None
    assert [*choice_problems(RefundPayment(), ())] == []


def test_only_items_that_become_wholly_refunded_are_affected() -> None:
    """What was decided about item 2 before stays."""
    payment = paid().hear(of("2", remove_access=(), restock=())).make_refund()
    assert told(payment) == ((), ())
    payment.hear(RefundPayment()).make_refund()
    assert told(payment) == (("1",), ("1",))


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_refunds_of_an_item_the_later_request_decides(first: int) -> None:
    """In whatever order the provider makes them."""
    payment = paid().hear(of("2", 1500)).hear(of("2", remove_access=(), restock=()))
    calls = [payment.refunds_open()[first], payment.refunds_open()[1 - first]]
    for call in calls:
        payment.make_refund(call)
    assert told(payment) == ((), ())


def test_the_choices_are_shown_with_the_refund() -> None:
    payment = paid().hear(of("2", restock=()))
    (shown,) = payment.told().refunds
    assert (shown.remove_access, shown.restock, shown.remove_offer_access) == (None, (), False)


GIFT = ("1", "2", "gift")


def paid_with_a_gift() -> PaymentScenario:
    return PaymentScenario(requested(items=(item("1", 3000), item("2", 2000), item("gift", 0)))).pay()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (RefundPayment(), (GIFT, GIFT)),
        (RefundPayment(remove_access=(), restock=("gift",)), ((), ("gift",))),
        (OrderCancelled(), (GIFT, GIFT)),
    ],
)
def test_what_cost_nothing_is_refunded_with_the_rest(message: Command | Event, expected: tuple[Any, Any]) -> None:
    payment = paid_with_a_gift().hear(message).make_refund()
    assert (payment.state.pending, told(payment)) == (0, expected)


def test_the_rest_decides_for_items_that_have_no_part_of_it() -> None:
    payment = paid_with_a_gift().hear(RefundPayment(amount=4999)).make_refund()
    payment.hear(RefundPayment(remove_access=(), restock=())).make_refund()
    assert told(payment) == ((), ())


def test_a_smaller_refund_of_no_item_in_particular_decides_nothing() -> None:
    """It is requested later than the refund of the item, and made earlier."""
    payment = paid().hear(of("2", remove_access=(), restock=())).hear(RefundPayment(amount=700))
    for call in reversed(payment.refunds_open()):
        payment.make_refund(call)
    assert told(payment) == ((), ())


def test_a_refund_that_an_older_build_requested_is_made() -> None:
    """It does not say which items it makes wholly refunded."""
    payment = paid_with_a_gift().hear(RefundPayment(remove_access=("1",)))
    (refund,) = payment.state.refunds
    payment.put(Payment, "o-1", replace(payment.state, refunds=(replace(refund, makes_whole=None),)))
    assert told(payment.make_refund()) == (("1",), GIFT)


some_choice = st.sampled_from([None, None, "none", "some"])
some_refund = st.tuples(st.sampled_from(["all", "amount", "items"]), some_choice, some_choice, st.booleans())


@settings(max_examples=150, deadline=None)
@given(
    prices=st.lists(st.sampled_from([0, 1, 2, 1000, 2500]), min_size=1, max_size=4).filter(any),
    kinds=st.lists(some_refund, min_size=1, max_size=4),
    seed=st.integers(0, 10_000),
)
def test_a_preview_says_what_the_refund_then_does(prices: list[int], kinds: list[Any], seed: int) -> None:
    """Whatever else is under way, and in whatever order the provider makes it."""
    rng, ids = Random(seed), [str(number) for number, _ in enumerate(prices)]
    items = tuple(item(id, price) for id, price in zip(ids, prices, strict=True))
    payment, previews = PaymentScenario(requested(items=items)).pay(), list[RefundPreview]()
    for kind, access, restock, recorded in kinds:
        fields: dict[str, Any] = {"refund_payment": False, "note": "Cash."} if recorded and rng.random() < 0.3 else {}
        if kind == "amount":
            fields["amount"] = rng.randint(1, sum(prices))
        if kind == "items":
            named = rng.sample(ids, rng.randint(1, len(ids)))
            fields["items"] = tuple(RefundLine(item=id, amount=rng.choice([None, 1])) for id in named)
        said = preview(payment.state, RefundPayment(**fields), payment.at)
        if not isinstance(said, RefundPreview):
            continue
        for name, choice in (("remove_access", access), ("restock", restock)):
            if choice:
                fields[name] = tuple(id for id in said.remove_access.default if choice == "some" and rng.random() < 0.5)
        command = RefundPayment(**fields, remove_offer_access=rng.random() < 0.2)
        said = preview(payment.state, command, payment.at)
        assert isinstance(said, RefundPreview)
        previews.append(said)
        payment.hear(command)
        if rng.random() < 0.3:
            _make_all(payment, rng)
    _make_all(payment, rng)
    events = payment.all.of(PaymentRefunded)
    assert sorted(id for it in events for id in it.remove_access or ()) == _chosen(previews, "remove_access")
    assert sorted(id for it in events for id in it.restock or ()) == _chosen(previews, "restock")
    chosen = (said.remove_offer_access is not None and said.remove_offer_access.chosen for said in previews)
    assert any(event.remove_offer_access for event in events) == any(chosen)


def _make_all(payment: PaymentScenario, rng: Random) -> None:
    calls = payment.refunds_open()
    for call in rng.sample(calls, len(calls)):
        payment.make_refund(call)


def _chosen(previews: list[RefundPreview], name: str) -> list[str]:
    return sorted(id for said in previews for id in getattr(said, name).chosen)
