"""The settings of a store: changed one by one or all at once, with a history; what is wrong is told whole."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.checkout.domain.card_check import verification_amount
from services.checkout.domain.store import Store, stores
from services.checkout.domain.store_change import SettingsChange
from services.checkout.domain.store_settings import KEPT_IN, given, settings_of, values_of
from shared.contracts.store_settings import ChangeStore, StoreSettings
from shared.core import Scenario, codec
from tests.unit.checkout.examples import SETTINGS, store


def change(*reset: str, reason: str = "", **groups: dict[str, Any]) -> ChangeStore:
    return ChangeStore(settings=StoreSettings.model_validate(groups), reset=reset, reason=reason)


def shop(**settings: Any) -> Scenario[Store]:
    return Scenario(stores, key="northwind").hear(store(**settings))


def problems(scenario: Scenario[Store], command: ChangeStore) -> set[tuple[str, str]]:
    refused = scenario.refuses(command)
    assert refused.code == "invalid_store"
    return {(problem.field, problem.code) for problem in refused.problems}


def test_what_is_not_named_stays() -> None:
    changed = shop(grace=timedelta(days=2)).hear(change(payment={"tries": 3}, orders={"require_sign_in": True}))
    assert (changed.state.payment_tries, changed.state.require_sign_in) == (3, True)
    assert (changed.state.grace, changed.state.card.name) == (timedelta(days=2), "Northwind")


def test_a_setting_takes_its_default_again() -> None:
    changed = shop(payment_tries=3, grace=timedelta(days=1)).hear(change("payment.tries", "payment.grace"))
    assert (changed.state.payment_tries, changed.state.grace) == (8, timedelta(days=7))
    assert problems(changed, change("shop.name", "payment.gracious")) == {
        ("reset.0", "no_default"),
        ("reset.1", "no_default"),
    }


def test_every_setting_is_kept_and_told() -> None:
    groups = StoreSettings.model_fields.items()
    told = {f"{group}.{name}" for group, field in groups for name in field.default.__class__.model_fields}
    assert told == KEPT_IN.keys()
    state = shop().state
    assert given(settings_of(state)) == {name: value for name, value in values_of(state).items() if value is not None}


def test_the_history_says_who_changed_what_and_why() -> None:
    scenario = shop()
    (created,) = scenario.all.of(SettingsChange)
    assert {"setting": "shop.name", "before": None, "after": "Northwind"} in created.changes
    scenario.hear(change(payment={"grace": timedelta(days=3)}, reason="Stock was held for long."), actor="anna")
    (entry,) = scenario.last.of(SettingsChange)
    assert (entry.key, entry.actor, entry.reason) == ("northwind", "anna", "Stock was held for long.")
    assert list(entry.changes) == [{"setting": "payment.grace", "before": "P7D", "after": "P3D"}]


def test_the_same_again_is_no_change() -> None:
    scenario = shop()
    assert not scenario.hear(change(shop={"name": "Northwind"})).last.of(SettingsChange)
    assert not scenario.hear(store()).last.of(SettingsChange)


def test_a_new_store_needs_what_has_no_default() -> None:
    new = Scenario(stores, key="northwind")
    assert new.refuses(change(payment={"tries": 3})).code == "unknown_store"
    words = {name: SETTINGS[name] for name in ("name", "staff_email", "order_url")}
    assert problems(new, change(shop=words, payment={"tries": 0})) == {
        ("payment.tries", "out_of_range"),
        ("shop.support_email", "missing"),
        ("payment.currencies", "missing"),
        ("words.sender", "missing"),
    }
    words["support_email"] = SETTINGS["support_email"]
    new.hear(change(shop=words, payment={"currencies": ("USD", "JPY")}, words={"sender": SETTINGS["sender"]}))
    assert values_of(new.state) == values_of(shop().state)


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong = change(
        "payment.gracious",
        payment={"currencies": ("USD", "EURO", "IRR"), "providers": ("stripe", "wire"), "tries": 0},
        shop={"order_url": "https://x.example/" + "{order}" * 40},
        words={"sender": "orders@localhost", "time_zone": "Europe/Ber", "statuses": {"paid": "Paid"}},
    )
    assert problems(shop(), wrong) == {
        ("reset.0", "no_default"),
        ("payment.currencies.1", "unknown_currency"),
        ("payment.currencies.2", "currency_not_chargeable"),
        ("payment.providers.1", "unknown_provider"),
        ("payment.tries", "out_of_range"),
        ("shop.order_url", "too_long"),
        ("words.sender", "bad_domain"),
        ("words.time_zone", "unknown_time_zone"),
        ("words.statuses.paid", "unknown_status"),
    }


def test_data_is_kept_for_whole_days_and_no_shorter_than_a_checkout_is_open() -> None:
    kept = shop().hear(change(data={"keep_abandoned": timedelta(days=30), "keep_orders": timedelta(days=730)}))
    assert (kept.state.keep_abandoned, kept.state.card.keep_orders) == (timedelta(days=30), timedelta(days=730))
    assert {entry["setting"]: entry["after"] for entry in kept.last.of(SettingsChange)[0].changes} == {
        "data.keep_abandoned": "P30D",
        "data.keep_orders": "P2Y",
    }
    for days in (0.5, 1.5, 3651):
        wrong = change(data={"keep_orders": timedelta(days=days)})
        assert problems(shop(), wrong) == {("data.keep_orders", "out_of_range")}

    for one in (
        change(orders={"abandon_after": timedelta(days=31)}),
        change(data={"keep_abandoned": timedelta(days=1)}, orders={"abandon_after": timedelta(days=2)}),
    ):
        (problem,) = kept.refuses(one).problems
        assert (problem.field, problem.code) == ("data.keep_abandoned", "contradiction")
        assert "data.keep_abandoned (" in problem.text and "orders.abandon_after (" in problem.text
    kept.hear(change("data.keep_abandoned", "data.keep_orders"))
    assert values_of(kept.state) == values_of(shop().state)


def test_the_whole_command_leaves_what_is_kept_as_it_is_unless_it_says_so() -> None:
    kept = shop(keep_abandoned=timedelta(days=30), keep_orders=timedelta(days=730))
    assert (kept.state.keep_abandoned, kept.state.card.keep_orders) == (timedelta(days=30), timedelta(days=730))
    kept.hear(store(keep_orders=timedelta(days=365)))
    assert (kept.state.keep_abandoned, kept.state.card.keep_orders) == (timedelta(days=30), timedelta(days=365))
    (problem,) = kept.refuses(store(keep_abandoned=timedelta(days=1), abandon_after=timedelta(days=2))).problems
    assert (problem.field, problem.code) == ("keep_abandoned", "contradiction")


def test_the_whole_command_has_the_names_that_it_always_had() -> None:
    refused = Scenario(stores, key="northwind").refuses(
        store(currencies=("IRR",), payment_providers=("stripe", "wire"), payment_cool_down=timedelta(hours=2))
    )
    fields = [problem.field for problem in refused.problems]
    assert fields == ["currencies.0", "payment_providers.1", "payment_cool_down"]


@pytest.mark.parametrize("sender", ["orders@shop.example", "orders@bücher.example"])
def test_a_sender_of_a_domain_that_can_be_answered(sender: str) -> None:
    assert shop().hear(change(words={"sender": sender})).state.card.sender == sender


def test_entries_are_added_and_taken_away_one_by_one() -> None:
    scenario = shop().hear(change(words={"statuses": {"processing": "Paid", "completed": "Fulfilled"}}))
    scenario.hear(change(words={"statuses": {"completed": "", "refunded": "Money back"}}))
    assert scenario.state.card.status_words == {"processing": "Paid", "refunded": "Money back"}
    scenario.hear(change("words.statuses", words={"statuses": {"failed": "Sorry"}}))
    assert scenario.state.card.status_words == {"failed": "Sorry"}
    assert scenario.hear(change(words={"statuses": {"failed": ""}})).state.card.status_words is None


def test_an_empty_text_is_none_where_there_need_not_be_one() -> None:
    scenario = shop(statement_descriptor="NORTHWIND").hear(change(payment={"descriptor": ""}, shop={"name": ""}))
    assert (scenario.state.statement_descriptor, scenario.state.card.name) == (None, "")


def test_languages_are_those_that_there_are_texts_in() -> None:
    scenario = shop().hear(change(words={"languages": ("de-AT", "en-GB", "tr")}))
    assert scenario.state.card.languages == ("de-AT", "en-GB", "tr")
    assert problems(scenario, change(words={"languages": ("de", "pt-BR", "de_CH", "fi")})) == {
        ("words.languages.1", "unknown_language"),
        ("words.languages.2", "repeated_language"),
    }
    assert problems(scenario, change(words={"languages": ("de", "tr_x@/ii", "fi FI")})) == {
        ("words.languages.1", "unknown_language"),
        ("words.languages.2", "unknown_language"),
    }
    assert problems(scenario, change(words={"languages": ()})) == {("words.languages", "missing")}
    assert scenario.hear(change("words.languages")).state.card.languages is None


def test_a_card_has_only_what_differs_from_the_defaults() -> None:
    """It travels with every order."""
    before = codec.dump(shop().state.card)
    assert codec.dump(shop().hear(change(words={"time_zone": ""})).state.card) == before


def test_methods_are_those_of_providers_that_the_store_has() -> None:
    wrong = change(payment={"methods": {"stripe": ("card", "cheque"), "manual": ("cash",)}})
    assert problems(shop(), wrong) == {
        ("payment.methods.stripe", "unknown_method"),
        ("payment.methods.manual", "contradiction"),
    }
    refused = shop().refuses(wrong)
    text = next(problem.text for problem in refused.problems if problem.code == "contradiction")
    assert "payment.methods" in text and "payment.providers" in text, "a contradiction names both"


def test_the_whole_command_keeps_what_it_does_not_have_and_contradicts_nothing() -> None:
    scenario = shop(payment_providers=("stripe", "manual"))
    scenario.hear(change(payment={"methods": {"manual": ("cash",)}}, words={"time_zone": "Europe/Berlin"}))
    assert [problem.code for problem in scenario.refuses(store()).problems] == ["contradiction"]
    scenario.hear(store(payment_providers=("manual",), name="Southwind"))
    assert (scenario.state.card.name, scenario.state.card.time_zone) == ("Southwind", "Europe/Berlin")


@pytest.mark.parametrize(
    ("orders", "fields", "named"),
    [
        ({"capture": "approval"}, {"orders.capture"}, "orders.approval"),
        ({"approval": "staff"}, {"orders.capture"}, "orders.approval"),
        ({"verification": "setup"}, {"orders.verification"}, "orders.approval"),
        ({"approval": "rule", "capture": "approval"}, {"orders.approval"}, "orders.accept_up_to"),
        ({"accept_up_to": {"USD": 100}}, {"orders.accept_up_to"}, "orders.approval"),
        (
            {"approval": "rule", "capture": "approval", "accept_up_to": {"CHF": 100}},
            {"orders.accept_up_to.CHF"},
            "payment.currencies",
        ),
    ],
)
def test_approval_capture_and_verification_fit(orders: dict[str, Any], fields: set[str], named: str) -> None:
    refused = shop().refuses(change(orders=orders))
    assert {problem.field for problem in refused.problems} == fields
    assert all(named in problem.text and problem.code == "contradiction" for problem in refused.problems)


def test_a_store_that_approves_and_verifies() -> None:
    staff = {"approval": "staff", "capture": "approval", "verification": "amount"}
    state = shop().hear(change(orders=staff | {"verification_amount": {"USD": 200}})).state
    assert (state.approval, state.capture, state.verification) == ("staff", "approval", "amount")
    by_hand = shop(payment_providers=("manual",))
    assert problems(by_hand, change(orders=staff)) == {("orders.verification", "contradiction")}
    amounts = {"verification_amount": {"USD": 20, "EUR": 100}}
    assert problems(shop(), change(orders=staff | amounts)) == {
        ("orders.verification_amount.USD", "amount_too_small"),
        ("orders.verification_amount.EUR", "contradiction"),
    }


@pytest.mark.parametrize(("currency", "amount"), [("USD", 100), ("EUR", 100), ("GBP", 60), ("JPY", 100), ("KWD", 20)])
def test_a_card_is_verified_by_twice_the_least_amount(currency: str, amount: int) -> None:
    assert verification_amount(None, currency) == amount
