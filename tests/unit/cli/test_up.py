"""What `orderbus up` says to do next."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.cli.commands import COMMANDS, Command
from deploy.cli.group import loaded
from deploy.cli.publish import checked, read
from deploy.cli.up import next_steps

PROJECT = Path(__file__).resolve().parents[3]
ENTRIES = {entry.name: entry for section in COMMANDS for entry in section.commands if isinstance(entry, Command)}


@pytest.mark.parametrize("folder", ["", " --data /srv/orderbus"])
def test_each_command_can_be_pasted(folder: str) -> None:
    commands = re.findall(r"^  orderbus (.*)$", next_steps(folder), re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["shop", "publish", "orders"]
    for command in commands:
        assert command.endswith(folder)
        name, *rest = command.split()
        assert loaded(ENTRIES[name]).make_context(name, rest)


def test_the_file_that_is_published_is_there_and_valid() -> None:
    (file,) = re.findall(r"publish (\S+)", next_steps(""))
    assert checked(read(str(PROJECT / file)))
