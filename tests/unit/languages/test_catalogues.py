"""The language of an order: which catalogue a tag means, and what it falls back to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.languages import language_of, languages, translations
from shared.languages.catalogues import catalogue_file


def folder_with(folder: Path, **texts: dict[str, str]) -> Path:
    for language, by_id in texts.items():
        file = catalogue_file(language, folder)
        file.parent.mkdir(parents=True)
        entries = "".join(f'msgid "{id}"\nmsgstr "{text}"\n\n' for id, text in by_id.items())
        file.write_text('msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n' + entries)
    return folder


def test_four_languages_english_first() -> None:
    assert languages() == ("en", "de", "fi", "tr")


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("DE_at", "de"),
        ("tr", "tr"),
        ("fi-FI", "fi"),
        ("en-GB", "en"),
        ("de-Latn-CH", "de"),
    ],
)
def test_a_tag_means_the_nearest_language(locale: str, language: str) -> None:
    assert language_of(locale) == language


@pytest.mark.parametrize("locale", [None, "", "pt_BR", "deu", "x", "-", "../de", "d"])
def test_any_other_tag_is_english(locale: str | None) -> None:
    assert language_of(locale) is None
    assert translations(locale).gettext("Your order has expired") == "Your order has expired"


def test_texts_are_in_the_language() -> None:
    assert translations("de-AT").gettext("Your order has expired") == "Ihre Bestellung ist abgelaufen"
    assert translations("fi").gettext("Your order has expired") == "Tilauksesi on vanhentunut"
    assert translations("tr-TR").gettext("Your order has expired") == "Siparişinizin süresi doldu"


def test_a_catalogue_is_read_once() -> None:
    assert translations("de-AT") is translations("de_CH")


class TestFurtherLanguages:
    """A folder is enough."""

    def test_a_region_has_what_differs_from_its_language(self, tmp_path: Path) -> None:
        folder = folder_with(tmp_path, pt={"Yes": "Sim", "Bus": "Autocarro"}, pt_BR={"Bus": "Ônibus"})
        assert languages(folder) == ("en", "pt", "pt_BR")
        brazil, portugal = translations("pt-br", folder), translations("pt-PT", folder)
        assert [texts.gettext("Bus") for texts in (brazil, portugal)] == ["Ônibus", "Autocarro"]
        assert brazil.gettext("Yes") == "Sim"
        assert brazil.gettext("No") == "No"

    def test_a_text_that_is_not_translated_is_in_english(self, tmp_path: Path) -> None:
        folder = folder_with(tmp_path, sv={"Yes": ""})
        assert translations("sv", folder).gettext("Yes") == "Yes"


@given(st.one_of(st.text(), st.from_regex(r"\A[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*\Z")))
def test_any_locale_has_texts(locale: str) -> None:
    language = language_of(locale)
    assert language is None or locale.lower().startswith(language)
    assert translations(locale).ngettext("one", "many", 2) == "many"
