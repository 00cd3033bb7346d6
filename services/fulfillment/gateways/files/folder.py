"""Files in a folder: `<folder>/<store>/<name>`. Nothing outside the store's folder is read or written, symbolic links
included."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar
from uuid import uuid4

from services.fulfillment.gateways.files import Content, FileChanged, FilesAway, NotAFile, StoredFile

CHUNK = 262_144
UPLOADS = ".uploads"
"""Within a store's folder: what is being uploaded."""
BROKEN_OFF_AFTER = 86_400.0
"""Seconds without a byte, after which an upload that a dead process has left is removed."""
T = TypeVar("T")


class FolderFiles:
    """A FileStore."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()

    async def stat(self, store: str, name: str) -> StoredFile | None:
        return await _in_thread(lambda: self._stat(store, name))

    async def read(self, store: str, file: StoredFile, first: int, count: int) -> Content:
        return _FolderContent(await _in_thread(lambda: self._open(store, file, first)), count)

    async def put(self, store: str, name: str, content: AsyncIterator[bytes]) -> StoredFile:
        place = await _in_thread(lambda: self._upload_place(store))
        try:
            file = await _in_thread(lambda: place.open("xb"))
            try:
                async for chunk in content:
                    await _in_thread(partial(file.write, chunk))
                await _in_thread(lambda: _synced(file))
            finally:
                await _in_thread(file.close)
            return await _in_thread(lambda: self._moved(store, name, place))
        finally:
            with suppress(OSError):
                place.unlink(missing_ok=True)

    async def delete(self, store: str, name: str) -> bool:
        return await _in_thread(lambda: self._delete(store, name))

    async def all_of(self, store: str) -> Sequence[StoredFile]:
        return await _in_thread(lambda: sorted(self._all(store), key=lambda file: file.name))

    def _inside(self, store: str, name: str) -> Path | None:
        folder = self._root / store
        try:
            found = (folder / name).resolve()
        except (OSError, ValueError):  # too long, or links in a circle
            return None
        if not store or found == folder or not found.is_relative_to(folder):
            return None
        return None if _is_too_long(found) else found

    def _stat(self, store: str, name: str) -> StoredFile | None:
        found = self._inside(store, name)
        return _stored(name, found.stat()) if found and found.is_file() else None

    def _open(self, store: str, file: StoredFile, first: int) -> BinaryIO:
        found = self._inside(store, file.name)
        if found is None or not found.is_file():
            raise FileChanged(f"{file.name} is gone")
        opened = found.open("rb")
        if _stored(file.name, os.fstat(opened.fileno())) != file:
            opened.close()
            raise FileChanged(f"{file.name} is another file by now")
        opened.seek(first)
        return opened

    def _upload_place(self, store: str) -> Path:
        folder = self._root / store / UPLOADS
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            with suppress(FileNotFoundError):
                if left.stat().st_mtime < time.time() - BROKEN_OFF_AFTER:
                    left.unlink()
        return folder / uuid4().hex

    def _moved(self, store: str, name: str, place: Path) -> StoredFile:
        target = self._inside(store, name)
        if target is None or target.is_dir():
            raise NotAFile(f"{name} is a folder, or leads out of the store's folder")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise NotAFile(f"a part of {name} is a file") from None
        place.replace(target)
        _sync_folder(target.parent)
        return _stored(name, target.stat())

    def _delete(self, store: str, name: str) -> bool:
        found = self._inside(store, name)
        if found is None or not found.is_file():
            return False
        (self._root / store / name).unlink()  # of a link only the link
        return True

    def _all(self, store: str) -> Iterator[StoredFile]:
        folder = self._root / store
        for path, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for each in names:
                name = (Path(path) / each).relative_to(folder).as_posix()
                if not each.startswith(".") and (file := self._stat(store, name)):
                    yield file


def _is_too_long(path: Path) -> bool:
    """No file can be called so: that is no trouble of the folder's."""
    try:
        path.lstat()
    except OSError as trouble:
        return trouble.errno == errno.ENAMETOOLONG
    return False


def _stored(name: str, status: os.stat_result) -> StoredFile:
    tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
    return StoredFile(name, status.st_size, tag, datetime.fromtimestamp(int(status.st_mtime), UTC))


class _FolderContent:
    def __init__(self, file: BinaryIO, count: int) -> None:
        self._file, self._left = file, count

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        chunk = await _in_thread(lambda: self._file.read(min(CHUNK, self._left)))
        if not chunk:
            raise FileChanged("the file is shorter by now")
        self._left -= len(chunk)
        return chunk

    async def aclose(self) -> None:
        self._file.close()


def _synced(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """So that the file is there, too, after the machine has failed."""
    with suppress(OSError):  # not everywhere possible
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


async def _in_thread(call: Callable[[], T]) -> T:
    def guarded() -> T:
        with _reachable():
            return call()

    return await asyncio.to_thread(guarded)


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except OSError as trouble:
        raise FilesAway(f"the folder of the files: {trouble.strerror or type(trouble).__name__}") from trouble
