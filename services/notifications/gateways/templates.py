"""Emails from templates: `templates/<name>.html` (escaped) and `<name>.txt`, compiled once."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from jinja2 import FileSystemLoader, Template

from services.notifications.domain.email_draft import TEMPLATES
from services.notifications.domain.operations import SendEmail
from services.notifications.gateways.mime import compose
from shared.languages import translations
from shared.languages.templates import environment

FOLDER = Path(__file__).parents[1] / "templates"
ALL = tuple(chain.from_iterable(TEMPLATES.values()))


class EmailTemplates:
    """Making one raises jinja2.TemplateError if a template is missing or invalid."""

    def __init__(self, names: Iterable[str] = ALL) -> None:
        made = environment(FileSystemLoader(FOLDER), translations(None))
        self._templates: dict[str, tuple[Template, Template]] = {
            name: (made.get_template(f"{name}.txt"), made.get_template(f"{name}.html")) for name in names
        }

    def render(self, email: SendEmail) -> bytes:
        """The whole message, with CRLF line ends. Raises KeyError for a template that does not exist."""
        text, html = self._templates[email.template]
        values = {"subject": email.subject, **email.data}
        return compose(email, text.render(values).strip() + "\n", html.render(values).lstrip())
