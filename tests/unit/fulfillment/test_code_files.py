"""Files of codes as spreadsheets write them."""

from __future__ import annotations

import pytest

from services.fulfillment.gateways.code_import import rows_of, wrong_code


@pytest.mark.parametrize(
    "file",
    [
        "code;name\nA;Game\nB;Game\n",
        '"Name";"Code"\r\n"Game; gold";"A"\r\nGame;B\r\n',
        "name\tcode\nGame\tA\nGame\tB",
        "Codes\nA\nB\n",
        "\ufeffKey\nA\nB",
        "Voucher Code,Product\nA,Game\nB,Game\n",
        "keys,code\nx,A\nx,B\n",
    ],
)
def test_headings_and_separators_of_spreadsheets_are_no_codes(file: str) -> None:
    assert [code for _, code in rows_of(file.encode())] == ["A", "B"]


def test_codes_may_have_a_semicolon() -> None:
    assert [code for _, code in rows_of(b"A;1\nB;2\n")] == ["A;1", "B;2"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("1.23457E+15", "shortened"),
        ("1,23457E+15", "shortened"),
        ('="00123"', "formula"),
        ('=HYPERLINK("https://x.example")', "formula"),
        ("A\u200bB", "cannot be seen"),
    ],
)
def test_what_a_spreadsheet_has_spoilt_is_no_code(code: str, text: str) -> None:
    assert text in wrong_code(code)
