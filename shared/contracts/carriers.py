"""Pages of carriers on which customers follow parcels. Part of fulfillment's messages."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints

from shared.contracts.addresses import reach_of_url
from shared.core.descriptions import Unit

PLACEHOLDER = "{tracking}"
LONGEST_PAGE = 1000


def tracking_page(page: str) -> str:
    """The page, if customers can be sent there whatever stands for the placeholder. Raises ValueError, with all that is
    wrong."""
    bare, place = page.replace(PLACEHOLDER, "x"), page.partition("://")[2]
    ends = [place.find(end) for end in "/?#" if end in place]
    host, rest = (place[: min(ends)], place[min(ends) :]) if ends else (place, "")
    problems = []
    if not page.startswith("https://"):
        problems.append("does not begin with https://")
    if page.count(PLACEHOLDER) != 1:
        problems.append(f"has to have {PLACEHOLDER} once")
    elif PLACEHOLDER not in rest:
        problems.append(f"may have {PLACEHOLDER} behind its host only")
    if "{" in bare or "}" in bare:
        problems.append(f"has braces other than those of {PLACEHOLDER}")
    try:
        if "@" in host or urlsplit(bare).username is not None:
            problems.append("must not contain credentials")
        if reach_of_url(bare) != "public":
            problems.append("is not on the internet")
    except ValueError as wrong:
        problems.append(str(wrong))
    if problems:
        raise ValueError("; ".join(problems))
    return page


TrackingPage = Annotated[
    str,
    StringConstraints(max_length=LONGEST_PAGE),
    AfterValidator(tracking_page),
    Unit("An https URL; `{tracking}` stands once, behind the host, for the tracking number."),
]
