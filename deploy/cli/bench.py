"""`orderbus bench`: throughput on this machine, compared with the usual way of writing the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from deploy.cli import console
from deploy.cli.errors import Failure, UsageError
from deploy.cli.options import AsJson
from deploy.client.local_stack import default_folder

PROJECT = Path(__file__).resolve().parents[2]


def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Shorter runs: about 90 s in all, with less precise figures.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Folder for the stack; its contents are deleted first.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure throughput, latency and CPU time.

    Takes about nine minutes; docs/benchmarks.md explains the figures.
    """
    if not (PROJECT / "tests" / "benchmarks").is_dir():
        raise UsageError("The benchmarks are part of the source tree: run this from a clone.")
    folder = (data or default_folder().with_name("bench")).expanduser().resolve()
    command = [sys.executable, "-m", "tests.benchmarks", "--data", str(folder), *(["--quick"] if quick else [])]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise Failure("The benchmarks failed: see above.", done.returncode)
    document = orjson.loads(done.stdout)
    if as_json:
        console.show_json(document)
    else:
        show(document)


def show(document: dict[str, Any]) -> None:
    latency, full = document["latency_ms"], document["latency_ms_when_full"]
    print(
        f"\nSettled orders: {document['orders_per_second']} /s, {document['ratio_to_usual_way']} times the usual way "
        f"({document['orders_per_second_until_completed']} /s until completed)\n"
        f"The shell:      {document['shell_ratio_to_floor']} of the rate of hand-written statements\n"
        f"Latency:        {latency['p50']} ms, 99 % within {latency['p99']} ms; "
        f"with full tables {full['p50']} and {full['p99']} ms\n"
        f"Full tables:    {document['rate_when_full_over_empty']} of the rate of empty ones\n"
        f"Whole stack:    {document['whole_stack_orders_per_second']} settled orders/s "
        f"({document['whole_stack_orders_per_second_until_completed']} /s until completed)\n"
        "An order is settled when it is completed, and all its emails and webhooks are delivered.\n"
        "Milliseconds of CPU time per settled order, whole stack:"
    )
    for name, spent in sorted(document["cpu_ms_per_order"].items(), key=lambda entry: -entry[1]):
        print(f"  {name:<28}{spent:6.2f}")
    print(f"  {'total':<28}{sum(document['cpu_ms_per_order'].values()):6.2f}")
