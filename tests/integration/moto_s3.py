"""S3-compatible storage for tests: `moto`'s server, in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.fulfillment.gateways.files.s3 import S3Files

BUCKET = "orderbus-files"


@dataclass
class Moto:
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def files(self, bucket: str = BUCKET) -> S3Files:
        return S3Files(self.url, bucket, "us-east-1", "a-key", "a-secret")

    def settings(self) -> dict[str, str]:
        keys = {"s3_access_key": "a-key", "s3_secret_key": "a-secret"}
        return {"s3_endpoint": self.url, "s3_bucket": BUCKET, **keys}

    def uploads(self) -> bytes:
        """Those that are not completed."""
        with urllib.request.urlopen(f"{self.url}/{BUCKET}?uploads") as answer:  # noqa: S310
            text: bytes = answer.read()
        return text

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        made = urllib.request.Request(f"{self.url}/{BUCKET}", method="PUT")  # noqa: S310
        for _ in range(300):
            try:
                urllib.request.urlopen(made).close()  # noqa: S310
                return
            except urllib.error.URLError:
                time.sleep(0.1)
        raise AssertionError("moto does not start")

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


@contextmanager
def moto_s3() -> Iterator[Moto]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    moto = Moto(port)
    moto.start()
    try:
        yield moto
    finally:
        moto.stop()
