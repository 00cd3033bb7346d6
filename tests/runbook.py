"""The commands of a procedure, as a document shows them: tests run them as they stand there.

A procedure is a fenced block of the language `sh` under its heading. Names in it that depend on the installation are
shell variables (`$CHECKOUT_URL`), which a test sets, as an operator would.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
OPERATIONS = PROJECT / "docs" / "operations.md"


class NoProcedure(Exception):
    """The document has no such procedure any more."""


class CommandFailed(AssertionError):
    """A line of a procedure ended with another exit code than 0."""


def procedure(heading: str, *, number: int = 1, document: Path = OPERATIONS) -> list[str]:
    """The lines of the block with this number under a heading, without comments; continued lines are joined."""
    blocks = _blocks(document.read_text().splitlines(), heading)
    if len(blocks) < number:
        raise NoProcedure(f"{document.name} has no block {number} of `sh` under “{heading}”")
    lines = "\n".join(blocks[number - 1]).replace("\\\n", " ").splitlines()
    return [line.split(" # ")[0].strip() for line in lines if line.strip() and not line.strip().startswith("#")]


def _blocks(lines: Sequence[str], heading: str) -> list[list[str]]:
    """The blocks of `sh` below a heading and above the next."""
    blocks, here, fence = list[list[str]](), False, ""
    for line in lines:
        text = line.strip()
        if text.startswith("```"):
            fence = "" if fence else text
            if here and fence == "```sh":
                blocks.append([])
        elif fence:
            if here and fence == "```sh":
                blocks[-1].append(line)
        elif line.startswith("#"):
            here = line.lstrip("#").strip() == heading
    return blocks


async def follow(line: str, settings: Mapping[str, str], *, within: float = 120) -> str:
    """Run a line in a shell that finds `orderbus`, with these variables. Returns what it printed. Raises
    CommandFailed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    program = await asyncio.create_subprocess_shell(
        line,
        cwd=PROJECT,
        env={"HOME": os.environ.get("HOME", "/"), **settings, "PATH": settings.get("PATH", path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(within):
            printed, _ = await program.communicate()
    finally:
        if program.returncode is None:
            program.kill()
    if program.returncode:
        raise CommandFailed(f"{line}\nended with {program.returncode}:\n{printed.decode()}")
    return printed.decode()
