"""The catalogues: `<language>/LC_MESSAGES/orderbus.po` next to this file, read once each. English is the source.

A language is named by its folder, as Unicode does: `de`, `pt_BR`, `zh_Hant`. Adding a folder adds a language.
"""

from __future__ import annotations

from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER = Path(__file__).parent
DOMAIN = "orderbus"
SOURCE = "en"
"""The language of the texts in code and templates: it has no catalogue."""


def catalogue_file(language: str, folder: Path = FOLDER) -> Path:
    return folder / language / "LC_MESSAGES" / f"{DOMAIN}.po"


@lru_cache(8)
def languages(folder: Path = FOLDER) -> tuple[str, ...]:
    """All that there are, English first."""
    return SOURCE, *sorted(file.parents[1].name for file in folder.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))


@lru_cache(1000)
def language_of(locale: str | None, folder: Path = FOLDER) -> str | None:
    """The language that there is for a BCP 47 tag: `de` for `de-AT`, `pt_BR` for `pt-br`, `pt` for `pt-PT`. None if
    there is none: the tag is shortened from its end until it is found (RFC 4647, lookup)."""
    known = {name.lower(): name for name in languages(folder)}
    subtags = (locale or "").replace("-", "_").lower().split("_")
    return next((known[tag] for n in range(len(subtags), 0, -1) if (tag := "_".join(subtags[:n])) in known), None)


def marked(text: str) -> str:
    """The text: it is put into the catalogues, and looked up elsewhere."""
    return text


@lru_cache(1000)
def translations(locale: str | None, folder: Path = FOLDER) -> NullTranslations:
    """The texts for a BCP 47 tag as it comes in orders (`de-AT`, `pt_BR`, `tr`). What a catalogue does not have is
    in the language above it (`pt` for `pt_BR`), else in English. Never raises: any other tag is English, too."""
    return _loaded(language_of(locale, folder) or SOURCE, folder)


@lru_cache(100)
def _loaded(language: str, folder: Path) -> NullTranslations:
    if language == SOURCE:
        return NullTranslations()
    with catalogue_file(language, folder).open("rb") as file:
        catalogue = read_po(file, locale=language, abort_invalid=True)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    found = GNUTranslations(compiled)
    above = language_of(language.rpartition("_")[0], folder)
    if above and above != SOURCE:
        found.add_fallback(_loaded(above, folder))
    return found
