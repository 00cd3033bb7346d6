"""Certificates for tests, made by the program `openssl`."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates with `openssl`")


@dataclass(frozen=True)
class Signed:
    """A certificate and its key, in PEM form."""

    certificate: Path
    key: Path


def authority(folder: Path, name: str) -> Signed:
    made = Signed(folder / f"{name}.pem", folder / f"{name}.key")
    _openssl("req", "-x509", *_new_key(made.key), "-subj", f"/CN={name}", "-days", "2", "-out", str(made.certificate))
    return made


def certificate(folder: Path, name: str, by: Signed, host: str) -> Signed:
    """A server's or client's certificate for a host's name or address."""
    made, request = Signed(folder / f"{name}.pem", folder / f"{name}.key"), folder / f"{name}.csr"
    kind = "IP" if host[0].isdigit() else "DNS"
    extensions = folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName={kind}:{host}\n")
    _openssl("req", *_new_key(made.key), "-subj", f"/CN={name}", "-out", str(request))
    signer = ("-CA", str(by.certificate), "-CAkey", str(by.key), "-CAcreateserial", "-days", "2")
    _openssl("x509", "-req", "-in", str(request), *signer, "-extfile", str(extensions), "-out", str(made.certificate))
    return made


def _new_key(path: Path) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path))


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
