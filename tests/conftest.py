"""What all tests have in common."""

from __future__ import annotations

from hypothesis import settings

# A busy machine makes any example slow: that is no fault of what is tested.
settings.register_profile("orderbus", deadline=None)
settings.load_profile("orderbus")
