"""Templates in a language: texts are translated where they are compiled, and values are still escaped."""

from __future__ import annotations

from gettext import NullTranslations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import DictLoader, UndefinedError
from markupsafe import escape

from shared.languages.templates import TranslatedTemplates

GERMAN = {
    "Pay now": "Jetzt zahlen",
    "Pay %(amount)s.": "Zahlen Sie %(amount)s.",
    "<b>%(n)s</b> of %(all)s": "Von %(all)s <b>%(n)s</b>",
    "100 %% sure": "100 %% sicher",
    "A & B": "A & B",
}


class German(NullTranslations):
    def gettext(self, message: str) -> str:
        return GERMAN.get(message, message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return "%(n)s Versuch" if n == 1 else "%(n)s Versuche"


def rendered(source: str, name: str = "x.html", **values: object) -> str:
    macros = "{% macro link(label) %}<a>{{ label }}</a>{% endmacro %}"
    templates = TranslatedTemplates(DictLoader({name: source, "macros.html": macros}), German())
    return templates.get_template(name).render(values)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ('{{ _("Pay now") }}', "Jetzt zahlen"),
        ("{% trans %}Pay now{% endtrans %}", "Jetzt zahlen"),
        ("{% trans %}\n  Pay\n  {{ amount }}.\n{% endtrans %}", "Zahlen Sie 5 &lt; 6 %s {} €."),
        ('{{ _("Pay %(amount)s.", amount=amount) }}', "Zahlen Sie 5 &lt; 6 %s {} €."),
        ("{% trans n=1 + 1, all=amount %}<b>{{ n }}</b> of {{ all }}{% endtrans %}", "Von 5 &lt; 6 %s {} € <b>2</b>"),
        ("{% trans %}100 % sure{% endtrans %}", "100 % sicher"),
        ('{{ _("100 %% sure") }}', "100 % sicher"),
        ("{{ _('A & B') }}", "A & B"),
        ('{{ missing | default(_("Pay now")) }}', "Jetzt zahlen"),
        ('{% import "macros.html" as macros %}{{ macros.link(_("Pay %(amount)s.", amount=amount)) }}',
         "<a>Zahlen Sie 5 &lt; 6 %s {} €.</a>"),
        ("{% trans n=3 %}{{ n }} try{% pluralize %}{{ n }} tries{% endtrans %}", "3 Versuche"),
        ("{% trans n=1 %}{{ n }} try{% pluralize %}{{ n }} tries{% endtrans %}", "1 Versuch"),
        ('{% if _("Pay now") == "Jetzt zahlen" %}yes{% endif %}', "yes"),
        ('{{ _("Only in %(language)s", language="English") }}', "Only in English"),
    ],
)  # fmt: skip
def test_a_text_is_in_the_language(source: str, shown: str) -> None:
    assert rendered(source, amount="5 < 6 %s {} €") == shown


def test_plain_text_is_not_escaped() -> None:
    source = "{% trans %}Pay {{ amount }}.{% endtrans %}"
    assert rendered(source, "x.txt", amount="5 < 6 &amp; %(n)s") == "Zahlen Sie 5 < 6 &amp; %(n)s."


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="amount"):
        rendered("{% trans %}Pay {{ amount }}.{% endtrans %}")


@given(st.text())
def test_any_value_is_shown_as_it_is(amount: str) -> None:
    source = "{% trans %}Pay {{ amount }}.{% endtrans %}"
    assert rendered(source, amount=amount) == f"Zahlen Sie {escape(amount)}."
