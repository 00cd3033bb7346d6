"""`python -m deploy.documents [--check]` writes what is generated from the contracts and the services' declarations.

JSON Schemas, the AsyncAPI document, a page per message, an OpenAPI document per service, the matrix of statuses and
messages and the catalogue of codes go into `docs/`, a table of messages into each service's README, and the texts of
code and templates into each catalogue of `shared/languages/`. With `--check` nothing is written, and an outdated file
is an error, as is a text that is not translated.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from deploy.documents.asyncapi import document, file_name, json_schema
from deploy.documents.catalogues import catalogues, unfinished
from deploy.documents.decisions import page as decisions
from deploy.documents.errors import page as errors
from deploy.documents.http_pages import page as http_page
from deploy.documents.lifecycle.page import page
from deploy.documents.messages.pages import FOLDER as MESSAGES
from deploy.documents.messages.pages import pages as messages
from deploy.documents.openapi import openapi
from deploy.documents.owner_commands import FILE as COMMANDS
from deploy.documents.owner_commands import READS, reads
from deploy.documents.owner_commands import text as commands
from deploy.documents.permissions import FILE as PERMISSIONS
from deploy.documents.permissions import page as permissions
from deploy.documents.tables import with_table
from services.registry import PROCESSES, SERVICES
from shared.contracts import published

PROJECT = Path(__file__).parents[2]
SCHEMAS = "docs/schemas"


def documents() -> dict[str, str]:
    """The text of every generated file, by its path within the project."""
    schemas = {f"{SCHEMAS}/{file_name(kind)}": _text(json_schema(kind)) for kind in published()}
    files = {name: f"services/{name}/README.md" for name in SERVICES}
    tables = {file: with_table((PROJECT / file).read_text(encoding="utf-8"), name) for name, file in files.items()}
    described = {name: openapi(name) for name in PROCESSES}
    apis = {f"docs/openapi/{name}.json": _text(api) for name, api in described.items()}
    apis |= {f"docs/http/{name}.md": http_page(name, api) for name, api in described.items()}
    pages = {"docs/asyncapi.json": _text(document()), "docs/lifecycle.md": page(), "docs/errors.md": errors.page()}
    pages[PERMISSIONS] = permissions(described)
    pages["docs/adr/README.md"] = decisions(PROJECT)
    pages[COMMANDS], pages[READS] = commands(), reads()
    return schemas | pages | messages() | apis | tables | catalogues(PROJECT)


def stale(project: Path) -> list[str]:
    """The files that are missing, outdated or no longer generated, one sentence each."""
    expected = documents()
    problems = []
    for name, text in expected.items():
        file = project / name
        if not file.is_file():
            problems.append(f"{name} is missing")
        elif file.read_text(encoding="utf-8") != text:
            problems.append(f"{name} is stale")
    return problems + [f"{name} belongs to no message" for name in _left_over(project, expected)]


def write(project: Path) -> int:
    """Write all files and remove those that are no longer generated. Returns the number of files."""
    (project / COMMANDS).parent.mkdir(parents=True, exist_ok=True)
    for name, written in ((COMMANDS, commands()), (READS, reads())):  # staff's document is made of them
        (project / name).write_text(written, encoding="utf-8", newline="\n")
    expected = documents()
    for name, text in expected.items():
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    for name in _left_over(project, expected):
        (project / name).unlink()
    return len(expected)


def _left_over(project: Path, expected: dict[str, str]) -> list[str]:
    files = [*sorted((project / SCHEMAS).glob("*.json")), *sorted((project / MESSAGES).glob("*.md"))]
    found = (file.relative_to(project).as_posix() for file in files)
    return [name for name in found if name not in expected]


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.documents", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    given = parser.parse_args(arguments)
    if not given.check:
        sys.stdout.write(f"Wrote {write(PROJECT)} files.\n")
        sys.stdout.writelines(f"To translate: {text}\n" for text in unfinished(PROJECT))
        return 0
    outdated, texts = stale(PROJECT), unfinished(PROJECT)
    sys.stderr.writelines(f"{problem}. Run: python -m deploy.documents\n" for problem in outdated)
    sys.stderr.writelines(f"{problem}. See docs/languages.md\n" for problem in texts)
    return 1 if outdated or texts else 0


if __name__ == "__main__":
    sys.exit(main())
