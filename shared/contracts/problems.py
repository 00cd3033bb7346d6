"""What is wrong with a body or a query, in codes of our own: they are part of the contract, and stay the same
whatever library reads it.

    missing, unknown_field         a field that is required, or that does not exist
    wrong_type                     a number where a text belongs, …
    wrong_format                   a text that is not of the form that is wanted: an id, a time, a URL
    not_one_of                     none of the values that there are
    out_of_range                   a number that is too small or too large
    too_short, too_long            a text or a list
    invalid_value                  anything else: the problem's text says what
    not_json                       the body is no JSON
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.contracts.problem_texts import text_of
from shared.core import Problem

MAX_PROBLEMS = 100
"""The most problems that a refusal lists."""
INVALID = "invalid_value"
LIBRARY = ("function-", "constrained-", "[key]")
"""How parts of a place begin that are no fields."""
CODES: Mapping[str, str] = {
    "missing": "missing",
    "union_tag_not_found": "missing",
    "extra_forbidden": "unknown_field",
    "json_invalid": "not_json",
    **dict.fromkeys(("enum", "literal_error", "union_tag_invalid"), "not_one_of"),
    **dict.fromkeys(
        ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "int_parsing_size"), "out_of_range"
    ),
    **dict.fromkeys(("too_short", "string_too_short", "bytes_too_short"), "too_short"),
    **dict.fromkeys(("too_long", "string_too_long", "bytes_too_long", "url_too_long"), "too_long"),
    **dict.fromkeys(
        (
            *("string_pattern_mismatch", "string_unicode", "string_not_ascii", "bool_parsing", "int_parsing"),
            *("float_parsing", "date_parsing", "time_parsing", "datetime_parsing", "datetime_object_invalid"),
            *("timezone_naive", "timezone_aware", "timezone_offset", "time_delta_parsing", "url_parsing", "url_scheme"),
            *("url_syntax_violation", "uuid_parsing", "uuid_version", "decimal_parsing", "bytes_invalid_encoding"),
            *("datetime_from_date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"),
        ),
        "wrong_format",
    ),
    "int_from_float": "wrong_type",
}
"""Our code by pydantic's type of error: https://docs.pydantic.dev/latest/errors/validation_errors/."""


def problem_code(type: str) -> str:
    """Of any error of pydantic's, those of later versions too."""
    return CODES.get(type) or ("wrong_type" if type.endswith("_type") else INVALID)


def problems_of(wrong: ValidationError) -> list[Problem]:
    """Pydantic's errors as problems, at most MAX_PROBLEMS of them, without the input that caused them."""
    errors = wrong.errors(include_url=False, include_input=False)
    places = {e["loc"] for e in errors}
    errors = [e for e in errors if not (e["type"] == "too_short" and _within(e["loc"], places))]
    problems = [
        Problem(field=".".join(_parts(e["loc"]))[:200], code=problem_code(e["type"]), text=_text(e)[:500])
        for e in errors[:MAX_PROBLEMS]
    ]
    if len(errors) > MAX_PROBLEMS:
        problems.append(Problem(field="", code="and_more", text=f"and {len(errors) - MAX_PROBLEMS} more"))
    return problems


def _parts(place: tuple[int | str, ...]) -> list[str]:
    """Without what the library adds: the names of functions and types that a value was checked by, and that it is about
    a key."""
    return [str(part) for part in place if not str(part).startswith(LIBRARY)]


def _within(place: tuple[int | str, ...], places: Iterable[tuple[int | str, ...]]) -> bool:
    """Whether a part of this place is wrong. A list without it is too short, but that is no second mistake."""
    return any(len(other) > len(place) and other[: len(place)] == place for other in places)


def _text(error: ErrorDetails) -> str:
    return text_of(error["type"], error["msg"], error.get("ctx", {}))


def listed(problems: Sequence[Problem], most: int = 20) -> str:
    """The first ones in one line, for people: `items.0.sku: is missing; Unknown SKU x.`"""
    said = [f"{problem.field}: {problem.text}" if problem.field else problem.text for problem in problems[:most]]
    more = [f"and {len(problems) - most} more"] if len(problems) > most else []
    return "; ".join([*(one.removesuffix(".") for one in said), *more])
