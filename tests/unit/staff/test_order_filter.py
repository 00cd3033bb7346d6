from __future__ import annotations

import pytest

from services.staff.domain.order_filter import OrderFilter, search_text
from services.staff.search_text import folded


def test_values_of_one_filter_are_alternatives_and_filters_are_all_to_match() -> None:
    chosen = OrderFilter.of({"status": ["completed", "failed", "failed"], "item": ["SKU-1"], "tag": []}, {})
    assert chosen.groups == (("status:completed", "status:failed"), ("sku:SKU-1",))


def test_a_flag_is_a_facet_that_is_there_or_not() -> None:
    chosen = OrderFilter.of({}, {"held": True, "owed": False, "given": None})
    assert (chosen.groups, chosen.none_of) == ((("held:yes",),), ("owed:yes",))


def test_nothing_chosen_is_everything() -> None:
    assert OrderFilter.of({"status": []}, {"held": None}).is_everything
    assert not OrderFilter.of({"status": ["failed"]}, {}).is_everything


@pytest.mark.parametrize(
    ("typed", "terms", "short", "whole"),
    [
        ("Ärmel", ("armel",), False, False),
        (" anna  Anna smith ", ("anna", "smith"), False, False),
        ("an", ("an",), True, False),
        ("a b", ("a", "b"), True, False),
        ("12", ("12",), True, False),
        ("ORD-7K2", ("ord-7k2",), False, True),
        ("anna@example.com", ("anna@example.com",), False, True),
        ("anna 77", ("anna", "77"), False, False),
    ],
)
def test_what_is_typed(typed: str, terms: tuple[str, ...], short: bool, whole: bool) -> None:
    text = search_text(typed, folded(typed))
    assert (text.terms, text.is_short, text.may_be_whole) == (terms, short, whole)
