"""Jinja templates in each language: `{{ _("Pay now") }}`, `{% trans amount=amount %}Pay {{ amount }}{% endtrans %}`.

Values are escaped in HTML. A percent sign is `%%` within `_("…")`, and itself within `{% trans %}`.
"""

from __future__ import annotations

from gettext import NullTranslations

from jinja2 import BaseLoader, Environment, StrictUndefined, select_autoescape

EXTRACTED = {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
"""How Babel has to read them, as `environment` does."""


def environment(loader: BaseLoader, texts: NullTranslations) -> Environment:
    """Templates with the texts of one language (`translations(locale)`). Make one per language, and keep it: it
    compiles a template once."""
    made = Environment(
        loader=loader,
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
        extensions=["jinja2.ext.i18n"],
    )
    made.policies["ext.i18n.trimmed"] = True
    made.install_gettext_translations(texts, newstyle=True)  # type: ignore[attr-defined]
    return made
