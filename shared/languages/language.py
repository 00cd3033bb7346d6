"""One reader's language: texts from its catalogue, amounts and times by the Unicode CLDR, which Babel brings.

What was formatted once is kept: prices and days repeat, and Babel takes 20 µs for each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from decimal import Decimal
from functools import lru_cache
from gettext import NullTranslations

from babel import Locale
from babel.core import UnknownLocaleError
from babel.dates import format_date, format_time, get_timezone_name
from babel.numbers import NumberPattern, parse_pattern

from shared.contracts.times import zone_of
from shared.core.money import exponent
from shared.languages.catalogues import SOURCE, language_of, languages, translations

_LETTER_AT_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
"""Between them stands a space: UTS 35, part 3, currency spacing."""


@dataclass(frozen=True, slots=True)
class Language:
    """Make one by `language`."""

    name: str
    """Of its catalogue: `de`, `pt_BR`."""
    locale: Locale
    """For amounts and times: `de_AT`."""
    texts: NullTranslations

    @property
    def tag(self) -> str:
        """As HTML has it, in `lang`."""
        return self.name.replace("_", "-")

    def gettext(self, text: str, /, **values: object) -> str:
        """The text in this language, with `%(name)s` filled in. A percent sign is `%%`."""
        return self.texts.gettext(text) % values

    def ngettext(self, one: str, many: str, n: int, /, **values: object) -> str:
        """The form for `n`, which `%(n)s` shows."""
        return self.texts.ngettext(one, many, n) % {"n": n, **values}

    def known(self, text: str) -> str:
        """A whole text that another part of the system gave in English, in this language if the catalogue has it."""
        return self.texts.gettext(text) if text else ""

    def amount(self, minor_units: int, currency: str) -> str:
        """`€27.00`, `27,00 €`, with as many decimals as ISO 4217 gives the currency. Raises ValueError for no currency
        of it."""
        return _amount(minor_units, currency, self.locale)

    def moment(self, at: datetime, time_zone: str | None = None) -> str:
        """`March 3, 2026, 3:05 PM CET`: in UTC without a zone, or with one that this machine does not know."""
        local = at.astimezone(zone_of(time_zone))
        return self.gettext(
            # Translators: a moment: date, time and time zone
            "%(date)s, %(time)s %(zone)s",
            date=_date(local.date(), self.locale),
            time=_time(local.time().replace(second=0, microsecond=0), self.locale),
            zone=_zone_name(local, self.locale),
        )


@lru_cache(1000)
def language(locale: str | None, offered: tuple[str, ...] = ()) -> Language:
    """The language for a reader with this locale (BCP 47, as it comes in orders). `offered`: the tags of the store's
    languages, of which the first is for all others; empty: all that there are, and English for all others."""
    known = [tag for tag in offered or languages() if language_of(tag)] or [SOURCE]
    own = next((tag for tag in known if language_of(tag) == language_of(locale)), None)
    tag = known[0] if locale is None or own is None else max(locale, own, key=len)
    name = language_of(tag) or SOURCE
    return Language(name, _locale(tag) or Locale.parse(name), translations(name))


def _locale(tag: str) -> Locale | None:
    try:
        return Locale.parse(tag.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        return None


@lru_cache(10_000)
def _amount(minor_units: int, currency: str, locale: Locale) -> str:
    decimals = exponent(currency)
    value = Decimal(minor_units).scaleb(-decimals)
    text = _pattern(locale, decimals).apply(value, locale, currency=currency, currency_digits=False)
    return _LETTER_AT_DIGIT.sub("\u00a0", text)


@lru_cache(1000)
def _pattern(locale: Locale, decimals: int) -> NumberPattern:
    pattern = parse_pattern(locale.currency_formats["standard"].pattern)
    pattern.frac_prec = (decimals, decimals)
    return pattern


@lru_cache(10_000)
def _date(day: date, locale: Locale) -> str:
    """No line ends between day and month."""
    return format_date(day, "long", locale=locale).replace(" ", "\u00a0", 1)


@lru_cache(10_000)
def _time(minute: time, locale: Locale) -> str:
    return format_time(minute, "short", locale=locale).replace("\u202f", "\u00a0")


_zone_names: dict[tuple[tzinfo | None, str | None, Locale], str] = {}


def _zone_name(local: datetime, locale: Locale) -> str:
    """`MEZ` where the language has a name for it, else that of the time zone database, else `UTC+03`."""
    key = local.tzinfo, local.tzname(), locale
    if key not in _zone_names:
        name, of_database = get_timezone_name(local, "short", locale=locale), local.tzname() or "UTC"
        usual = of_database if of_database.isalpha() else f"UTC{of_database}"
        _zone_names[key] = usual if name.startswith(("+", "-")) else name
    return _zone_names[key]
