"""Codes of authenticator apps, as RFC 6238 has them in its appendix B."""

from __future__ import annotations

import base64

import pytest

from services.staff.domain.totp import code_at, key_of, matching_step

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert code_at(SECRET, seconds // 30) == code


@pytest.mark.parametrize(("late", "taken"), [(-31, False), (-30, True), (0, True), (30, True), (61, False)])
def test_a_clock_may_be_half_a_minute_wrong(late: int, *, taken: bool) -> None:
    now = 1_800_000_000
    assert (matching_step(SECRET, code_at(SECRET, now // 30), now + late, 0) is not None) == taken


def test_a_code_is_used_once() -> None:
    now = 1_800_000_000
    code = code_at(SECRET, now // 30)
    step = matching_step(SECRET, code, now, 0)
    assert step is not None
    assert matching_step(SECRET, code, now, step) is None
    assert matching_step(SECRET, code_at(SECRET, step + 1), now, step) == step + 1


def test_a_key_is_typed_in_base32() -> None:
    assert base64.b32decode(key_of(SECRET)) == SECRET
