"""What staff see of an answer: its beginning, without the secrets of the call, however the answer writes them."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Collection, Iterator
from urllib.parse import unquote

SHOWN = 200
"""Characters."""
DEEP = 5
"""How often an encoding is undone."""
_ESCAPES = re.compile(r"\\(?:u|x)\{?([0-9a-fA-F]{2,4})\}?")
_NO_TEXT = re.compile(r"<[^<>]*>")
_LEFT_OUT = frozenset("\\ +/-_=")
"""Characters in which writings of the same differ."""


def excerpt(body: bytes, secrets: Collection[str]) -> str:
    """Nothing, where a secret is repeated in another encoding."""
    text = " ".join(body.decode("utf-8", "replace").split())
    for secret in secrets:
        text = text.replace(secret, "***")
    if any(writing in bare for bare in _readings(text) for secret in secrets for writing in _writings(secret)):
        return " What it says repeats a secret, and is not shown."
    printable = "".join(char for char in text if char.isprintable())[:SHOWN]
    return f' It says: "{printable}".' if printable else ""


def _readings(text: str) -> Iterator[str]:
    """Without the ways in which JSON, URLs and HTML write a character, one undone after the other."""
    for _ in range(DEEP):
        yield _bare(text)
        yield _bare(_NO_TEXT.sub("", text))
        before, text = text, _undone(text)
        if text == before:
            return


def _undone(text: str) -> str:
    text = _ESCAPES.sub(lambda found: chr(int(found[1], 16)), html.unescape(unquote(text)))
    return text.replace("\\\\", "\\")


def _bare(text: str) -> str:
    return "".join(char for char in text if char.isprintable() and char not in _LEFT_OUT).casefold()


def _writings(secret: str) -> Iterator[str]:
    own = secret.removeprefix("whsec_")
    yield _bare(own)
    data = own.encode()
    yield data.hex()
    for shift in range(3):  # of base64 within a longer text, without the characters that others have a part in
        encoded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        whole = encoded[(0, 2, 3)[shift] : len(encoded) - (1 if (shift + len(data)) % 3 else 0)]
        if len(whole) >= 4:
            yield _bare(whole)
