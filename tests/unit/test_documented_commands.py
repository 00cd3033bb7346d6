"""Every command that the documents name exists, and takes the arguments that they show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.commands import COMMANDS, Group
from deploy.cli.group import WrongArguments, loaded

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
    *PROJECT.glob("docs/*.md"),
    *PROJECT.glob("*/*/README.md"),
]
INLINE, LINE = re.compile(r"`orderbus ([^`]*)`"), re.compile(r"^orderbus (.*)$", re.MULTILINE)
ENTRIES = {entry.name: entry for section in COMMANDS for entry in section.commands}


def commands() -> Iterator[Any]:
    for document in DOCUMENTS:
        text = document.read_text()
        blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
        for found in sorted({*INLINE.findall(text), *LINE.findall(blocks)}):
            yield pytest.param(found, id=f"{document.relative_to(PROJECT)}: {found}")


def words(text: str) -> list[str]:
    """What stands for something is an argument like any other; of alternatives the first, and what may be left out."""
    plain = re.split(r" +#| [|<>] ", text)[0]
    return shlex.split(re.sub(r"\\\|[a-z_]+", "", plain).replace("[", "").replace("]", ""))


@pytest.mark.parametrize("text", list(commands()))
def test_it_is_there(text: str) -> None:
    name, *rest = words(text)
    if name == "--help":
        return
    entry = ENTRIES[name]
    if isinstance(entry, Group):
        named, *rest = rest
        entry = next(command for command in entry.commands if command.name == named)
    options = {option for parameter in loaded(entry).params for option in parameter.opts}
    assert [word for word in rest if word.startswith("-") and word not in options and not word[1:].isdigit()] == []
    if "…" not in text and any(not word.startswith("-") for word in rest):
        try:
            loaded(entry).make_context(name, list(rest))
        except WrongArguments as wrong:
            assert "argument" not in wrong.format_message().lower(), wrong.format_message()
