"""The codes of what is wrong with a body are our own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticKnownError, core_schema

from services.declared import declared
from shared.contracts.envelope import BadBody, decode, encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.fulfillment import ConfigureProduct
from shared.contracts.problem_texts import PATTERNS, text_of
from shared.contracts.problems import CODES, listed, problem_code
from shared.contracts.storefront import CheckoutSubmitted
from shared.contracts.stores import DefineSku
from shared.core import MESSAGES, Message, Problem

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


CONTEXT = {
    **dict.fromkeys(("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "max_digits"), 2),
    **dict.fromkeys(("decimal_places", "whole_digits", "actual_length", "tz_expected", "tz_actual"), 3),
    "expected_version": 7,
    "class_name": "x",
    **dict.fromkeys(
        ("field_type", "expected", "error", "class", "encoding", "encoding_error", "tag", "attribute"), "x"
    ),
    **dict.fromkeys(("discriminator", "expected_tags", "expected_schemes", "method_name", "pattern", "name"), "x"),
}
OF_THE_LIBRARY = (
    "Input",
    "String",
    "Field required",
    "Extra",
    "should",
    "Value error",
    "pydantic",
    "[",
    "{",
    "\\",
    "^",
)


@pytest.mark.parametrize("type", get_args(core_schema.ErrorType))
def test_each_error_of_the_library_has_words_of_our_own(type: Any) -> None:
    theirs = PydanticKnownError(type, CONTEXT).message()
    said = text_of(type, theirs, CONTEXT)
    assert said != theirs and not [word for word in OF_THE_LIBRARY if word in said], said


def test_each_pattern_of_a_message_or_request_is_said_in_words() -> None:
    """A regular expression is never shown."""
    patterns = {pattern for kind in _models() for pattern in _patterns(TypeAdapter(kind).json_schema())}
    assert len(patterns) > 10
    assert patterns - PATTERNS.keys() == set()
    assert not [text for text in PATTERNS.values() if any(mark in text for mark in ("\\", "^", "[", "$"))]


def _models() -> set[type[BaseModel]]:
    """All that people outside send."""
    declared()  # imports all services
    assert EXAMPLES
    return {*MESSAGES.values(), *_below(BaseModel)}


def _below(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for one in kind.__subclasses__():
        if one.__module__.startswith(("shared.", "services.")) and not getattr(one, "__parameters__", ()):
            yield one
        yield from _below(one)


def _patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(pattern := schema.get("pattern"), str):
            yield pattern
        for value in schema.values():
            yield from _patterns(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _patterns(value)


@pytest.mark.parametrize(
    ("field", "given", "said"),
    [
        ("customer", {"name": "Ada", "email": "ada"}, "customer.email: is not an email address"),
        ("subtotal", -1, "subtotal: must be at least 0"),
        ("subtotal", 1.5, "subtotal: must be a whole number"),
        ("stoer", 1, "stoer: is not known here: no such field"),
    ],
)
def test_a_wrong_field_is_said_in_words(field: str, given: object, said: str) -> None:
    with pytest.raises(BadBody) as raised:
        decode(CheckoutSubmitted, json.dumps({field: given}).encode())
    assert said in {f"{problem.field}: {problem.text}" for problem in raised.value.problems}


@pytest.mark.parametrize(
    ("kind", "wrong", "field"),
    [
        (DefineSku, {"prices": {"xx": 1}}, "prices.xx"),
        (ConfigureProduct, {"action": {"kind": "download", "file": "a b"}}, "action.download.file"),
    ],
)
def test_a_field_has_no_words_of_the_library(kind: type[Message], wrong: Mapping[str, Any], field: str) -> None:
    """That a key is wrong, or which type of a union did not fit."""
    body = json.loads(encode(EXAMPLES[kind])) | wrong
    with pytest.raises(BadBody) as refused:
        decode(kind, json.dumps(body).encode())
    assert {problem.field for problem in refused.value.problems} == {field}


def test_problems_are_listed_in_one_sentence() -> None:
    problems = [Problem(field="a.b", code="c", text="Must be at least 1."), Problem(field="", code="c", text="is late")]
    assert listed(problems) == "a.b: Must be at least 1; is late"
    assert listed(problems, 1) == "a.b: Must be at least 1; and 1 more"
