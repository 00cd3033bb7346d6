"""Every code that is refused with is in the catalogue, with what to do about it."""

from __future__ import annotations

import ast

import pytest

from deploy.documents.errors import found, page
from deploy.documents.errors.found import FoundCode, found_codes


def test_each_code_has_advice_and_each_advice_a_code() -> None:
    assert found_codes().keys() == page.advice().keys()


def test_a_code_without_advice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "found_codes", lambda: {"new_code": FoundCode("new_code")})
    with pytest.raises(ValueError, match="lacks new_code"):
        page.page()


@pytest.mark.parametrize(
    ("written", "codes"),
    [
        ('Refused("one", "Text.")', {"one"}),
        ('Problem(field="a", code="two", text=text)', {"two"}),
        ('ProblemResponse(HTTPStatus.GONE, title, "three")', {"three"}),
        ("Refused(problems[0].code, text)", set()),
    ],
)
def test_codes_are_read_from_the_syntax(written: str, codes: set[str]) -> None:
    assert read(written).keys() == codes


def test_a_code_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"file\.py: the code CODE cannot be read"):
        read('Refused(CODE, "Text.")')


def read(written: str) -> dict[str, FoundCode]:
    codes: dict[str, FoundCode] = {}
    for call in ast.walk(ast.parse(written)):
        if isinstance(call, ast.Call):
            found._take(codes, call, "checkout", "file.py")
    return codes
