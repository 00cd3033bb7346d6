"""The page of all codes with which something is refused (`docs/errors.md`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from deploy.documents.errors.found import FoundCode, found_codes

ADVICE = Path(__file__).parent / "advice.toml"
HEAD = """# Codes of refusals and problems

Written by `python -m deploy.documents` from the code, with [what to do](../deploy/documents/errors/advice.toml).

A command that cannot be obeyed changes nothing, and is answered: over Kafka with the service's refusal
(`checkout.refused`, `payments.refused`, `fulfillment.refused`, `notifications.refused`, `staff.refused`), over HTTP
with status 409 (404 where the path names what does not exist) and `application/problem+json`. Both have a `code`, a
`text` for people (`title` over HTTP), and `problems`, which list everything that is wrong: each with its `field`, a
`code` and a `text`. A code's meaning stays; texts may change.
New codes may come: treat one that you do not know as a refusal whose text says why.

After {again}, send the same request under the same
`Idempotency-Key`: what was said is not kept as its outcome. After `parked`, `newer`, `internal` and `unreadable` that
helps once staff have fixed the cause. Everything else is the outcome: under the same key the same answer comes
again, and over Kafka, under the same `ce_id`, none at all. Send a corrected command under a new id, and under a new
id the same one where the text says to try again (`not_reserved`, `payment_under_way`, `too_many_attempts`, …).

Why a card was declined is no refusal: [payments](../services/payments/README.md) lists the reasons. Why an item is
not delivered is in [delivery.md](delivery.md).

| code | from | is | means | what to do |
|---|---|---|---|---|
"""
KINDS = {
    "Refused": "refusal",
    "Problem": "problem",
    "item_problem": "problem",
    "_at_most": "problem",
    "_header": "problem",
}


def advice() -> Mapping[str, tuple[str, str]]:
    """By code: what it means, and what to do."""
    return {code: (means, do) for code, (means, do) in tomllib.loads(ADVICE.read_text(encoding="utf-8")).items()}


def page() -> str:
    """Raises ValueError for codes without advice, and for advice without a code."""
    found, known = found_codes(), advice()
    if missing := found.keys() - known.keys():
        raise ValueError(f"{ADVICE.name} lacks {', '.join(sorted(missing))}")
    if left := known.keys() - found.keys():
        raise ValueError(f"{ADVICE.name} has codes that are not used: {', '.join(sorted(left))}")
    again = [f"`{code}`" for code in found if found[code].repeated_under_its_id]
    head = HEAD.format(again=f"{', '.join(again[:-1])} and {again[-1]}")
    return head + "".join(_row(found[code], *known[code]) for code in found)


def _row(found: FoundCode, means: str, do: str) -> str:
    where = "all" if "shared" in found.where else ", ".join(sorted(found.where))
    kinds = sorted({KINDS.get(kind, "HTTP") for kind in found.kinds})
    return f"| `{found.code}` | {where} | {', '.join(kinds)} | {means} | {do} |\n"
