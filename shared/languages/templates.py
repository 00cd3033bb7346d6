"""Jinja templates in each language: `{{ _("Pay now") }}`, `{% trans %}Pay {{ amount }}.{% endtrans %}`.

Values are escaped in HTML. A percent sign is `%%` within `_("…")`, and itself within `{% trans %}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from gettext import NullTranslations

from jinja2 import BaseLoader, Environment, StrictUndefined, nodes, select_autoescape
from jinja2.visitor import NodeTransformer

EXTRACTED = {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
"""How Babel has to read them, as `TranslatedTemplates` does."""
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")


class TranslatedTemplates(Environment):
    """Templates with the texts of one language (`translations(locale)`). Make one per language, and keep it: it
    compiles a template once, as if it had been written in that language, so that rendering looks up no text but those
    with a plural."""

    def __init__(self, loader: BaseLoader, texts: NullTranslations) -> None:
        super().__init__(
            loader=loader,
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
            extensions=["jinja2.ext.i18n"],
        )
        self.policies["ext.i18n.trimmed"] = True
        self.install_gettext_translations(texts, newstyle=True)  # type: ignore[attr-defined]
        self._texts = texts

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        """Jinja's hook between parsing and compiling."""
        return super()._generate(_Translated(self._texts).visit(source), name, filename, defer_init)


class _Translated(NodeTransformer):
    """Puts the language's texts where they are looked up."""

    def __init__(self, texts: NullTranslations) -> None:
        self._texts = texts

    def visit_Output(self, node: nodes.Output) -> nodes.Output:  # noqa: N802 - Jinja's name for it
        found: list[nodes.Expr] = []
        for child in node.nodes:
            found += list(self._parts(child)) if self._is_looked_up(child) else [self.visit(child)]
        return nodes.Output(found, lineno=node.lineno)

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 - Jinja's name for it
        if not self._is_looked_up(node):
            return self.generic_visit(node)
        parts = list(self._parts(node))
        return parts[0] if len(parts) == 1 else nodes.Concat(parts, lineno=node.lineno)

    def _is_looked_up(self, node: nodes.Node) -> bool:
        """`_("…")`, or what `{% trans %}` without a plural is read as."""
        return (
            isinstance(node, nodes.Call)
            and isinstance(node.node, nodes.Name)
            and node.node.name in ("_", "gettext")
            and len(node.args) == 1
            and isinstance(node.args[0], nodes.Const)
        )

    def _parts(self, node: nodes.Node) -> Iterator[nodes.Expr]:
        """The text's constant parts, and the values between them."""
        assert isinstance(node, nodes.Call)
        text = node.args[0]
        assert isinstance(text, nodes.Const)
        values = {keyword.key: keyword.value for keyword in node.kwargs}
        pieces = _PLACEHOLDER.split(self._texts.gettext(text.value))
        for index, piece in enumerate(pieces):
            if index % 2:
                yield self.visit(values[piece])
            elif piece or len(pieces) == 1:
                constant = nodes.Const(piece.replace("%%", "%"), lineno=node.lineno)
                yield nodes.MarkSafeIfAutoescape(constant, lineno=node.lineno)
