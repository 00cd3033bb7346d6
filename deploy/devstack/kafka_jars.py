"""Kafka's jars: those of the lock file in this folder, downloaded from Maven Central once per user, and verified."""

import contextlib
import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
from jgo.constants import MAVEN_CENTRAL_URL

from deploy.devstack.errors import MissingPart

VERSION = "4.4.0"
LOCK = Path(__file__).with_name(f"kafka-{VERSION}.lock")
ATTEMPTS = 3


@dataclass(frozen=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path_in_repository(self) -> str:
        return "/".join([*self.group.split("."), self.artifact, self.version, self.filename])


def locked_jars() -> list[Jar]:
    lines = (line for line in LOCK.read_text().splitlines() if line and not line.startswith("#"))
    return [Jar(*line.replace(":", " ").split()) for line in lines]


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "orderbus" / f"kafka-{VERSION}"


def class_path(say: Callable[[str], None] | None = None) -> list[Path]:
    """The broker's jars, fetched first if need be. Raises MissingPart."""
    if home := os.environ.get("ORDERBUS_KAFKA_HOME"):
        return unpacked(Path(home))
    jars, folder = locked_jars(), cache_folder()
    paths = [folder / jar.filename for jar in jars]
    if not all(path.is_file() for path in paths):
        fetch(jars, folder, say or progress_on_stderr)
    return paths


def unpacked(home: Path) -> list[Path]:
    jars = sorted(home.glob("libs/*.jar"))
    if not any(jar.name.startswith("kafka_2.13-4.") for jar in jars):
        raise MissingPart(
            f"ORDERBUS_KAFKA_HOME is {home}, but there is no libs/kafka_2.13-4.*.jar in it: "
            f"set it to the folder of an unpacked Apache Kafka 4 (made with {VERSION}), or unset it to have it fetched."
        )
    return jars


def fetch(jars: list[Jar], folder: Path, say: Callable[[str], None]) -> None:
    """Fetch what is missing. Of two that start at once, one fetches and the other waits for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(folder):
            missing = [jar for jar in jars if not (folder / jar.filename).is_file()]
            if missing:
                fetch_all(missing, folder, say)
    except OSError as failure:
        raise MissingPart(
            f"Kafka's jars cannot be kept in {folder} ({failure.strerror or failure}): make room or make it writable, "
            "or set XDG_CACHE_HOME to another folder."
        ) from failure


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    with (folder / "fetching").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch_all(jars: list[Jar], folder: Path, say: Callable[[str], None]) -> None:
    repository = os.environ.get("ORDERBUS_MAVEN_REPOSITORY", MAVEN_CENTRAL_URL).rstrip("/")
    with httpx.Client(timeout=60, follow_redirects=True) as client, ThreadPoolExecutor(6) as pool:

        def fetch_one(jar: Jar) -> int:
            content = download(client, f"{repository}/{jar.path_in_repository}")
            if hashlib.sha256(content).hexdigest() != jar.sha256:
                raise MissingPart(
                    f"What {repository} sent as {jar.filename} is not the file that Kafka {VERSION} was locked with: "
                    "try again, and check any proxy in between, or set ORDERBUS_KAFKA_HOME to an unpacked Kafka."
                )
            part = folder / f".{jar.filename}.part"
            part.write_bytes(content)
            part.replace(folder / jar.filename)
            return len(content)

        say(f"Fetching Apache Kafka {VERSION}: {len(jars)} files, 43 MB, once for this user …")
        done = 0
        for count, size in enumerate(pool.map(fetch_one, jars), 1):
            done += size
            if count % 10 == 0 or count == len(jars):
                say(f"  {count} of {len(jars)} files, {done / 1e6:.0f} MB")


def download(client: "httpx.Client", url: str) -> bytes:
    for attempt in range(ATTEMPTS):
        try:
            return client.get(url).raise_for_status().content
        except httpx.HTTPError as failure:
            if attempt + 1 == ATTEMPTS:
                raise MissingPart(
                    f"Kafka could not be fetched ({url}: {failure}): give this machine access to Maven Central, set "
                    "ORDERBUS_MAVEN_REPOSITORY to a mirror, or ORDERBUS_KAFKA_HOME to an unpacked Kafka 4."
                ) from failure
            time.sleep(0.5 + attempt)
    raise AssertionError("unreachable")


def progress_on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
