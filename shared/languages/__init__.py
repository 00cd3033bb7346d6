"""The languages that customers and staff are written to in: texts from catalogues, by Babel. See docs/languages.md."""

from shared.languages.catalogues import SOURCE, language_of, languages, translations

__all__ = ["SOURCE", "language_of", "languages", "translations"]
