"""Sealed texts: opened only with a known key, and only as what they were sealed as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.setting_types import keys_in
from shared.shell.sealer import CannotOpen, Sealer

OLD, NEW = "old-" * 8, "new-" * 8


@given(st.text(), st.text())
def test_what_is_sealed_is_opened(text: str, about: str) -> None:
    sealer = Sealer([NEW])
    sealed = sealer.seal(text, about)

    assert sealer.open(sealed, about) == text
    assert sealed != sealer.seal(text, about)
    assert len(text) < 8 or text.encode() not in sealed


@given(st.data())
def test_what_was_changed_or_moved_is_not_opened(data: st.DataObject) -> None:
    sealer = Sealer([NEW])
    sealed = bytearray(sealer.seal("rcon-password", "secret acme/rcon"))
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= data.draw(st.integers(1, 255))

    with pytest.raises(CannotOpen) as refused:
        sealer.open(bytes(sealed), "secret acme/rcon")
    assert "rcon-password" not in str(refused.value)
    with pytest.raises(CannotOpen):
        sealer.open(sealer.seal("rcon-password", "secret acme/rcon"), "secret other/rcon")
    with pytest.raises(CannotOpen):
        sealer.open(b"", "secret acme/rcon")


def test_keys_rotate_without_losing_a_text() -> None:
    sealed = Sealer([OLD]).seal("text", "about")
    both = Sealer([NEW, OLD])

    assert both.open(sealed, "about") == "text"
    assert not both.is_newest(sealed)
    again = both.seal("text", "about")
    assert both.is_newest(again)
    assert Sealer([NEW]).open(again, "about") == "text"
    with pytest.raises(CannotOpen, match="not among the data keys"):
        Sealer([NEW]).open(sealed, "about")


def test_keys_are_separated_by_commas_and_long_enough() -> None:
    assert keys_in(SecretStr(f"{NEW}, {OLD}")) == (NEW, OLD)
    with pytest.raises(ValueError, match=r"32 characters for each key \(number 2, 3 is shorter\)") as refused:
        keys_in(SecretStr(f"{NEW},short,"))
    assert "short," not in str(refused.value)
    with pytest.raises(ValueError, match="twice"):
        keys_in(SecretStr(f"{NEW},{NEW}"))
