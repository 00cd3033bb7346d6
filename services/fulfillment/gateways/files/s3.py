"""Files in S3-compatible storage: `<bucket>/<store>/<name>`. By `obstore` (ADR 34)."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import S3Store

from services.fulfillment.gateways.files import Content, FileChanged, FilesAway, StoredFile

if TYPE_CHECKING:
    from obstore import BytesStream, ObjectMeta

CHUNK = 65_536
PART = 8 * 1024 * 1024
"""Bytes of an upload that are sent at once; of each upload there are three of them in memory at most."""
PARTS_AT_ONCE = 2
ANSWER = 20.0
"""Seconds for an answer, and for each chunk of a file."""
REQUEST = timedelta(seconds=120)
"""For a whole request, a part of an upload among them."""
FOREVER = timedelta(days=7)
"""For a whole file, whose chunks have a limit each: customers may read slowly."""


class S3Files:
    """A FileStore."""

    def __init__(self, endpoint: str, bucket: str, region: str, access_key: str, secret_key: str) -> None:
        def bucket_within(timeout: timedelta) -> S3Store:
            return S3Store(
                bucket,
                endpoint=endpoint,
                region=region,
                access_key_id=access_key,
                secret_access_key=secret_key,
                virtual_hosted_style_request=False,
                client_options={"allow_http": True, "timeout": timeout, "connect_timeout": timedelta(seconds=5)},
                retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=10)},
            )

        self._bucket, self._slowly = bucket_within(REQUEST), bucket_within(FOREVER)

    async def stat(self, store: str, name: str) -> StoredFile | None:
        place = _place(store, name)
        if not place:
            return None
        try:
            async with asyncio.timeout(ANSWER):
                with _reachable():
                    return _stored(name, await obstore.head_async(self._bucket, place))
        except FileNotFoundError:
            return None
        except TimeoutError:
            raise FilesAway("the storage did not answer in time") from None

    async def read(self, store: str, file: StoredFile, first: int, count: int) -> Content:
        if not count:
            return _nothing()
        try:
            async with asyncio.timeout(ANSWER):
                with _reachable():
                    found = await obstore.get_async(
                        self._slowly,
                        _place(store, file.name),
                        options={"range": (first, first + count), "if_match": file.etag},
                    )
        except (FileNotFoundError, PreconditionError):
            raise FileChanged(f"{file.name} is another file by now") from None
        except TimeoutError:
            raise FilesAway("the storage did not answer in time") from None
        return _chunks(found.stream(min_chunk_size=CHUNK))

    async def put(self, store: str, name: str, content: AsyncIterator[bytes]) -> StoredFile:
        """In parts, which the storage puts together at the end."""
        place, media = _place(store, name), mimetypes.guess_type(name)[0]
        with _reachable(), _there():
            await obstore.put_async(
                self._bucket,
                place,
                content,
                attributes={"Content-Type": media or "application/octet-stream"},
                use_multipart=True,
                chunk_size=PART,
                max_concurrency=PARTS_AT_ONCE,
            )
        found = await self.stat(store, name)
        if found is None:
            raise FilesAway("the storage does not have what it took")
        return found

    async def delete(self, store: str, name: str) -> bool:
        if await self.stat(store, name) is None:
            return False
        with _reachable(), _there():
            await obstore.delete_async(self._bucket, _place(store, name))
        return True

    async def all_of(self, store: str) -> Sequence[StoredFile]:
        with _reachable(), _there():
            found = await obstore.list(self._bucket, f"{store}/").collect_async()
        files = [_stored(one["path"].removeprefix(f"{store}/"), one) for one in found]
        shown = [file for file in files if not any(part.startswith(".") for part in file.name.split("/"))]
        return sorted(shown, key=lambda file: file.name)


def _place(store: str, name: str) -> str:
    """Empty for what is outside of the store."""
    parts = name.split("/")
    return f"{store}/{name}" if store and not {"", ".", ".."} & set(parts) else ""


def _stored(name: str, found: ObjectMeta) -> StoredFile:
    modified = found["last_modified"].replace(microsecond=0)
    tag = found["e_tag"] or f'"{found["last_modified"].timestamp():x}-{found["size"]:x}"'
    return StoredFile(name, found["size"], tag, modified)


async def _chunks(stream: BytesStream) -> AsyncGenerator[bytes]:
    while True:
        try:
            async with asyncio.timeout(ANSWER):
                with _reachable():
                    chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise FilesAway("the storage stopped sending") from None
        yield bytes(chunk)


async def _nothing() -> AsyncGenerator[bytes]:
    return
    yield b""


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PreconditionError):
        raise
    except BaseError as trouble:
        first = str(trouble).partition("\n")[0]
        raise FilesAway(f"the storage: {first}") from trouble


@contextmanager
def _there() -> Iterator[None]:
    """Where what is not found is the bucket."""
    try:
        yield
    except FileNotFoundError as trouble:
        first = str(trouble).partition("\n")[0]
        raise FilesAway(f"the storage: {first}") from None
