"""What `python -m deploy.documents` finds in catalogues, and what it writes into them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from deploy.documents.__main__ import PROJECT
from deploy.documents.catalogues import catalogues, unfinished
from shared.languages.catalogues import catalogue_file

GREETING = '{{ _("Good day") }} {% trans n=n %}{{ n }} parcel{% pluralize %}{{ n }} parcels{% endtrans %}'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A service with one template, and a Swedish catalogue in which nothing stands."""
    templates = tmp_path / "services" / "mail" / "templates"
    templates.mkdir(parents=True)
    (templates / "greeting.html").write_text(GREETING)
    swedish(tmp_path).parent.mkdir(parents=True)
    swedish(tmp_path).touch()
    return tmp_path


def swedish(project: Path) -> Path:
    return catalogue_file("sv", project / "shared" / "languages")


def written(project: Path) -> str:
    for name, text in catalogues(project).items():
        (project / name).write_text(text, encoding="utf-8")
    return swedish(project).read_text(encoding="utf-8")


def change(project: Path, old: str, new: str) -> None:
    file = swedish(project)
    assert old in file.read_text(encoding="utf-8")
    file.write_text(file.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")


def test_all_is_translated() -> None:
    assert unfinished(PROJECT) == []


def test_an_empty_file_becomes_a_catalogue(project: Path) -> None:
    text = written(project)
    assert "Language: sv" in text and "Plural-Forms: nplurals=2" in text
    assert 'msgid "Good day"' in text and 'msgid_plural "%(n)s parcels"' in text
    assert written(project) == text
    assert unfinished(project) == [
        "shared/languages/sv/LC_MESSAGES/orderbus.po: not translated: '%(n)s parcel'",
        "shared/languages/sv/LC_MESSAGES/orderbus.po: not translated: 'Good day'",
    ]


def test_what_is_translated_stays(project: Path) -> None:
    written(project)
    change(project, 'msgid "Good day"\nmsgstr ""', 'msgid "Good day"\nmsgstr "God dag"')
    assert '"God dag"' in written(project)


def test_a_text_that_is_gone_is_removed(project: Path) -> None:
    written(project)
    change(project, 'msgid "Good day"\nmsgstr ""', 'msgid "Good day"\nmsgstr "God dag"')
    (project / "services" / "mail" / "templates" / "greeting.html").write_text("")
    assert "God dag" not in written(project)


@pytest.mark.parametrize(
    ("one", "many", "problem"),
    [
        ("%(n)s paket", "%(n)s paket", ""),
        ("%(n)s paket", "", "not translated"),
        ("%(n)s paket", "%(antal)s paket", "wrong placeholders"),
        ("%(n)s paket", "flera paket", "wrong placeholders"),
        ("%(n)s paket", "%(n)s % paket", "wrong placeholders"),
        ("%(n)s paket", "%(n)s paket, 100 %%", ""),
    ],
)
def test_placeholders_are_those_of_the_source(project: Path, one: str, many: str, problem: str) -> None:
    written(project)
    change(project, 'msgstr[0] ""\nmsgstr[1] ""', f'msgstr[0] "{one}"\nmsgstr[1] "{many}"')
    found = [text for text in unfinished(project) if "parcel" in text]
    assert [problem in text for text in found] == ([True] if problem else [])


def test_a_guess_is_named(project: Path) -> None:
    written(project)
    change(project, 'msgid "Good day"\nmsgstr ""', '#, fuzzy\nmsgid "Good day"\nmsgstr "God natt"')
    assert "shared/languages/sv/LC_MESSAGES/orderbus.po: fuzzy: 'Good day'" in unfinished(project)


def test_every_text_that_code_looks_up_is_in_the_catalogues() -> None:
    """Babel does not see those within an f-string, and none that is put together."""
    known = catalogues(PROJECT)["shared/languages/de/LC_MESSAGES/orderbus.po"]
    ids = {id for message in read_po(BytesIO(known.encode())) for id in one_or_more(message.id)}
    looked_up = [text for file in (PROJECT / "services").rglob("*.py") for text in texts_of(file)]
    assert looked_up
    assert [text for text in looked_up if text not in ids] == []


def one_or_more(id: str | Sequence[str]) -> tuple[str, ...]:
    return (id,) if isinstance(id, str) else tuple(id)


def texts_of(file: Path) -> Iterator[str]:
    """What `gettext`, `ngettext` and `marked` are called with."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            for given in node.args[: {"gettext": 1, "marked": 1, "ngettext": 2}.get(name, 0)]:
                yield (
                    str(given.value)
                    if isinstance(given, ast.Constant)
                    else f"{file.name}:{node.lineno}: no constant text"
                )


def test_code_is_read_too(project: Path) -> None:
    (project / "services" / "mail" / "order.py").write_text(
        'from shared.languages import language\nlanguage("sv").gettext("Order %(number)s", number=1)\n'
    )
    assert 'msgid "Order %(number)s"' in written(project)
