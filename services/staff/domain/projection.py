"""The projection that the modules of this package fill."""

from __future__ import annotations

from shared.core.projection import Projection

PROJECTION = Projection()


def facets(**values: str | None) -> tuple[str, ...]:
    """What an order can be filtered by, as texts: `status="paid"` is `status:paid`. Missing values are left out."""
    return tuple(f"{name}:{value}" for name, value in values.items() if value)
