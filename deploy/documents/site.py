"""`python -m deploy.documents.site` builds a static, searchable site of all documents in `build/site` (`make docs`).

The documents are staged as they lie in the project, so that their links stay true. A link that leads nowhere, within a
page too, is an error.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
BUILD = PROJECT / "build"
FOLDERS = ("services", "shared", "examples", "deploy")
PAGES = ("*.md", "docs/**/*.md", *(f"{folder}/**/README.md" for folder in FOLDERS))
FILES = ("docs/asyncapi.json", "docs/openapi/*.json", "docs/schemas/*.json")
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
GUIDES = ("README.md", "docs/architecture.md", "docs/first-store.md", "docs/glossary.md", "docs/lifecycle.md")
REFERENCE = ("docs/messages/README.md", "docs/messages/webhooks.md", "docs/errors.md", "docs/settings.md")


def stage(folder: Path) -> list[str]:
    """Copy all documents, and all that they link to. Returns the links that lead nowhere, one sentence each."""
    problems = []
    for page in pages():
        text, linked = _with_links(page)
        _file(folder / page).write_text(text, encoding="utf-8")
        for target in linked:
            source = PROJECT / target
            if source.is_file() and source.suffix != ".md":
                shutil.copyfile(source, _file(folder / target))
            elif not source.is_file() or Path(target) not in pages():
                problems.append(f"{page}: {target} is not in the site")
    for file in _found(FILES):
        shutil.copyfile(PROJECT / file, _file(folder / file))
    return problems


def pages() -> list[Path]:
    """Paths within the project."""
    return [*_found(PAGES)]


def _found(patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from (file.relative_to(PROJECT) for file in sorted(PROJECT.glob(pattern)))


def _file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _with_links(page: Path) -> tuple[str, list[str]]:
    """The page, in which a link to a folder leads to its README; and what it links to, by paths within the project."""
    linked: list[str] = []

    def follow(found: re.Match[str]) -> str:
        begin, target, end = found.groups()
        if ":" in target:
            return found.group()
        path = (PROJECT / page).parent.joinpath(target).resolve()
        if path.is_dir():
            target, path = f"{target.rstrip('/')}/README.md", path / "README.md"
        linked.append(path.relative_to(PROJECT).as_posix())
        return f"{begin}{target}{end}"

    return LINK.sub(follow, (PROJECT / page).read_text(encoding="utf-8")), linked


def configuration(folder: Path, site: Path) -> dict[str, Any]:
    """In the form of MkDocs, which Zensical reads."""
    return {
        "site_name": "orderbus",
        "site_description": "The order back end of a store as message-driven services on Kafka and PostgreSQL.",
        "docs_dir": folder.name,
        "site_dir": site.name,
        "use_directory_urls": False,
        "theme": {"name": "material", "font": False, "features": ["navigation.indexes", "search.suggest"]},
        "plugins": ["search"],
        "markdown_extensions": ["tables", "toc", "attr_list", "pymdownx.superfences", "pymdownx.highlight"],
        "nav": navigation(),
    }


def navigation() -> list[dict[str, Any]]:
    """Every page once."""
    rest = [page.as_posix() for page in pages()]

    def take(*names: str) -> list[dict[str, str]]:
        taken = [name for name in names if name in rest]
        rest[:] = [name for name in rest if name not in taken]
        return [{_title(name): name} for name in taken]

    def under(*beginnings: str) -> list[dict[str, str]]:
        return take(*(name for name in rest if name.startswith(beginnings)))

    return [
        {"Guides": [*take(*GUIDES), *under("examples/")]},
        {"Messages": [*take(*REFERENCE[:2]), *under("docs/messages/")]},
        {"HTTP": under("docs/http/")},
        {"Reference": [*take(*REFERENCE[2:]), *under("services/", "shared/", "deploy/")]},
        {"Decisions": [*take("docs/adr/README.md"), *under("docs/adr/")]},
        {"Operations": under("docs/")},
        {"Project": under("")},
    ]


def _title(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8").partition("\n")[0].lstrip("# ").replace("`", "")


def build(build: Path = BUILD) -> list[str]:
    """Returns what is wrong, one sentence each."""
    sources, site = build / "documents", build / "site"
    for folder in (sources, site):
        shutil.rmtree(folder, ignore_errors=True)
    problems = stage(sources)
    file = build / "mkdocs.yml"
    file.write_text(json.dumps(configuration(sources, site), indent=2), encoding="utf-8")  # JSON is YAML
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--clean", "--strict", "-f", str(file)]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=build, env=environment, capture_output=True, text=True, check=False)
    return problems + ([] if done.returncode == 0 else [COLOUR.sub("", done.stdout + done.stderr)])


if __name__ == "__main__":
    wrong = build()
    sys.stderr.writelines(f"{problem}\n" for problem in wrong)
    sys.stdout.write(f"The site is in {BUILD / 'site'}: open index.html.\n")
    sys.exit(bool(wrong))
