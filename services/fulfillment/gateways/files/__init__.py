"""The files that customers download: in a folder, or in S3-compatible storage. Each store has its own.

FilesTrouble
├── FilesAway     cannot be reached, or refuses us: try again
├── FileChanged   is another file by now
└── NotAFile      something else is in the place of the file
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

ORDERS = ".orders"
"""Files of single orders are in `.orders/<order>/`."""
LONGEST_NAME = 200
_NAME = re.compile(r"[A-Za-z0-9._/-]*")


class FilesTrouble(Exception):
    """The text is for staff."""


class FilesAway(FilesTrouble):
    pass


class FileChanged(FilesTrouble):
    pass


class NotAFile(FilesTrouble):
    pass


@dataclass(frozen=True, slots=True)
class StoredFile:
    name: str
    """Within its store."""
    size: int
    etag: str
    """Strong, in quotes (RFC 9110, 8.8.3); another one for other content."""
    modified: datetime


class Content(Protocol):
    """Chunks of a file, which are fetched as they are asked for. Raises FilesAway and FileChanged."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def aclose(self) -> Awaitable[None]:
        """To be called in the end, also if nothing was asked for."""


class FileStore(Protocol):
    """Every method raises FilesAway. Stores are ids, and names have no problems (`name_problems`), or are those of
    products, which may be anything."""

    async def stat(self, store: str, name: str) -> StoredFile | None:
        """None where there is no such file within the store."""

    async def read(self, store: str, file: StoredFile, first: int, count: int) -> Content:
        """`count` bytes from `first` on. Raises FileChanged."""

    async def put(self, store: str, name: str, content: AsyncIterator[bytes]) -> StoredFile:
        """No reader sees a part of it, and what `content` raises leaves everything as it was. Raises NotAFile."""

    async def delete(self, store: str, name: str) -> bool:
        """False: there was no such file."""

    async def all_of(self, store: str) -> Sequence[StoredFile]:
        """By name, without those of single orders."""


def name_problems(name: str) -> list[str]:
    """What is wrong with the name of a file that staff upload."""
    problems = []
    if not 1 <= len(name) <= LONGEST_NAME:
        problems.append(f"has to have 1 to {LONGEST_NAME} characters")
    if not _NAME.fullmatch(name):
        problems.append("has characters other than letters, digits and . _ - /")
    parts = name.split("/")
    if "" in parts and name:
        problems.append("begins or ends with /, or has two of them side by side")
    if any(part.startswith(".") for part in parts):
        problems.append("has a part that begins with a dot")
    return problems


def order_file(order: str, id: str) -> str:
    """The name of a file of a single order."""
    return f"{ORDERS}/{order}/{id}"
