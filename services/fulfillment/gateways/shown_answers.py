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
_ESCAPES = re.compile(
    r"\\(?:x(?P<byte>[0-9a-fA-F]{2})|u(?P<unit>[0-9a-fA-F]{4})|[ux]\{0*(?P<any>[0-9a-fA-F]{1,5})\}"
    r"|(?P<octal>[0-3]?[0-7]{1,2}))"
)
"""Each with as many digits as its kind has: those that follow are characters of the text."""
_NO_TEXT = re.compile(r"<[^<>]*>")
_LEFT_OUT = frozenset("\\ +/-_=:,")
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
        yield bare(text)
        yield bare(_NO_TEXT.sub("", text))
        before, text = text, _undone(text)
        if text == before:
            return


def _undone(text: str) -> str:
    return _ESCAPES.sub(_character, html.unescape(unquote(text))).replace("\\\\", "\\")


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape["octal"], 8) if escape["octal"] else int(escape[escape.lastgroup or 0], 16))


def bare(text: str, left_out: Collection[str] = _LEFT_OUT) -> str:
    """What of it can be seen, without some characters, in one case."""
    return "".join(char for char in text if char.isprintable() and char not in left_out).casefold()


def _writings(secret: str) -> Iterator[str]:
    own = secret.removeprefix("whsec_")
    yield bare(own)
    data = own.encode()
    yield data.hex()
    yield "".join(map(str, data))  # the bytes as numbers
    for shift in range(3):  # of base64 within a longer text, without the characters that others have a part in
        encoded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        whole = encoded[(0, 2, 3)[shift] : len(encoded) - (1 if (shift + len(data)) % 3 else 0)]
        if len(whole) >= 4:
            yield bare(whole)
