"""The simulation itself: clean seeds, the same history for the same seed, and a failure that can be repeated.

ORDERBUS_LONG=1 runs more seeds, and the mutants for longer.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
import typer

from deploy.cli.simulate import Faults
from deploy.cli.simulate import simulate as simulate_command
from deploy.simulation.fault_profile import LEVELS, Level
from deploy.simulation.history import History
from deploy.simulation.run import Result, simulate, simulate_many, smaller
from tests.simulation.mutants.catalogue import MUTANTS

LONG = bool(os.environ.get("ORDERBUS_LONG"))
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("level", "seeds", "orders"),
    [("none", 1, 20), ("some", 3, 20), ("many", 100 if LONG else 6, 20), ("storm", 100 if LONG else 4, 10)],
)
def test_every_life_ends_well_whatever_happens(level: str, seeds: int, orders: int) -> None:
    summary = simulate_many(1, seeds, orders, level)

    assert summary.violations == []
    assert summary.lives == seeds * orders


def test_an_order_is_paid_although_all_callbacks_about_charges_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LEVELS, "no callbacks", Level(webhook_lost=1.0))

    results = [simulate(seed, 20, "no callbacks") for seed in range(1, 4)]

    assert [violation for result in results for violation in result.violations] == []
    assert all(result.faults["callback_lost"] for result in results)
    waits = [wait for result in results for wait in until_captured(result)]
    assert waits, "customers confirm payments"
    assert max(waits) < timedelta(minutes=5), "a check finds it, long before the time to pay is over"


def until_captured(result: Result) -> Iterator[timedelta]:
    """From each confirmation by a customer to its capture. An order that was not cancelled meanwhile is paid then."""
    lines = [(datetime.fromisoformat(f"2026-{line[:21]}"), line.split()[3], line) for line in result.lines()]
    captured = {order: at for at, order, line in lines if " payment.captured " in line}
    yield from (
        captured[order] - at for at, order, line in lines if "3-D Secure of" in line and line.endswith("succeeded")
    )


def test_the_same_seed_gives_the_same_history_in_every_process() -> None:
    """Other processes hash strings otherwise, and have other addresses and another clock."""
    program = "from deploy.simulation.run import simulate; r = simulate(7, 8, 'many'); print(r.digest, r.steps)"

    def run(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        ).stdout

    assert run("1") == run("2")


def test_another_seed_gives_another_history() -> None:
    assert simulate(1, 2).digest != simulate(2, 2).digest


def test_a_history_is_repeated_byte_for_byte_in_one_process() -> None:
    first, second = simulate(3, 5, "storm"), simulate(3, 5, "storm")

    assert list(first.lines()) == list(second.lines())


def test_many_kinds_of_faults_really_happen() -> None:
    injected = simulate_many(1, 4, 20, "storm").faults

    assert {"crash", "commit_answer_lost", "provider_lost_after", "redelivery", "rebalance"} <= set(injected)


def charged_twice(result: Result) -> bool:
    return any(violation.rule == "charged_once" for violation in result.violations)


def test_a_failing_seed_says_how_to_repeat_it_and_what_happened_to_the_order() -> None:
    with MUTANTS["a retry has a new idempotency key"].put():
        results = (simulate(seed, 20) for seed in range(1, 40))
        failed = next(result for result in results if charged_twice(result))

    charged = next(violation for violation in failed.violations if violation.rule == "charged_once")
    assert failed.command == f"orderbus simulate --seeds {failed.seed} --orders 20 --faults many"
    assert any("ChargeCard" in line for line in charged.story)
    assert len(charged.story) < 100


def test_a_long_story_keeps_its_faults_in_few_lines() -> None:
    history = History(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    history.fault("before", "the order's time")
    for number in range(20):
        history.add("checkout-0", "o-1", f"line {number}")
        for kind in ("store_error checkout save", "store_error payments load", "crash checkout-0#1"):
            history.fault(kind)

    assert len(history.story("o-1", most=80)) == 80, "every line, where there is room"
    short = history.story("o-1", most=40)
    assert len(short) == 40
    assert [line.split(maxsplit=2)[2] for line in short[:2]] == [
        "checkout-0       line 0",
        "fault            2 x store_error, 1 x crash",
    ]
    assert "…" in history.story("o-1", most=10)


def test_a_failure_is_shown_with_the_smallest_run_that_has_it() -> None:
    with MUTANTS["a late capture after a cancellation is ignored"].put():
        failed = next(result for result in (simulate(seed, 20) for seed in range(1, 20)) if result.violations)
        less = smaller(failed, 20, "many")

    assert less is None or less.lives < 20
    assert less is None or {v.rule for v in less.violations} & {v.rule for v in failed.violations}


def test_a_replay_of_every_record_really_happens() -> None:
    assert any("every record is read again" in line for line in simulate(4, 3).lines())


def test_the_command_prints_one_json_document() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli.main", "simulate", "--seeds", "1-2", "--orders", "3", "--json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )

    document = orjson.loads(done.stdout)
    assert document["lives"] == 6
    assert document["violations"] == []
    assert {"seeds", "lives_per_second", "faults_injected"} <= set(document)


def test_a_failing_seed_fails_the_command_that_prints_its_history_too(capsys: pytest.CaptureFixture[str]) -> None:
    with MUTANTS["a retry has a new idempotency key"].put():
        failed = next(seed for seed in range(1, 40) if charged_twice(simulate(seed, 20)))
        with pytest.raises(typer.Exit) as ended:
            simulate_command(f"{failed}-{failed}", history=True)
    told = capsys.readouterr()
    assert ended.value.exit_code == 1
    assert "ChargeCard" in told.out and "charged_once" not in told.out
    assert f"seed {failed}: charged_once: " in told.err

    simulate_command("1", orders=1, faults=Faults.NONE, history=True)
    assert capsys.readouterr().err == ""


def test_the_command_offers_every_level() -> None:
    assert [level.value for level in Faults] == list(LEVELS)
