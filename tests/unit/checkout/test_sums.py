"""The sums of a checkout: what each line is worth by its own tax, and every sum that is wrong, with the right value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.contracts.storefront import CheckoutSubmitted, DeliveryCharge
from shared.contracts.values import TaxLine
from tests.unit.checkout.baskets import basket, item, placed, wrong
from tests.unit.checkout.examples import OrderScenario

BOOKS, GOODS = TaxLine(rate="7", country="DE", amount=70), TaxLine(rate="19", country="DE", amount=190)
BOTH = (BOOKS, GOODS)
EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
EXPRESS = DeliveryCharge(name="Express delivery", amount=490)


def worth(message: CheckoutSubmitted) -> list[int]:
    return [line.purchased for line in placed(message)]


class TestEachLineByItsOwnTax:
    def test_two_lines_of_the_same_price_with_two_rates(self) -> None:
        book, game = item("book", tax=70, tax_rate="7"), item("game", tax=190, tax_rate="19")
        assert worth(basket(book, game, taxes=BOTH)) == [1070, 1190]
        assert worth(basket(game, book, taxes=BOTH)) == [1190, 1070]

    def test_a_rate_is_enough_where_the_tax_line_has_the_amount(self) -> None:
        message = basket(item("book", tax_rate="7"), item("game", tax_rate="19.0"), taxes=BOTH)
        assert [(it.purchased, it.tax, it.tax_rate, it.tax_country) for it in placed(message)] == [
            (1070, 70, "7", "DE"),
            (1190, 190, "19", "DE"),
        ]

    def test_lines_of_one_rate_share_its_tax(self) -> None:
        taxes = (BOOKS.model_copy(update={"amount": 211}), GOODS)
        books = [item(f"book-{n}", tax_rate="7") for n in range(3)]
        assert worth(basket(*books, item("game", tax_rate="19"), taxes=taxes)) == [1071, 1070, 1070, 1190]

    def test_a_line_without_an_amount_has_what_the_others_leave(self) -> None:
        taxes = (BOOKS.model_copy(update={"amount": 139}),)
        assert worth(basket(item("book", tax_rate="7", tax=70), item("map", tax_rate="7"), taxes=taxes)) == [1070, 1069]

    def test_an_amount_is_enough_where_the_line_has_several_taxes(self) -> None:
        taxes = (
            TaxLine(rate="5", country="CA", amount=100, name="GST"),
            TaxLine(rate="7", country="CA", amount=70, name="PST"),
        )
        first, second = placed(basket(item("book", tax=50), item("game", tax=120), taxes=taxes))
        assert (first.purchased, second.purchased) == (1050, 1120)
        assert second.tax_rate is None

    def test_a_line_that_says_nothing_has_no_tax_when_others_say_theirs(self) -> None:
        assert worth(basket(item("gift-card"), item("game", tax_rate="19"), taxes=(GOODS,))) == [1000, 1190]

    def test_a_line_of_rate_zero_needs_no_tax_line(self) -> None:
        free, taxed = placed(
            basket(item("stamp", tax_rate="0", tax_country="DE"), item("game", tax_rate="19"), taxes=(GOODS,))
        )
        assert (free.purchased, free.tax, free.tax_rate, taxed.purchased) == (1000, 0, "0", 1190)

    def test_prices_that_include_the_tax(self) -> None:
        taxes = (BOOKS.model_copy(update={"amount": 65}), GOODS.model_copy(update={"amount": 160}))
        book, game = placed(basket(item("book", tax_rate="7"), item("game", tax_rate="19"), taxes=taxes, included=True))
        assert (book.purchased, book.tax) == (1000, 65)
        assert (game.purchased, game.tax) == (1000, 160)

    def test_a_discount_of_one_line_is_taken_off_that_line(self) -> None:
        message = basket(
            item("book", tax_rate="7", discount=100), item("game", tax_rate="19"), taxes=BOTH, discount=100
        )
        assert worth(message) == [970, 1190]

    def test_a_discount_of_the_order_is_split_by_what_the_lines_cost(self) -> None:
        message = basket(item("book", tax_rate="7"), item("game", tax_rate="19"), taxes=BOTH, discount=226)
        assert [(it.discount, it.purchased) for it in placed(message)] == [(107, 963), (119, 1071)]


class TestDeliveryCharges:
    def test_a_charge_is_a_line_after_the_products(self) -> None:
        charge = EXPRESS.model_copy(update={"tax": 93, "tax_rate": "19", "method": "dhl"})
        taxes = (BOOKS, GOODS.model_copy(update={"amount": 93}))
        book, delivery = placed(basket(item("book", tax_rate="7"), deliveries=[charge], taxes=taxes))
        assert (book.item, book.purchased) == ("1", 1070)
        assert (delivery.item, delivery.kind, delivery.product, delivery.sku) == (
            "2",
            "delivery",
            "Express delivery",
            "dhl",
        )
        assert (delivery.line_total, delivery.tax, delivery.purchased, delivery.shippable) == (490, 93, 583, False)

    def test_it_counts_towards_the_subtotal(self) -> None:
        message = basket(item("book"), deliveries=[EXPRESS], subtotal=1000, total=1000, purchased=1000)
        assert wrong(message) == {
            "subtotal": "Is 10.00 USD, but the sum of quantity × unit price and the delivery charges is 14.90 USD.",
            "total": "Is 10.00 USD, but subtotal + tax is 14.90 USD.",
            "purchased": "Is 10.00 USD, but total - discounts is 14.90 USD.",
        }

    def test_it_needs_a_name(self) -> None:
        refused = OrderScenario().refuses(basket(item("course"), deliveries=[EXPRESS.model_copy(update={"name": " "})]))
        assert [(problem.field, problem.code) for problem in refused.problems] == [
            ("deliveries.0.name", "name_missing")
        ]

    def test_a_delivery_alone_is_no_order(self) -> None:
        refused = OrderScenario().refuses(basket(deliveries=[EXPRESS]))
        assert [(problem.field, problem.code) for problem in refused.problems] == [("items", "no_items")]


class TestEarlierSubmissions:
    """Their lines say nothing of their taxes."""

    def test_rates_and_amounts_tell_which_line_has_which_tax(self) -> None:
        taxes = (BOOKS, GOODS.model_copy(update={"amount": 380}))
        book, game = placed(basket(item("book"), item("game", 2000), taxes=taxes))
        assert (book.purchased, book.tax, book.tax_rate) == (1070, 70, "7")
        assert (game.purchased, game.tax, game.tax_rate) == (2380, 380, "19")

    def test_so_they_do_of_prices_that_include_the_tax(self) -> None:
        taxes = (BOOKS.model_copy(update={"amount": 65}), GOODS.model_copy(update={"amount": 319}))
        message = basket(item("book"), item("game", 2000), taxes=taxes, included=True)
        assert [it.tax for it in placed(message)] == [65, 319]

    def test_a_line_may_be_exempt(self) -> None:
        assert worth(basket(item("stamp", 500), item("game"), taxes=(GOODS,))) == [500, 1190]

    @pytest.mark.parametrize(
        ("tax", "parts"), [(190, [500, 1193]), (191, [500, 1194]), (189, [563, 1129]), (192, [564, 1131])]
    )
    def test_a_line_may_be_rounded_up_or_down_and_no_further(self, tax: int, parts: list[int]) -> None:
        """19 % of 10.03 is 1.9057."""
        taxes = (GOODS.model_copy(update={"amount": tax}),)
        assert worth(basket(item("stamp", 500), item("game", 1003), taxes=taxes)) == parts

    def test_a_tax_may_be_on_all_lines_and_another_on_some(self) -> None:
        taxes = (TaxLine(rate="5", country="CA", amount=150), TaxLine(rate="7", country="CA", amount=140))
        assert worth(basket(item("book"), item("game", 2000), taxes=taxes)) == [1050, 2240]

    def test_lines_of_one_sku_have_one_tax(self) -> None:
        taxes = (BOOKS.model_copy(update={"amount": 140}), GOODS)
        engraved = item("book", custom_fields={"name": "Ada"})
        assert worth(basket(item("book"), engraved, item("game"), taxes=taxes)) == [1070, 1070, 1190]

    def test_where_it_is_ambiguous_the_tax_is_split_in_proportion(self) -> None:
        first, second = placed(basket(item("book"), item("game"), taxes=BOTH))
        assert (first.purchased, second.purchased) == (1130, 1130)
        assert first.tax_rate is None

    def test_where_nothing_fits_it_is_split_in_proportion(self) -> None:
        taxes = (TaxLine(rate="19", country="DE", amount=100),)
        assert worth(basket(item("book"), item("game", 3000), taxes=taxes)) == [1025, 3075]

    def test_a_checkout_of_many_products_is_split_in_proportion(self) -> None:
        taxes = (BOOKS, GOODS.model_copy(update={"amount": 10_260}))
        items = [item("book"), *(item(f"game-{n}", 2000 + 100 * n) for n in range(20))]
        assert worth(basket(*items, taxes=taxes))[0] != 1070

    def test_one_tax_on_all_lines_has_its_rate_on_each(self) -> None:
        taxes = (GOODS.model_copy(update={"amount": 570}),)
        message = basket(item("book"), item("game", 2000), taxes=taxes)
        assert [(it.tax, it.tax_rate, it.tax_country) for it in placed(message)] == [
            (190, "19", "DE"),
            (380, "19", "DE"),
        ]


WRONG: list[tuple[str, CheckoutSubmitted, dict[str, str]]] = [
    (
        "each sum, computed from the lines",
        basket(item("book"), item("game"), taxes=BOTH, subtotal=1999, tax=261, total=2261, purchased=9),
        {
            "subtotal": "Is 19.99 USD, but the sum of quantity × unit price is 20.00 USD.",
            "tax": "Is 2.61 USD, but the sum of the tax lines is 2.60 USD.",
            "total": "Is 22.61 USD, but subtotal + tax is 22.60 USD.",
            "purchased": "Is 0.09 USD, but total - discounts is 22.60 USD.",
        },
    ),
    (
        "in the decimals of the currency",
        basket(item("book"), currency="JPY", purchased=999),
        {"purchased": "Is 999 JPY, but total - discounts is 1000 JPY."},
    ),
    (
        "in three decimals",
        basket(item("book"), currency="KWD", purchased=999),
        {"purchased": "Is 0.999 KWD, but total - discounts is 1.000 KWD."},
    ),
    (
        "included tax added again",
        basket(item("game"), taxes=(GOODS,), included=True, total=1190, purchased=1190),
        {
            "total": "Is 11.90 USD, but the subtotal, which includes the tax, is 10.00 USD.",
            "purchased": "Is 11.90 USD, but total - discounts is 10.00 USD.",
        },
    ),
    (
        "taxes of the lines, by rate",
        basket(item("book", tax=71, tax_rate="7"), item("game", tax=189, tax_rate="19"), taxes=BOTH),
        {
            "taxes.0.amount": "Is 0.70 USD, but the sum of the lines' own taxes of 7 % in DE is 0.71 USD.",
            "taxes.1.amount": "Is 1.90 USD, but the sum of the lines' own taxes of 19 % in DE is 1.89 USD.",
        },
    ),
    (
        "more than is left for a line without an amount",
        basket(item("book", tax=71, tax_rate="7"), item("paper", tax_rate="7"), taxes=(BOOKS,)),
        {"taxes.0.amount": "Is 0.70 USD, but the sum of the lines' own taxes of 7 % in DE is 0.71 USD."},
    ),
    (
        "a tax that no line has",
        basket(item("book", tax_rate="7"), item("game"), taxes=BOTH),
        {"taxes.1.amount": "Is 1.90 USD, but the sum of the lines' own taxes of 19 % in DE is 0.00 USD."},
    ),
    (
        "taxes of the lines, several on one",
        basket(item("book", tax=50), item("game", tax=200), taxes=BOTH),
        {"taxes": "Sum to 2.60 USD, but the sum of the lines' own taxes is 2.50 USD."},
    ),
    (
        "a rate that is not there",
        basket(item("book", tax=70, tax_rate="7"), item("game", tax_rate="20", tax_country="FR"), taxes=(BOOKS,)),
        {"items.1.tax_rate": "There is no tax line of 20 % in FR."},
    ),
    (
        "a tax without any tax line",
        basket(item("book", tax=70)),
        {"items.0.tax": "There is no tax line."},
    ),
    (
        "a rate of two countries",
        basket(item("book", tax_rate="7", tax=0), item("game", tax=20, tax_rate="20"), taxes=(
            TaxLine(rate="20", country="FR", amount=10), TaxLine(rate="20", country="GB", amount=10))),
        {"items.1.tax_country": "Several tax lines have 20 %. Specify the country."},
    ),
    (
        "no amount, and no rate either",
        basket(item("book", tax_country="DE"), item("game", tax=260), taxes=BOTH),
        {"items.0.tax": "Specify the amount, which does not follow from the tax lines."},
    ),
    (
        "more tax than the price includes",
        basket(item("game", tax=1001), taxes=(TaxLine(rate="19", country="DE", amount=1001),), included=True),
        {
            "items.0.tax": "The price includes the tax, which can be at most 10.00 USD.",
            "taxes": "The prices include the taxes, which can be at most 10.00 USD.",
        },
    ),
    (
        "more tax of a rate than the price of its only line includes",
        basket(
            item("stamp", 100, tax_rate="7"),
            item("game", 10_000, tax_rate="19"),
            taxes=(BOOKS.model_copy(update={"amount": 500}), GOODS),
            included=True,
        ),
        {"taxes.0.amount": "The prices of its lines include the tax of 7 % in DE, which can be at most 1.00 USD."},
    ),
    (
        "more tax of a rate than is left of it for the line that says no amount",
        basket(
            item("stamp", 100, tax_rate="19"),
            item("game", 10_000, tax=190, tax_rate="19"),
            taxes=(GOODS.model_copy(update={"amount": 500}),),
            included=True,
        ),
        {"taxes.0.amount": "The prices of its lines include the tax of 19 % in DE, which can be at most 2.90 USD."},
    ),
    (
        "more tax than all prices include, by rate",
        basket(item("stamp", 100, tax_rate="7"), taxes=(BOOKS.model_copy(update={"amount": 500}),), included=True),
        {"taxes.0.amount": "The prices of its lines include the tax of 7 % in DE, which can be at most 1.00 USD."},
    ),
    (
        "discounts of the lines",
        basket(item("book", discount=100), item("game"), discount=150),
        {"discounts": "Sum to 1.50 USD, but the sum of the lines' own discounts is 1.00 USD."},
    ),
    (
        "a discount beyond its line",
        basket(item("book", discount=1071, tax_rate="7"), item("game", tax_rate="19"), taxes=BOTH, discount=1071),
        {"items.0.discount": "The discount exceeds the line's 10.70 USD."},
    ),
    (
        "discounts beyond the total",
        basket(item("book"), discount=1001, purchased=0),
        {"discounts": "The discounts exceed the total of 10.00 USD."},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("message", "expected"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_each_wrong_sum_is_named_with_the_right_value(message: CheckoutSubmitted, expected: dict[str, str]) -> None:
    assert wrong(message) == expected


def test_everything_that_is_wrong_is_named_at_once() -> None:
    message = basket(
        item("book", tax=71, tax_rate="7", discount=2000),
        item("game", tax=190, tax_rate="16"),
        deliveries=[EXPRESS],
        taxes=BOTH,
        discount=100,
        subtotal=2000,
        tax=0,
    )
    lines, sums = {"items.1.tax_rate", "taxes.0.amount", "taxes.1.amount", "discounts"}, {"subtotal", "tax"}
    assert wrong(message).keys() == lines | sums


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("*.json")), ids=lambda file: file.name)
def test_the_documents_examples_add_up(file: Path) -> None:
    entries = json.loads(file.read_text())
    for entry in entries if isinstance(entries, list) else ():
        if entry["type"] == CheckoutSubmitted.type:
            assert wrong(CheckoutSubmitted.model_validate_json(json.dumps(entry["data"]))) == {}
