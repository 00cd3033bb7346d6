"""Catalogues of texts: what templates and code have to say, and what a catalogue lacks of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from babel import Locale
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from shared.languages.catalogues import SOURCE, catalogue_file, languages
from shared.languages.templates import EXTRACTED

KEYWORDS = {"_": None, "marked": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
NOT_KEPT = re.compile(rb'^"(?!Language:|Plural-Forms:|MIME-|Content-)[A-Z][\w-]+:.*\\n"\n', re.MULTILINE)
"""Headers with times and versions, which would make every writing a change."""
LOOKED_UP = re.compile(r"gettext\(|\bmarked\(")
PLACEHOLDER = re.compile(r"%(?:\((\w+)\)s|%|.?)", re.DOTALL)


def catalogues(project: Path) -> dict[str, str]:
    """The text of every catalogue, by its path within the project, with all that there is to say and nothing else."""
    source, folder = _extracted(project), project / "shared" / "languages"
    files = [catalogue_file(language, folder) for language in _translated(project)]
    return {file.relative_to(project).as_posix(): _text(_updated(file, source)) for file in files}


def unfinished(project: Path) -> list[str]:
    """What is missing or wrong in the catalogues, one sentence each."""
    folder = project / "shared" / "languages"
    files = [catalogue_file(language, folder) for language in _translated(project)]
    return [
        f"{file.relative_to(project).as_posix()}: {problem}: {_singular(message)!r}"
        for file in files
        for message in _read(file)
        if message.id
        for problem in problems(message)
    ]


def problems(message: Message) -> Iterator[str]:
    """What is wrong with one text of a catalogue."""
    texts = [message.string] if isinstance(message.string, str) else list(message.string or [""])
    if message.fuzzy:
        yield "fuzzy"
    if not all(texts):
        yield "not translated"
        return
    ids = [message.id] if isinstance(message.id, str) else list(message.id)
    allowed = set().union(*map(_placeholders, ids))
    needed = set.intersection(*map(_placeholders, ids))
    found = [_placeholders(text) for text in texts]
    if not all(needed <= names <= allowed for names in found):
        yield "wrong placeholders"


def _placeholders(text: str) -> set[str]:
    """Their names; `%` for a percent sign that is not doubled."""
    return {match[1] or "%" for match in PLACEHOLDER.finditer(text) if match[0] != "%%"}


def _translated(project: Path) -> list[str]:
    return [name for name in languages(project / "shared" / "languages") if name != SOURCE]


def _extracted(project: Path) -> Catalog:
    """All texts of templates and code."""
    templates = sorted(project.glob("services/*/templates/**/*.*"))
    modules = sorted([*project.glob("services/**/*.py"), *project.glob("shared/languages/*.py")])
    found = Catalog()
    for file in templates:
        _add(found, project, file, babel_extract, EXTRACTED)
    for file in modules:
        if LOOKED_UP.search(file.read_text(encoding="utf-8")):
            _add(found, project, file, "python", {})
    return found


def _add(found: Catalog, project: Path, file: Path, method: Any, options: dict[str, str]) -> None:
    name = file.relative_to(project).as_posix()
    with file.open("rb") as opened:
        for line, texts, comments, context in extract(
            method, opened, KEYWORDS, ["Translators:"], options, strip_comment_tags=True
        ):
            found.add(texts, None, [(name, line)], auto_comments=comments, context=context)


def _read(file: Path) -> Catalog:
    with file.open("rb") as opened:
        return read_po(opened, locale=file.parents[1].name, abort_invalid=True)


def _updated(file: Path, source: Catalog) -> Catalog:
    catalogue, language = _read(file), Locale.parse(file.parents[1].name)
    catalogue.update(source)
    catalogue.fuzzy = False
    catalogue.header_comment = (
        f"# The texts of orderbus in {language.english_name}. docs/languages.md says how to change them."
    )
    return catalogue


def _text(catalogue: Catalog) -> str:
    written = BytesIO()
    write_po(written, catalogue, width=120, sort_output=True, include_lineno=False, ignore_obsolete=True)
    return NOT_KEPT.sub(b"", written.getvalue()).decode()


def _singular(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]
