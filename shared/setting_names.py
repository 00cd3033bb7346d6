"""Names of settings that nearly are known ones. Several processes share one environment, other programs may use the
same prefix, and another build may know more settings: so what resembles no setting is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import SequenceMatcher

PART = 0.75
WHOLE = 0.85
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)(_|$)|_PORT(_\d+_(TCP|UDP|SCTP)(_|$)|$)")
"""Variables by which Kubernetes and Docker tell where another service is: `ORDERBUS_CHECKOUT_PORT=tcp://…`."""


def misspelt(given: Iterable[str], known: Collection[str]) -> Mapping[str, str]:
    """Which of the given names are misspelt, and the name that each is nearest to. Names are in upper case, without the
    prefix: `SMTP__TLS`."""
    unknown = [name for name in given if name not in known]
    return {name: near for name in unknown if (near := nearest(name, known))}


def nearest(name: str, known: Collection[str]) -> str:
    """The known name that was probably meant; empty if none is near."""
    sections = {one.partition("__")[0] for one in known if "__" in one}
    likeness = {other: _likeness(name, other, sections) for other in known}
    best = max(likeness, key=lambda other: likeness[other], default="")
    return best if best and likeness[best] > 0 else ""


def _likeness(name: str, other: str, sections: Collection[str]) -> float:
    """From 0, not alike, to 1. Within a section that exists, sections do not count: they would make all alike."""
    section, nested, rest = name.partition("__")
    if not nested:
        whole = _ratio(name, other.replace("__", "_"))
        return whole if whole >= WHOLE and not _SERVICE_LINK.search(name) else 0
    other_section, _, other_rest = other.partition("__")
    if section in sections:
        part = _ratio(rest, other_rest) if section == other_section else 0
        return part if part >= PART else 0
    parts = min(_ratio(section, other_section), _ratio(rest, other_rest))
    whole = _ratio(name, other)
    return whole if whole >= WHOLE or parts >= PART else 0


def _ratio(one: str, other: str) -> float:
    if sorted(one) == sorted(other):
        return 0.99 if one != other else 1.0
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    if matcher.real_quick_ratio() < PART or matcher.quick_ratio() < PART:  # upper bounds, much faster
        return 0
    return matcher.ratio()
