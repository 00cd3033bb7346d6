"""What several unit tests are given."""

from __future__ import annotations

import os

import pytest

from shared.settings import PREFIX
from tests.unit.settings_given import REQUIRED, Given


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Sets variables, in addition to what all processes need; None takes one away."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)

    def give(**settings: str | None) -> None:
        for name, value in (REQUIRED | settings).items():
            monkeypatch.delenv(PREFIX + name, raising=False) if value is None else monkeypatch.setenv(
                PREFIX + name, value
            )

    return give
