"""`python -m shared.contracts.generate [--check]`: writes the documents of the contracts into `docs/`, or says whether
those there are stale (exit code 1)."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from shared.contracts.asyncapi import document, file_name, json_schema, published

DOCS = Path(__file__).parents[2] / "docs"


def documents() -> dict[str, str]:
    """Every generated file by its path below `docs/`."""
    schemas = {f"schemas/{file_name(kind)}": _text(json_schema(kind)) for kind in published()}
    return schemas | {"asyncapi.json": _text(document())}


def stale(folder: Path) -> list[str]:
    """What is missing, outdated, or no longer generated, in words."""
    wanted = documents()
    problems = []
    for name, text in wanted.items():
        file = folder / name
        if not file.is_file():
            problems.append(f"{name} is missing")
        elif file.read_text(encoding="utf-8") != text:
            problems.append(f"{name} is stale")
    return problems + [f"{name} belongs to no message" for name in _left_over(folder, wanted)]


def write(folder: Path) -> int:
    """Write every file, remove what is no longer generated. Returns how many there are."""
    wanted = documents()
    for name, text in wanted.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    for name in _left_over(folder, wanted):
        (folder / name).unlink()
    return len(wanted)


def _left_over(folder: Path, wanted: dict[str, str]) -> list[str]:
    there = (f"schemas/{file.name}" for file in sorted((folder / "schemas").glob("*.json")))
    return [name for name in there if name not in wanted]


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m shared.contracts.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the files are stale")
    given = parser.parse_args(arguments)
    if not given.check:
        sys.stdout.write(f"{write(DOCS)} files written to docs/\n")
        return 0
    problems = stale(DOCS)
    for problem in problems:
        sys.stderr.write(f"docs/{problem}: run python -m shared.contracts.generate\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
