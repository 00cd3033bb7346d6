"""The languages that customers and staff are written to in: texts from catalogues, by Babel. See docs/languages.md."""

from shared.languages.catalogues import SOURCE, language_of, languages, marked, translations
from shared.languages.language import Language, language

__all__ = ["SOURCE", "Language", "language", "language_of", "languages", "marked", "translations"]
