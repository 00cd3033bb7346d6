"""What is wrong with a value, in words of our own for people: never those of the library that reads it, and never a
regular expression."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic_core import core_schema

ERRORS = frozenset(get_args(core_schema.ErrorType))
"""The library's types of errors. Others are ours, with our own text."""
OTHER = "cannot be used"
ID = "must be 1 to 64 letters, digits or . _ : @ -, beginning with a letter or digit"
PATTERNS: Mapping[str, str] = {
    r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$": ID,
    r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}(/[1-9][0-9]?)?$": f"{ID}, and may end with / and a number up to 99",
    r"^[A-Za-z0-9._:@/-]+$": "must be of letters, digits and . _ : @ / - only",
    r"^[A-Za-z0-9._/-]+$": "must be of letters, digits and . _ / - only",
    r"^[A-Z]{2}$": "must be two capital letters, such as DE",
    r"^[A-Z]{3}$": "must be three capital letters, such as EUR",
    r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$": "must be a language, such as de or en-GB",
    r"^[^\s@<>,;]{1,64}@[^\s@<>,;]{1,189}$": "is not an email address",
    r"^\d{1,3}(\.\d{1,4})?$": "must be a percentage, such as 7 or 8.375",
    r"^https?://[^\s]+$": "is not a complete http or https URL",
    r"^\d{4}$": "must be four digits",
    r"^[1-9][0-9]{16,19}$": "must be an id of Discord's: 17 to 20 digits",
    r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$": "must be the name of a header: letters, digits and - , at most 100",
    r"^[!-~]([ -~]{0,50})$": "must be 1 to 51 visible ASCII characters, and begin with no space",
    r"\S": "must not be blank",
    r"^whsec_[A-Za-z0-9+/=]{32,120}$": "must be whsec_ and the base64 of 24 to 64 bytes",
    r"^([A-Za-z0-9][A-Za-z0-9._-]{1,254})?$": "must be the name of a bucket: letters, digits and . _ -",
    r"^[A-Za-z0-9-]{1,64}$": "must be 1 to 64 letters, digits or -",
    r"^(pk_(test|live)_[A-Za-z0-9]{1,250})?$": "must be a publishable key of Stripe's: pk_test_… or pk_live_…",
    r"^[^\s@]+@[^\s@]+$": "is not an email address",
    r"^[^\x00-\x1f\x7f]+$": "must have no control characters",
    r"^[a-z][a-z0-9_-]{0,39}$": "must be 1 to 40 small letters, digits, _ or - , and begin with a letter",
    r"^(\*|[A-Za-z0-9][A-Za-z0-9._:@-]{0,63})$": f"must be * for all stores, or an id, which {ID}",
    r"^[a-z_.*]{1,60}$": "must be 1 to 60 small letters, _ . or *",
    r"^[0-9]{6}$": "must be six digits",
    r"^[0-9a-f]{64}$": "must be a SHA-256 digest: 64 of the characters 0-9 and a-f",
}
"""By the pattern that a text does not match; a test names one that is missing."""
_ENTRIES = {"too_short": "at least {min_length}", "too_long": "at most {max_length}"}
_TEXTS: Mapping[str, str] = {
    "missing": "is missing",
    "union_tag_not_found": "has no {discriminator}, which says what it is",
    "union_tag_invalid": "has another {discriminator} than {expected_tags}",
    "extra_forbidden": "is not known here: no such field",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "finite_number": "must be a finite number",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "bytes_too_short": "must have at least {min_length} bytes",
    "bytes_too_long": "must have at most {max_length} bytes",
    "url_too_long": "must have at most {max_length} characters",
    "string_not_ascii": "must have ASCII characters only",
    "string_unicode": "is not valid UTF-8",
    "bytes_invalid_encoding": "is not encoded as it must be",
    "int_parsing_size": "is out of range",
    "int_from_float": "must be a whole number",
    "timezone_naive": "must have no time zone",
    "timezone_aware": "must have a time zone, such as Z or +02:00",
    "timezone_offset": "has another time zone than is wanted",
    "date_past": "must be in the past",
    "date_future": "must be in the future",
    "datetime_past": "must be in the past",
    "datetime_future": "must be in the future",
    "date_from_datetime_inexact": "must be a date without a time",
    "uuid_version": "must be a UUID of version {expected_version}",
    "url_scheme": "must be a URL that begins with {expected_schemes}",
    "decimal_max_digits": "must have at most {max_digits} digits",
    "decimal_max_places": "must have at most {decimal_places} decimal places",
    "decimal_whole_digits": "must have at most {whole_digits} digits before the decimal point",
    **dict.fromkeys(("enum", "literal_error"), "must be {expected}"),
    **dict.fromkeys(("recursion_loop", "recursion_depth_exceeded"), "is nested too deep"),
    **dict.fromkeys(("string_type", "string_sub_type"), "must be a text"),
    **dict.fromkeys(("none_required",), "must be null"),
    **dict.fromkeys(("int_type", "int_parsing"), "must be a whole number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("decimal_type", "decimal_parsing"), "must be a decimal number, such as 12.50"),
    **dict.fromkeys(("fraction_type", "fraction_parsing", "complex_type", "complex_str_parsing"), "must be a number"),
    **dict.fromkeys(("bytes_type",), "must be bytes"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type", "deque_type"), "must be a list"),
    **dict.fromkeys(("iterable_type", "iteration_error", "named_tuple_type"), "must be a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), "must be an object"),
    **dict.fromkeys(("dataclass_type", "dataclass_exact_type", "frozen_dict_type"), "must be an object"),
    **dict.fromkeys(("ordered_dict_type", "counter_type", "arguments_type"), "must be an object"),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), "must be a date, such as 2026-03-03"),
    **dict.fromkeys(("time_type", "time_parsing"), "must be a time of day, such as 14:05"),
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_object_invalid", "datetime_from_date_parsing"),
        "must be a time like 2026-03-03T14:05:00Z",
    ),
    **dict.fromkeys(("time_delta_type", "time_delta_parsing"), "must be a duration, such as P3D or PT15M"),
    **dict.fromkeys(("url_type", "url_parsing", "url_syntax_violation"), "is not a complete URL"),
    **dict.fromkeys(("uuid_type", "uuid_parsing"), "must be a UUID"),
}


def text_of(type: str, message: str, context: Mapping[str, Any]) -> str:
    """Of one error: its type, message and context as pydantic has them. A text that our own code raised stays as it
    is."""
    match type:
        case "value_error" | "assertion_error":
            return str(context.get("error") or OTHER)
        case "json_invalid":
            place = re.search(r" at line \d+ column \d+", str(context.get("error", "")))
            return f"is not valid JSON{place[0] if place else ''}"
        case "string_pattern_mismatch":
            return PATTERNS.get(str(context.get("pattern")), "has another form than is wanted")
        case "too_short" | "too_long":
            many = _ENTRIES[type].format_map(context)
            return f"must have {many} {'entry' if many.endswith(' 1') else 'entries'}"
        case _ if type in ERRORS:
            said = _TEXTS.get(type, OTHER).format_map(context)
            return re.sub(r"\b1 (character|byte|digit|decimal place)s\b", r"1 \1", said)
        case _:
            return message
