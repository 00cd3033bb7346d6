"""Emails from templates: `templates/<name>.html` (escaped) and `<name>.txt`, each compiled once per language."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, Template

from services.notifications.domain.email_draft import TEMPLATES
from services.notifications.domain.operations import SendEmail
from services.notifications.gateways.mime import compose
from shared.languages import language, translations
from shared.languages.templates import TranslatedTemplates

FOLDER = Path(__file__).parents[1] / "templates"
OLDER = {"status": "", "included_tax": "", "no_try_left": False, "free": False}
"""What emails that an older build requested do not have, as no greeting."""
ALL = tuple(chain.from_iterable(TEMPLATES.values()))


Compiled = tuple[Template, Template, dict[str, Any]]
"""The text, the HTML, and what both show unless the email says otherwise."""


class EmailTemplates:
    """Making one raises jinja2.TemplateError if a template is missing or invalid. Templates in other languages than
    English are compiled when they are first needed."""

    def __init__(self, names: Iterable[str] = ALL) -> None:
        self._names = frozenset(names)
        self._compiled: dict[tuple[str, str], Compiled] = {}
        for name in self._names:
            self._of(name, "en")

    def render(self, email: SendEmail) -> bytes:
        """The whole message, with CRLF line ends. Raises KeyError for a template that does not exist."""
        text, html, reader = self._of(email.template, email.language)
        values = {"subject": email.subject, **reader, **email.data}
        return compose(email, text.render(values).strip() + "\n", html.render(values).lstrip())

    def _of(self, name: str, tag: str) -> Compiled:
        found = self._compiled.get((name, tag))
        if found:
            return found
        if name not in self._names:
            raise KeyError(name)
        words = language(tag)
        made = _templates_in(words.name)
        reader = {
            "language": words.tag,
            "direction": words.locale.text_direction,
            **OLDER,
            "greeting": words.gettext("Hello,"),
        }
        found = made.get_template(f"{name}.txt"), made.get_template(f"{name}.html"), reader
        self._compiled[name, tag] = found
        return found


@cache
def _templates_in(catalogue: str) -> TranslatedTemplates:
    return TranslatedTemplates(FileSystemLoader(FOLDER), translations(catalogue))
