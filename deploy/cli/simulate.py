"""`orderbus simulate`: all services in one process, on a seeded clock, with faults; every seed repeats exactly."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from deploy.cli import console
from deploy.cli.errors import Failure, UsageError
from deploy.cli.options import AsJson
from deploy.simulation.run import Result, Summary, simulate_many, smaller
from deploy.simulation.run import simulate as simulate_one

MOST = 40
"""Violations that are printed; --json has them all."""


class Faults(StrEnum):
    """The levels of `deploy/simulation/fault_profile.py`; a test compares them."""

    NONE = "none"
    SOME = "some"
    MANY = "many"
    STORM = "storm"


def simulate(
    seeds: Annotated[str, typer.Option(metavar="A-B", help="Seeds A to B, or one seed.")] = "1-20",
    orders: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Orders per seed.")] = 20,
    faults: Annotated[Faults, typer.Option(help="How many faults to inject.")] = Faults.MANY,
    history: Annotated[bool, typer.Option("--history", help="Print every event instead of a summary.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run seeded orders with injected faults, in one process.

    The real code runs on a simulated clock, network and database; every seed repeats exactly. All invariants are
    checked at the end. Exit code 1 when one is violated.
    """
    first, last = _range(seeds)
    if history:
        clean = [_clean_with_history(seed, orders, faults) for seed in range(first, last + 1)]
        if not all(clean):
            raise typer.Exit(Failure.exit_code)
        return

    def show(result: Result) -> None:
        less = smaller(result, orders, faults)
        _shown(less or result)
        print(f"  again: {result.command}" + (f"\n  smaller: {less.command}\n" if less else "\n"))

    summary = simulate_many(first, last, orders, faults, on_violation=None if as_json else show)
    if as_json:
        console.show_json(summary.document())
    else:
        _conclude(summary)
    if summary.violations:
        raise typer.Exit(Failure.exit_code)


def _clean_with_history(seed: int, orders: int, faults: Faults) -> bool:
    """Print every event of a seed. Whether no invariant is violated; else which ones, apart from the history."""
    result = simulate_one(seed, orders, faults)
    for line in result.lines():
        print(line)
    for rule, text in _wrong(result):
        console.say(f"seed {seed}: {rule}: {text}")
    return not result.violations


def _range(seeds: str) -> tuple[int, int]:
    first, dash, last = seeds.partition("-")
    numbers = [first, last] if dash else [first]
    if not all(n.isascii() and n.isdigit() for n in numbers) or int(numbers[-1]) < int(first):
        raise UsageError(f"--seeds takes a range such as 1-500, or one seed such as 42, not {seeds!r}.")
    return int(first), int(last if dash else first)


def _shown(result: Result) -> None:
    """A failing seed: what is wrong, and what happened to the order."""
    for rule, text in _wrong(result):
        print(f"seed {result.seed}: {rule}: {text}")
    told = next((violation for violation in result.violations if violation.story), None)
    if told:
        print(f"  what happened to {told.key}:")
        for line in told.story:
            print(f"    {line}")


def _wrong(result: Result) -> list[tuple[str, str]]:
    """Rules and what is wrong, each once."""
    return list(dict.fromkeys((wrong.rule, wrong.text) for wrong in result.violations))[:MOST]


def _conclude(summary: Summary) -> None:
    print(
        f"seeds {summary.seeds}: {summary.lives} orders, {summary.lives_per_second:.0f}/s, "
        f"{console.counted(sum(summary.faults.values()), 'fault')}, "
        f"{console.counted(len(summary.violations), 'violation')}"
    )
