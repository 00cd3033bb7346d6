"""The codes of what is wrong with a body are our own."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic_core import core_schema

from shared.contracts.envelope import BadBody, decode
from shared.contracts.problems import CODES, problem_code
from shared.contracts.storefront import CheckoutSubmitted

OWN = {
    *("missing", "unknown_field", "wrong_type", "wrong_format", "not_one_of", "out_of_range", "too_short", "too_long"),
    *("invalid_value", "not_json"),
}


def test_each_error_of_the_library_has_a_code() -> None:
    known = get_args(core_schema.ErrorType)
    assert {problem_code(type) for type in (*known, "an_error_of_a_later_version")} == OWN
    assert set(CODES) <= set(known)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        (b"{", "", "not_json"),
        (b"[]", "", "wrong_type"),
        (b'{"stoer": "s"}', "stoer", "unknown_field"),
        (b'{"store": 1}', "store", "wrong_type"),
        (b'{"store": "a b"}', "store", "wrong_format"),
        (b'{"subtotal": -1}', "subtotal", "out_of_range"),
        (b'{"subtotal": 1.5}', "subtotal", "wrong_type"),
        (b"{}", "items", "missing"),
        (b'{"terms_accepted_at": "yesterday"}', "terms_accepted_at", "invalid_value"),
    ],
)
def test_a_wrong_body_is_answered_with_them(body: bytes, field: str, code: str) -> None:
    with pytest.raises(BadBody) as raised:
        decode(CheckoutSubmitted, body)
    assert (field, code) in {(problem.field, problem.code) for problem in raised.value.problems}
