"""`python -m shared.contracts.generate [--check]`: writes the contracts' documents into `docs/`, or checks whether they
are up to date (exit code 1 if not)."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from shared.contracts.asyncapi import document, file_name, json_schema, published

DOCS = Path(__file__).parents[2] / "docs"


def documents() -> dict[str, str]:
    """The text of every generated file, by its path within `docs/`."""
    schemas = {f"schemas/{file_name(kind)}": _text(json_schema(kind)) for kind in published()}
    return schemas | {"asyncapi.json": _text(document())}


def stale(folder: Path) -> list[str]:
    """The files that are missing, outdated or no longer generated, one sentence each."""
    expected = documents()
    problems = []
    for name, text in expected.items():
        file = folder / name
        if not file.is_file():
            problems.append(f"{name} is missing")
        elif file.read_text(encoding="utf-8") != text:
            problems.append(f"{name} is stale")
    return problems + [f"{name} belongs to no message" for name in _left_over(folder, expected)]


def write(folder: Path) -> int:
    """Write all files and remove those that are no longer generated. Returns the number of files."""
    expected = documents()
    for name, text in expected.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    for name in _left_over(folder, expected):
        (folder / name).unlink()
    return len(expected)


def _left_over(folder: Path, expected: dict[str, str]) -> list[str]:
    found = (f"schemas/{file.name}" for file in sorted((folder / "schemas").glob("*.json")))
    return [name for name in found if name not in expected]


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m shared.contracts.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    given = parser.parse_args(arguments)
    if not given.check:
        sys.stdout.write(f"Wrote {write(DOCS)} files to docs/.\n")
        return 0
    problems = stale(DOCS)
    for problem in problems:
        sys.stderr.write(f"docs/{problem}. Run: python -m shared.contracts.generate\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
