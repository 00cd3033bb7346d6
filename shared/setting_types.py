"""The types of settings that need more than pydantic's: secrets, tokens, URLs. No error repeats a value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, StringConstraints
from pydantic.fields import FieldInfo

from shared.postgres_url import PostgresUrl

SHORTEST_KEY = 32
"""Characters of a data key: those of 16 bytes in hexadecimal."""
FILE_BYTES = 65_536
"""Secrets are shorter; what is longer is another file."""


@dataclass(frozen=True, slots=True)
class SecretFile:
    """Stands for a secret until it is validated: the file that holds it (`…_FILE`)."""

    path: str
    twice: bool = False
    """The secret itself is given, too."""

    def read(self) -> str:
        """Raises ValueError."""
        if self.twice:
            raise ValueError("is set, and so is the same name with _FILE: set one of them")
        if not self.path:
            raise ValueError("the same name with _FILE is empty: name a file, or leave it out")
        try:
            with Path(self.path).open("rb") as file:
                content = file.read(FILE_BYTES + 1)
        except (OSError, ValueError) as trouble:
            reason = getattr(trouble, "strerror", None) or "no file name"
            raise ValueError(f"its file {self.path!r} cannot be read ({reason})") from None
        if len(content) > FILE_BYTES:
            raise ValueError(f"its file {self.path!r} is longer than {FILE_BYTES} bytes")
        try:
            return content.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise ValueError(f"its file {self.path!r} is no UTF-8 text") from None


def _from_file(given: Any) -> Any:
    return given.read() if isinstance(given, SecretFile) else given


def _no_blank(given: SecretStr) -> SecretStr:
    value = given.get_secret_value()
    if value and not value.strip():
        raise ValueError("is blank")
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError("contains line breaks or other control characters")
    return given


def _visible(given: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\x21-\x7e]*", given.get_secret_value()):
        raise ValueError("must consist of visible ASCII characters, without blanks")
    return given


def database_url(given: SecretStr) -> SecretStr:
    PostgresUrl.parse(given.get_secret_value())
    return given


def keys_in(given: SecretStr) -> tuple[str, ...]:
    """Of a setting that lists keys, separated by commas. Raises ValueError, whose text never repeats one."""
    keys = tuple(key.strip() for key in given.get_secret_value().split(","))
    if short := [str(number) for number, key in enumerate(keys, 1) if len(key) < SHORTEST_KEY]:
        which = f" (number {', '.join(short)} is shorter)" if len(keys) > 1 else ""
        raise ValueError(f"needs at least {SHORTEST_KEY} characters for each key{which}")
    if len(set(keys)) < len(keys):
        raise ValueError("names a key twice")
    return keys


def _data_keys(given: SecretStr) -> SecretStr:
    keys_in(given)
    return given


def _http_url(given: str) -> str:
    problem = "must be of the form https://host:port/path"
    if re.search(r"[\s\x00-\x1f\x7f]", given):
        raise ValueError(f"{problem}, without blanks")
    try:
        parts = urlsplit(given)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(problem) from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise ValueError(problem)
    if "@" in parts.netloc:
        raise ValueError(f"{problem}, without user and password")
    if parts.query or parts.fragment or given.endswith(("?", "#")):
        raise ValueError(f"{problem}, without ? and #")
    return given


def _servers(given: str) -> str:
    for server in given.split(","):
        named = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\],]+)(?::(\d{1,5}))?", server.strip())
        if not named or not 0 < int(named[2] or 9092) < 65536:
            raise ValueError("must be of the form host:port,host:port")
    return given


Servers = Annotated[str, AfterValidator(_servers)]
"""Of Kafka."""
Secret = Annotated[SecretStr, BeforeValidator(_from_file), AfterValidator(_no_blank)]
"""Never shown. May come from a file: the same name with `_FILE` gives its path."""
Token = Annotated[Secret, AfterValidator(_visible)]
"""A secret that is sent in headers."""
DataKeys = Annotated[Secret, AfterValidator(_data_keys)]
"""Keys with which texts in the database are sealed: the first seals, all of them open."""
DatabaseUrl = Annotated[Secret, AfterValidator(database_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def is_secret(field: FieldInfo) -> bool:
    return _contains(field.annotation)


def _contains(annotation: Any) -> bool:
    return annotation is SecretStr or any(_contains(part) for part in get_args(annotation))
