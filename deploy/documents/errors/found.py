"""Every code with which something is refused, as the code has it: read from its syntax, so that none is left out."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.contracts.problems import CODES, INVALID

PROJECT = Path(__file__).parents[3]
FOLDERS = ("services", "shared")
UNREAD = ("shared/contracts/examples/",)
PLACES = {"Refused": 0, "Problem": 1, "ProblemResponse": 2, "item_problem": 1, "_at_most": 1}
"""Callables that take a code, and its place among their arguments."""
PASSED_ON = (
    "problems[0].code",
    "problem.code",
    "refused.code",
    "found.code",
    "answer.code",
    "kept.code",
    "item.code",
    "code",
    "problem_code(e['type'])",
    "status.name.lower()",
)
"""Codes that are given elsewhere, as expressions."""
COMPUTED = {"f'unknown_{subject}'": ("unknown_attempt", "unknown_refund")}
OF_ANY_BODY = {"missing", "unknown_field", "wrong_type", INVALID, *CODES.values()}
OF_HTTP = {"not_found", "method_not_allowed", "request_entity_too_large", "length_required", "expectation_failed"}
"""Of requests that no route answers: names of their status."""
PASSING = {"REQUEST_TIMEOUT", "TOO_MANY_REQUESTS", "SERVICE_UNAVAILABLE"}
"""Statuses of responses that are no outcome of the request."""
NOT_KEPT = {"parked", "newer", "internal"}
"""Refusals of commands by HTTP that are no outcome, either: `shared/shell/batch/batch.py`."""


@dataclass
class FoundCode:
    """One code. `where`: names of services, `shared` for all of them."""

    code: str
    where: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)
    """Names of PLACES."""
    statuses: set[str] = field(default_factory=set)
    """Names of the HTTP statuses that are written next to it; empty for one that is given elsewhere."""

    @property
    def repeated_under_its_id(self) -> bool:
        """Whether the same request under the same `Idempotency-Key` is handled, and not told this once more."""
        passing = self.kinds == {"ProblemResponse"} and bool(self.statuses) and self.statuses <= PASSING
        return passing or self.code in NOT_KEPT


def found_codes() -> dict[str, FoundCode]:
    """By code, in order. Raises ValueError for a code that cannot be read from the syntax."""
    codes: dict[str, FoundCode] = {}
    for path in _files():
        name = path.relative_to(PROJECT).as_posix()
        service = name.split("/")[1] if name.startswith("services/") else "shared"
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call):
                _take(codes, call, service, name)
    for kind, those in (("Problem", OF_ANY_BODY), ("ProblemResponse", OF_HTTP)):
        for code in those:
            found = codes.setdefault(code, FoundCode(code))
            found.where.add("shared")
            found.kinds.add(kind)
    return dict(sorted(codes.items()))


def _files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            if not path.relative_to(PROJECT).as_posix().startswith(UNREAD):
                yield path


def _take(codes: dict[str, FoundCode], call: ast.Call, service: str, file: str) -> None:
    kind = call.func.id if isinstance(call.func, ast.Name) else ""
    if kind not in PLACES:
        return
    code = _argument(call, PLACES[kind])
    for one in _values(code, file) if code else ():
        found = codes.setdefault(one, FoundCode(one))
        found.where.add(service)
        found.kinds.add(kind)
        if kind == "ProblemResponse":
            found.statuses.add(_status(call))


def _status(call: ast.Call) -> str:
    status = call.args[0] if call.args else None
    return status.attr if isinstance(status, ast.Attribute) else ""


def _argument(call: ast.Call, place: int) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == "code":
            return keyword.value
    return call.args[place] if len(call.args) > place else None


def _values(code: ast.expr, file: str) -> Sequence[str]:
    if isinstance(code, ast.Constant) and isinstance(code.value, str):
        return (code.value,)
    written = ast.unparse(code)
    if written in PASSED_ON:
        return ()
    if written in COMPUTED:
        return COMPUTED[written]
    raise ValueError(f"{file}: the code {written} cannot be read: write it as a constant, or name it in PASSED_ON")
