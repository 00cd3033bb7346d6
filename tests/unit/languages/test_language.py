"""The language of a reader, and how it writes amounts and times."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.times import zone_of
from shared.core.money import CURRENCIES, MAX_AMOUNT, exponent
from shared.languages import language, languages

WINTER, SUMMER = datetime(2026, 3, 3, 14, 5, 59, tzinfo=UTC), datetime(2026, 7, 1, 7, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("locale", "offered", "name", "formats"),
    [
        ("de-AT", (), "de", "de_AT"),
        ("de_at", (), "de", "de_AT"),
        ("fr-FR", (), "en", "en"),
        (None, (), "en", "en"),
        ("de-AT", ("tr", "de"), "de", "de_AT"),
        ("fi", ("tr", "de"), "tr", "tr"),
        ("en-US", ("tr", "de"), "tr", "tr"),
        (None, ("de-CH", "en"), "de", "de_CH"),
        ("fr", ("en-GB", "de"), "en", "en_GB"),
        ("en", ("de", "en-GB"), "en", "en_GB"),
        ("en-US", ("de", "en-GB"), "en", "en_US"),
        ("de-XX", (), "de", "de"),
        ("de-DE", ("en", "de-AT"), "de", "de_DE"),
        (None, ("sv", "fi"), "fi", "fi"),
        ("tr", ("sv",), "en", "en"),
        ("tr", ("de-AT", "en", "de-DE"), "de", "de_AT"),
        ("de-Latn-DE-1996", (), "de", "de_DE"),
        ("x" * 10_000, (), "en", "en"),
    ],
)  # fmt: skip
def test_the_language_of_an_order(locale: str | None, offered: tuple[str, ...], name: str, formats: str) -> None:
    found = language(locale, offered)
    assert (found.name, str(found.locale)) == (name, formats)


@pytest.mark.parametrize(
    ("locale", "minor_units", "currency", "text"),
    [
        ("en", 2700, "EUR", "€27.00"),
        ("en-GB", 123450, "USD", "US$1,234.50"),
        ("de", 123450, "EUR", "1.234,50 €"),
        ("de-AT", 123450, "EUR", "€ 1.234,50"),
        ("de-CH", 123450, "CHF", "CHF 1'234.50"),
        ("fi", 123450, "EUR", "1 234,50 €"),
        ("tr", 123450, "TRY", "₺1.234,50"),
        ("tr", 123450, "CHF", "CHF 1.234,50"),
        ("en", 1234, "JPY", "¥1,234"),
        ("de", 1234, "JPY", "1.234 ¥"),
        ("en", 1234567, "KWD", "KWD 1,234.567"),
        ("en", 123450, "HUF", "HUF 1,234.50"),
        ("en", 2**63 - 1, "EUR", "€92,233,720,368,547,758.07"),
        ("en", -300, "EUR", "-€3.00"),
        ("de", -300, "EUR", "-3,00 €"),
        ("en", 0, "EUR", "€0.00"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(locale: str, minor_units: int, currency: str, text: str) -> None:
    assert language(locale).amount(minor_units, currency).replace("\u00a0", " ") == text


@given(
    st.integers(-MAX_AMOUNT, MAX_AMOUNT), st.sampled_from(sorted(CURRENCIES)), st.sampled_from(["en", "de", "fi", "tr"])
)
def test_no_amount_loses_a_unit(minor_units: int, currency: str, locale: str) -> None:
    found = language(locale)
    text = found.amount(minor_units, currency)
    digits = re.sub(r"\D", "", text)
    assert int(digits) == abs(minor_units)
    decimal = found.locale.number_symbols["latn"]["decimal"]
    shown = re.search(rf"{re.escape(decimal)}(\d+)\D*$", text)
    assert len(shown[1] if shown and exponent(currency) else "") == exponent(currency)
    assert bool(re.search("[-−]", text)) == (Decimal(minor_units) < 0)


@pytest.mark.parametrize(
    ("locale", "time_zone", "text"),
    [
        ("en", None, "March 3, 2026, 2:05 PM UTC"),
        ("en-GB", "Europe/London", "3 March 2026, 14:05 GMT"),
        ("en-GB", "Europe/Berlin", "3 March 2026, 15:05 CET"),
        ("de", "Europe/Berlin", "3. März 2026, 15:05 Uhr MEZ"),
        ("fi", "Europe/Helsinki", "3. maaliskuuta 2026 klo 16.05 (EET)"),
        ("tr", "Europe/Istanbul", "3 Mart 2026 17:05 (TSİ)"),
        ("tr", "Asia/Dubai", "3 Mart 2026 18:05 (UTC+04)"),
        ("en", "Mars/Olympus", "March 3, 2026, 2:05 PM UTC"),
    ],
)
def test_a_moment_is_that_of_the_zone(locale: str, time_zone: str | None, text: str) -> None:
    assert language(locale).moment(WINTER, time_zone).replace("\u00a0", " ") == text


def test_summer_time_has_its_own_name() -> None:
    german = language("de")
    assert german.moment(SUMMER, "Europe/Berlin") == "1.\u00a0Juli 2026, 09:30 Uhr MESZ"
    assert german.moment(WINTER, "Europe/Berlin") == "3.\u00a0März 2026, 15:05 Uhr MEZ"


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.sampled_from(languages()))
def test_any_moment_has_its_day_and_minute(at: datetime, locale: str) -> None:
    local, text = at.astimezone(zone_of("Asia/Kathmandu")), language(locale).moment(at, "Asia/Kathmandu")
    assert str(local.year) in text and str(local.day) in text and f"{local:%M}" in text


def test_texts_are_filled_in() -> None:
    german = language("de")
    assert german.gettext("100 %% of %(what)s", what="<%s> {x} &") == "100 % of <%s> {x} &"
    assert german.ngettext("%(n)s piece", "%(n)s pieces", 2) == "2 pieces"
    assert german.tag == "de"
