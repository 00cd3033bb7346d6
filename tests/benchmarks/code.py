"""Two states of the code side by side: each in a folder of its own, run by the same interpreter and libraries."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.devstack.processes import PROJECT
from shared.settings import PREFIX

KNOWN_SETTINGS = """
import json
try:
    from deploy.settings import all_settings
    Settings = all_settings()
except ImportError:  # an older commit
    from shared.settings import Settings
names = []
for name, field in Settings.model_fields.items():
    section = getattr(field.annotation, "model_fields", None)
    names += [f"{name}__{one}" for one in section] if section else [name]
print(json.dumps(names))
"""


class CodeFailed(Exception):
    """A program of one of the two did not end well. One sentence, with the end of what it said."""


@dataclass(frozen=True)
class Code:
    """A folder with the project's code. `known`: the settings that it accepts, if it may not know all current ones."""

    name: str
    folder: Path
    known: frozenset[str] | None = None

    def module(self, name: str) -> str:
        """Its name for a current module, if its layout is older than `deploy/worker.py`."""
        former = {"deploy.worker": "deploy.run", "deploy.cli.main": "deploy.cli"}
        return former.get(name, name) if (self.folder / "deploy" / "run.py").exists() else name

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The settings that it knows, and where Python finds it."""
        kept = {name: value for name, value in settings.items() if self.known is None or name in self.known}
        return kept | {"PYTHONPATH": str(self.folder)}

    async def run(self, *arguments: str, settings: Mapping[str, str]) -> str:
        """Run Python on it; what it printed. Raises CodeFailed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=self.folder,
            env=_without_settings() | self.environment(settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if process.returncode:
            raise CodeFailed(f"{self.name}: `python {' '.join(arguments)[:80]}` failed:\n{err.decode()[-2000:]}")
        return out.decode()


OURS = Code("this code", PROJECT)


async def code_in(name: str, folder: Path) -> Code:
    """The code in a folder, with the settings that it knows."""
    code = Code(name, folder)
    names = json.loads(await code.run("-c", KNOWN_SETTINGS, settings={}))
    return Code(name, folder, frozenset(PREFIX + known.upper() for known in names))


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A folder with the files of a commit; it goes when the body ends."""
    with tempfile.TemporaryDirectory(prefix="orderbus-compare-") as folder:
        tree = Path(folder) / "code"
        _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def described(commit: str) -> str:
    """A commit's short hash; for the working tree (""), that of HEAD, marked where files differ from it."""
    if commit:
        return _git("rev-parse", "--short", f"{commit}^{{commit}}")
    return _git("rev-parse", "--short", "HEAD") + ("+changes" if _git("status", "--porcelain") else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CodeFailed(f"`git {' '.join(arguments[:2])}` failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
