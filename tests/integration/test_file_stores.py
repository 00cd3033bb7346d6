"""The files of stores: a folder, and S3 as `moto` understands it, do the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from services.fulfillment.gateways.files import FileChanged, FilesAway, FileStore, NotAFile, name_problems
from services.fulfillment.gateways.files.folder import FolderFiles
from tests.integration.moto_s3 import Moto

BIG = bytes(range(256)) * 80_000
"""20 MB: three parts of an upload."""


@pytest.fixture(params=["folder", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    if request.param == "folder":
        return FolderFiles(tmp_path)
    moto: Moto = request.getfixturevalue("moto")
    return moto.files()


async def parts(content: bytes, size: int = 100_000, cut: bool = False) -> AsyncIterator[bytes]:
    for first in range(0, len(content), size):
        yield content[first : first + size]
    if cut:
        raise ConnectionResetError("cut")


async def read(files: FileStore, store: str, name: str, first: int = 0, count: int | None = None) -> bytes:
    file = await files.stat(store, name)
    assert file is not None
    content = await files.read(store, file, first, file.size - first if count is None else count)
    async with aclosing(content):
        return b"".join([chunk async for chunk in content])


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_file_is_put_read_in_parts_replaced_listed_and_removed(files: FileStore) -> None:
    put = await files.put("acme", "set/big.bin", parts(BIG))
    assert (put.name, put.size, put.etag[0], put.etag[-1]) == ("set/big.bin", len(BIG), '"', '"')
    assert await files.stat("acme", "set/big.bin") == put
    assert await read(files, "acme", "set/big.bin") == BIG
    assert await read(files, "acme", "set/big.bin", 9_000_001, 1_000_000) == BIG[9_000_001:10_000_001]
    assert await read(files, "acme", "set/big.bin", 5, 0) == b""

    await asyncio.sleep(0.01)
    await files.put("acme", "set/big.bin", parts(b"another"))
    with pytest.raises(FileChanged):
        await files.read("acme", put, 0, 5)
    await files.put("acme", ".orders/o-1/abc", parts(b"made to order"))
    await files.put("other", "its.pdf", parts(b"other"))
    await files.put("acme", "a.pdf", parts(b"a"))
    assert [(file.name, file.size) for file in await files.all_of("acme")] == [("a.pdf", 1), ("set/big.bin", 7)]

    assert [await files.delete("acme", "a.pdf") for _ in range(2)] == [True, False]
    assert await files.stat("acme", "a.pdf") is None
    await files.delete("acme", "set/big.bin")
    assert list(await files.all_of("acme")) == []
    assert list(await files.all_of("empty")) == []


@pytest.mark.parametrize("name", ["../other/its.pdf", "", ".", "..", "x/../../other/its.pdf", "/etc/passwd", "no"])
async def test_nothing_outside_of_the_store_is_a_file(files: FileStore, name: str) -> None:
    await files.put("other", "its.pdf", parts(b"other"))
    assert await files.stat("acme", name) is None
    assert not await files.delete("acme", name)


async def test_an_upload_that_is_cut_leaves_what_was_there(files: FileStore) -> None:
    await files.put("cut", "book.pdf", parts(b"the book"))
    for content in (BIG, b"little"):
        with pytest.raises(ConnectionResetError):
            await files.put("cut", "book.pdf", parts(content, cut=True))
        with pytest.raises(ConnectionResetError):
            await files.put("cut", "new.pdf", parts(content, cut=True))
    assert await read(files, "cut", "book.pdf") == b"the book"
    assert [file.name for file in await files.all_of("cut")] == ["book.pdf"]


async def test_nothing_of_a_cut_upload_is_left_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError):
        await FolderFiles(tmp_path).put("acme", "book.pdf", parts(BIG, cut=True))
    assert files_in(tmp_path) == []


async def test_nothing_of_a_cut_upload_is_left_in_s3(moto: Moto) -> None:
    with pytest.raises(ConnectionResetError):
        await moto.files().put("acme", "book.pdf", parts(BIG, cut=True))
    assert b"<Upload>" not in moto.uploads()


async def test_a_folder_is_left_by_no_link(tmp_path: Path) -> None:
    files, outside = FolderFiles(tmp_path / "files"), tmp_path / "outside"
    (tmp_path / "files" / "acme" / "set").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.txt").write_bytes(b"secret")
    (tmp_path / "files" / "acme" / "out").symlink_to(outside)
    (tmp_path / "files" / "acme" / "one.txt").symlink_to(outside / "secret.txt")

    assert [await files.stat("acme", name) for name in ("out/secret.txt", "one.txt")] == [None, None]
    assert list(await files.all_of("acme")) == []
    for name in ("out/new.txt", "one.txt", "set"):
        with pytest.raises(NotAFile):
            await files.put("acme", name, parts(b"new"))
    assert [path.name for path in outside.iterdir()] == ["secret.txt"]
    assert (outside / "secret.txt").read_bytes() == b"secret"


async def test_a_file_that_is_no_folder_takes_no_files(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    await files.put("acme", "set", parts(b"a file"))
    with pytest.raises(NotAFile):
        await files.put("acme", "set/one.pdf", parts(b"new"))


async def test_s3_that_refuses_or_is_away(moto: Moto) -> None:
    with pytest.raises(FilesAway):
        await Moto(1).files().stat("acme", "book.pdf")
    with pytest.raises(FilesAway):
        await moto.files("no-such-bucket").put("acme", "book.pdf", parts(b"x"))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("book.pdf", 0),
        ("set-1/Book_2.tar.gz", 0),
        ("", 1),
        ("../x", 1),
        (".x", 1),
        ("a//b", 1),
        ("/ä", 2),
        ("a" * 201, 1),
    ],
)
def test_names_of_files(name: str, count: int) -> None:
    assert len(name_problems(name)) == count


async def test_readers_who_read_slowly_hold_no_file_in_memory(moto: Moto) -> None:
    files = moto.files()
    put = await files.put("acme", "huge.bin", parts(BIG * 4))
    readers = [await files.read("acme", put, 0, put.size) for _ in range(5)]
    begun = [len(await anext(aiter(reader))) for reader in readers]
    before = psutil.Process().memory_info().rss
    await asyncio.sleep(2)
    assert max(begun) < 2_000_000
    assert psutil.Process().memory_info().rss - before < 60_000_000, "of 400 MB that could be fetched"
    for reader in readers:
        await reader.aclose()


@pytest.mark.parametrize("name", ["x" * 256, "x/" * 2500 + "x"])
async def test_a_name_that_no_file_can_have_is_that_of_no_file(tmp_path: Path, name: str) -> None:
    """Products may name anything. The folder is not away."""
    (tmp_path / "acme").mkdir()
    assert await FolderFiles(tmp_path).stat("acme", name) is None
    assert not await FolderFiles(tmp_path).delete("acme", name)
