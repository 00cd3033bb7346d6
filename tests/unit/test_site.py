"""The site of all documents is built, each page is in its navigation once, and a link that leads nowhere is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.documents import site


@pytest.mark.slow
def test_it_is_built_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    assert site.build(tmp_path) == []
    built = tmp_path / "site"
    assert (built / "index.html").is_file() and (built / "search.json").is_file()
    assert "What was charged" in (built / "docs/messages/order.paid.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    (project / "docs").mkdir(parents=True)
    page = "a.md"
    (project / "README.md").write_text(f"# Project\n\n[a](docs/{page}#here) [gone](gone.md) [code](x.py)\n")
    (project / "docs" / page).write_text("# A\n\n[up](../README.md)\n")
    monkeypatch.setattr(site, "PROJECT", project)

    *staged, told = site.build(tmp_path / "build")

    assert staged == ["README.md: gone.md is not in the site", "README.md: x.py is not in the site"]
    assert "anchor does not exist" in told and "page does not exist" in told


def test_each_page_is_in_the_navigation_once() -> None:
    found = [
        name for section in site.navigation() for part in section.values() for page in part for name in page.values()
    ]
    assert sorted(found) == sorted({page.as_posix() for page in site.pages()})
